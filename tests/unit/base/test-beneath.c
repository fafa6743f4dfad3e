/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing leads out of a directory: see base/beneath.h. With and without openat2(2). */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <linux/openat2.h>
#include <seccomp.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/beneath.h"

static char *base;
static int root;

static void put(const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(base, name, NULL);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static gboolean has(const char *name)
{
    g_autofree char *path = g_build_filename(base, name, NULL);

    return g_file_test(path, G_FILE_TEST_EXISTS);
}

static int tries(const char *path, int flags)
{
    struct drv_error err = {0};
    int fd = drv_beneath_open(root, path, flags, 0600, &err);

    if (fd >= 0) {
        g_assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        close(fd);
        return 0;
    }
    g_assert_cmpint(err.code, ==, -fd);
    g_assert_cmpstr(err.message, !=, "");
    return fd;
}

static void test_open(void)
{
    static const char *const out[] = {
        "..", "../outside", "in/../../outside", "/etc/passwd", "in//file", "in/", "./in", "in/.", NULL};

    g_assert_cmpint(tries("", O_RDONLY), ==, 0);
    g_assert_cmpint(tries("in/file", O_RDONLY), ==, 0);
    g_assert_cmpint(tries("in/new", O_WRONLY | O_CREAT | O_EXCL), ==, 0);
    g_assert_cmpint(tries("in/new", O_WRONLY | O_CREAT | O_EXCL), ==, -EEXIST);
    g_assert_cmpint(tries("in/none", O_RDONLY), ==, -ENOENT);
    for (guint i = 0; out[i]; i++)
        g_assert_cmpint(tries(out[i], O_RDONLY), ==, -EINVAL);
    /* Links are not followed: neither as a part of the way, nor at its end, nor when they stay inside. */
    g_assert_cmpint(tries("away/outside", O_RDONLY), ==, -ELOOP);
    g_assert_cmpint(tries("away/made", O_WRONLY | O_CREAT), ==, -ELOOP);
    g_assert_cmpint(tries("tofile", O_RDONLY), ==, -ELOOP);
    g_assert_cmpint(tries("tofile", O_WRONLY | O_TRUNC), ==, -ELOOP);
    g_assert_cmpint(tries("inside/file", O_RDONLY), ==, -ELOOP);
    g_assert_false(has("../made"));
    put("in/new", "");
}

static void test_mkdir(void)
{
    struct drv_error err = {0};

    g_assert_cmpint(drv_beneath_mkdir(root, "in/deep", 0700, NULL), ==, 0);
    g_assert_cmpint(drv_beneath_mkdir(root, "in/deep", 0700, &err), ==, -EEXIST);
    g_assert_cmpint(drv_beneath_mkdir(root, "../bad", 0700, &err), ==, -EINVAL);
    g_assert_cmpint(drv_beneath_mkdir(root, "away/bad", 0700, &err), ==, -ELOOP);
    g_assert_false(has("../bad"));
    g_assert_true(has("in/deep"));
}

static void test_remove(void)
{
    struct drv_error err = {0};

    g_assert_cmpint(drv_beneath_remove_tree(root, "none", &err), ==, 0);
    g_assert_cmpint(drv_beneath_remove_tree(root, "..", &err), ==, -EINVAL);
    g_assert_cmpint(drv_beneath_remove_tree(root, "in/deep", &err), ==, -EINVAL);
    g_assert_cmpint(drv_beneath_remove_tree(root, "away", &err), <, 0);
    g_assert_cmpint(drv_beneath_remove_tree(root, "tree", &err), ==, 0);
    g_assert_false(has("tree"));
    g_assert_true(has("../outside")); /* a link in the tree led to it */
}

static void make(void)
{
    g_autofree char *top = g_dir_make_tmp("beneath-XXXXXX", NULL);

    base = g_build_filename(top, "root", NULL);
    for (const char *const *each = (const char *const[]){"", "in", "tree", "tree/a", NULL}; *each; each++) {
        g_autofree char *path = g_build_filename(base, *each, NULL);

        g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
    }
    put("../outside", "x");
    put("in/file", "x");
    put("tree/a/b", "x");
    root = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(root, >=, 0);
    g_assert_cmpint(symlinkat("..", root, "away"), ==, 0);
    g_assert_cmpint(symlinkat("../outside", root, "tofile"), ==, 0);
    g_assert_cmpint(symlinkat("in", root, "inside"), ==, 0);
    g_assert_cmpint(symlinkat("../..", root, "tree/up"), ==, 0);
}

static void remake(void)
{
    g_autofree char *top = g_path_get_dirname(base);
    const char *argv[] = {"rm", "-rf", top, NULL};

    close(root);
    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
    g_free(base);
}

static void test_all(gconstpointer without)
{
    if (without) {
        /* As a filter that does not know the call, or a kernel that has none. */
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
        struct open_how how = {0};

        g_assert_cmpint(seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(openat2), 0), ==, 0);
        g_assert_cmpint(seccomp_load(filter), ==, 0);
        seccomp_release(filter);
        g_assert_cmpint((int)syscall(SYS_openat2, -1, "", &how, sizeof how), ==, -1);
        g_assert_cmpint(errno, ==, ENOSYS);
    }
    make();
    test_open();
    test_mkdir();
    test_remove();
    remake();
}

static void test_root(void)
{
    struct drv_error err = {0};
    g_autofree char *link = NULL, *real = NULL;
    int fd;

    make();
    link = g_build_filename(base, "inside", NULL);
    real = g_build_filename(base, "in", NULL);
    fd = drv_beneath_root(real, &err);
    g_assert_cmpint(fd, >=, 0);
    close(fd);
    g_assert_cmpint(drv_beneath_root(link, &err), ==, -ELOOP);
    g_assert_cmpint(drv_beneath_root("in", &err), ==, -EINVAL);
    remake();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/beneath/openat2", NULL, test_all);
    g_test_add_func("/beneath/root", test_root);
    /* The last one: a filter stays. */
    g_test_add_data_func("/beneath/step-by-step", "without", test_all);
    return g_test_run();
}
