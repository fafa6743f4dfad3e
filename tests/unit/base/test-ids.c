/* SPDX-License-Identifier: Apache-2.0 */
/* What is and what is no name: see base/ids.h. */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "base/ids.h"

#define U "0123abcd-4567-89ab-cdef-0123456789ab"
#define S "0123456789abcdef0123456789abcdef"

/* Texts that no kind of name may be, as each would leave its directory, or its line in a log. */
static const char *const never[] = {
    "",     "/",        "..",    ".",        "../x",     "a/b",      "a/../b",       "/a/b/../../../etc",
    "a\nb", "a\x1b[2J", "a\x7f", "\xff\xfe", "\xc0\xaf", "\xc2\x85", "\xed\xa0\x80", "x\xe2\x82",
    NULL};

#define REFUSES(type, parse, given)                                                                                    \
    do {                                                                                                               \
        type out_;                                                                                                     \
        struct drv_error err_ = {0};                                                                                   \
        memset(&out_, 'x', sizeof out_);                                                                               \
        g_assert_cmpint(parse(&out_, given, &err_), ==, -EINVAL);                                                      \
        g_assert_cmpint(err_.code, ==, EINVAL);                                                                        \
        for (const char *c_ = err_.message; *c_; c_++)                                                                 \
            g_assert_true(*c_ >= ' ' && *c_ <= '~');                                                                   \
        for (size_t i_ = 0; i_ < sizeof out_; i_++)                                                                    \
            g_assert_cmpint(((const char *)&out_)[i_], ==, 'x');                                                       \
    } while (0)

#define TAKES(type, parse, given, as)                                                                                  \
    do {                                                                                                               \
        type out_;                                                                                                     \
        struct drv_error err_ = {0};                                                                                   \
        g_assert_cmpint(parse(&out_, given, &err_), ==, 0);                                                            \
        g_assert_cmpstr(out_.text, ==, as);                                                                            \
        g_assert_cmpint(err_.code, ==, 0);                                                                             \
    } while (0)

static char *repeated(char letter, size_t count)
{
    return g_strnfill(count, letter);
}

static void test_never(void)
{
    for (guint i = 0; never[i]; i++) {
        REFUSES(drv_uuid, drv_uuid_parse, never[i]);
        REFUSES(drv_session_id, drv_session_id_parse, never[i]);
        REFUSES(drv_vm_name, drv_vm_name_parse, never[i]);
        REFUSES(drv_volume_name, drv_volume_name_parse, never[i]);
        REFUSES(drv_node_name, drv_node_name_parse, never[i]);
        REFUSES(drv_disk_name, drv_disk_name_parse, never[i]);
        REFUSES(drv_job_name, drv_job_name_parse, never[i]);
    }
    REFUSES(drv_uuid, drv_uuid_parse, NULL);
    REFUSES(drv_vm_name, drv_vm_name_parse, NULL);
    REFUSES(drv_job_name, drv_job_name_parse, NULL);
    REFUSES(drv_path, drv_path_parse, NULL);
}

static void test_uuid(void)
{
    TAKES(drv_uuid, drv_uuid_parse, U, U);
    TAKES(drv_uuid, drv_uuid_parse, "0123ABCD-4567-89ab-CDEF-0123456789AB", U);
    REFUSES(drv_uuid, drv_uuid_parse, U "0");
    REFUSES(drv_uuid, drv_uuid_parse, "0123abcd-4567-89ab-cdef-0123456789a");
    REFUSES(drv_uuid, drv_uuid_parse, "0123abcd-4567-89ab-cdef/0123456789ab");
    REFUSES(drv_uuid, drv_uuid_parse, "0123abcd4-567-89ab-cdef-0123456789ab");
    REFUSES(drv_uuid, drv_uuid_parse, "0123abcg-4567-89ab-cdef-0123456789ab");
    REFUSES(drv_uuid, drv_uuid_parse, "../../../../../../../../../etc/cron.d");
    g_assert_cmpint((int)strlen("../../../../../../../../../etc/cron.d"), ==, DRV_UUID_TEXT + 1);
    REFUSES(drv_uuid, drv_uuid_parse, "../../../../../../../../etc/cron.d/x");
}

static void test_session(void)
{
    TAKES(drv_session_id, drv_session_id_parse, S, S);
    REFUSES(drv_session_id, drv_session_id_parse, S "0");
    REFUSES(drv_session_id, drv_session_id_parse, "0123456789ABCDEF0123456789ABCDEF");
    REFUSES(drv_session_id, drv_session_id_parse, "0123456789abcdef0123456789abcde");
}

static void test_names(void)
{
    g_autofree char *longest = repeated('a', DRV_VM_NAME_MOST), *longer = repeated('a', DRV_VM_NAME_MOST + 1);
    g_autofree char *file = repeated('f', DRV_FILE_NAME_MOST), *too_long = repeated('f', DRV_FILE_NAME_MOST + 1);

    TAKES(drv_vm_name, drv_vm_name_parse, "web1", "web1");
    TAKES(drv_vm_name, drv_vm_name_parse, "the shop's (old) VM", "the shop's (old) VM");
    TAKES(drv_vm_name, drv_vm_name_parse, "b\xc3\xbcro", "b\xc3\xbcro");
    TAKES(drv_vm_name, drv_vm_name_parse, longest, longest);
    REFUSES(drv_vm_name, drv_vm_name_parse, longer);
    TAKES(drv_volume_name, drv_volume_name_parse, "web1.qcow2", "web1.qcow2");
    TAKES(drv_volume_name, drv_volume_name_parse, file, file);
    REFUSES(drv_volume_name, drv_volume_name_parse, too_long);
    REFUSES(drv_volume_name, drv_volume_name_parse, ".ssh");
    TAKES(drv_node_name, drv_node_name_parse, "h1", "h1");
    TAKES(drv_node_name, drv_node_name_parse, "op-1", "op-1");
    REFUSES(drv_node_name, drv_node_name_parse, "op");
    REFUSES(drv_node_name, drv_node_name_parse, "plan");
    REFUSES(drv_node_name, drv_node_name_parse, "-h1");
    REFUSES(drv_node_name, drv_node_name_parse, "h1-");
    REFUSES(drv_node_name, drv_node_name_parse, "H1");
    TAKES(drv_disk_name, drv_disk_name_parse, "vda", "vda");
    REFUSES(drv_disk_name, drv_disk_name_parse, "vda.x");
    REFUSES(drv_disk_name, drv_disk_name_parse, "aaaaaaaaaaaaaaaa");
    TAKES(drv_job_name, drv_job_name_parse, "h1-7", "h1-7");
    REFUSES(drv_job_name, drv_job_name_parse, "h1-7?after=1");
}

static void test_path(void)
{
    TAKES(drv_path, drv_path_parse, "/", "/");
    TAKES(drv_path, drv_path_parse, "/var/lib/libvirt/images/a b.img", "/var/lib/libvirt/images/a b.img");
    TAKES(drv_path, drv_path_parse, "/a/..b/...", "/a/..b/...");
    REFUSES(drv_path, drv_path_parse, "a");
    REFUSES(drv_path, drv_path_parse, "/a/");
    REFUSES(drv_path, drv_path_parse, "//a");
    REFUSES(drv_path, drv_path_parse, "/a//b");
    REFUSES(drv_path, drv_path_parse, "/..");
    REFUSES(drv_path, drv_path_parse, "/a/./b");
    REFUSES(drv_path, drv_path_parse, "/a/..");
    REFUSES(drv_path, drv_path_parse, "/a\nb");
}

static void test_split(void)
{
    drv_path path, directory;
    drv_volume_name name;

    g_assert_cmpint(drv_path_parse(&path, "/srv/vms/a.img", NULL), ==, 0);
    g_assert_cmpint(drv_path_split(&path, &directory, &name, NULL), ==, 0);
    g_assert_cmpstr(directory.text, ==, "/srv/vms");
    g_assert_cmpstr(name.text, ==, "a.img");
    g_assert_cmpint(drv_path_parse(&path, "/a", NULL), ==, 0);
    g_assert_cmpint(drv_path_split(&path, &directory, &name, NULL), ==, 0);
    g_assert_cmpstr(directory.text, ==, "/");
    g_assert_cmpint(drv_path_parse(&path, "/", NULL), ==, 0);
    g_assert_cmpint(drv_path_split(&path, &directory, &name, NULL), ==, -EINVAL);
    g_assert_cmpint(drv_path_parse(&path, "/root/.bashrc", NULL), ==, 0);
    g_assert_cmpint(drv_path_split(&path, &directory, &name, NULL), ==, -EINVAL);
}

static void test_below(void)
{
    g_assert_true(drv_path_is_below("/a/b", "/a"));
    g_assert_true(drv_path_is_below("/a", "/a"));
    g_assert_true(drv_path_is_below("/a", "/"));
    g_assert_false(drv_path_is_below("/ab", "/a"));
    g_assert_false(drv_path_is_below("/", "/a"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ids/never", test_never);
    g_test_add_func("/ids/uuid", test_uuid);
    g_test_add_func("/ids/session", test_session);
    g_test_add_func("/ids/names", test_names);
    g_test_add_func("/ids/path", test_path);
    g_test_add_func("/ids/split", test_split);
    g_test_add_func("/ids/below", test_below);
    return g_test_run();
}
