/* SPDX-License-Identifier: Apache-2.0 */
/* Which files an image names: from headers that qemu-img writes, and from broken ones. */
#include "hyper/image.h"

#include <glib/gstdio.h>
#include <string.h>

static void test_names(void)
{
    static const struct {
        const char *name, *path;
    } cases[] = {
        {"/images/base.qcow2", "/images/base.qcow2"},
        {"base.qcow2", "/vms/web/base.qcow2"},
        {"../base.qcow2", "/vms/base.qcow2"},
        {"./a:b.qcow2", "/vms/web/a:b.qcow2"},
        {"file:base.qcow2", "/vms/web/base.qcow2"},
        {"file:/images/base.qcow2", "/images/base.qcow2"},
        {"nbd://host:10809/export", NULL},
        {"fat:rw:/tmp", NULL},
        {"", NULL},
        {"json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"/i/b\"}}", "/i/b"},
        {"json:{\"driver\":\"file\",\"filename\":\"b\"}", "/vms/web/b"},
        {"json:{\"file.filename\":\"/i/b\",\"driver\":\"raw\"}", "/i/b"},
        {"json:{\"file.driver\":\"nbd\",\"file.filename\":\"/i/b\"}", NULL},
        {"json:{\"driver\":\"raw\",\"file\":{\"driver\":\"raw\",\"file\":{\"filename\":\"file:/i/b\"}}}", "/i/b"},
        {"json:{\"driver\":\"nbd\",\"host\":\"h\",\"filename\":\"/i/b\"}", NULL},
        {"json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"nbd\",\"path\":\"/s\"}}", NULL},
        {"json:[1]", NULL},
        {"json:{", NULL},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = drv_image_name_path(cases[i].name, "/vms/web/top.qcow2");

        g_assert_cmpstr(path, ==, cases[i].path);
    }
}

static void qemu_img(const char *directory, const char *arguments)
{
    g_autofree char *command = g_strdup_printf("qemu-img create -q -f qcow2 %s", arguments);
    g_auto(GStrv) argv = NULL;
    g_autoptr(GError) error = NULL;
    int status = 0;

    g_assert_true(g_shell_parse_argv(command, NULL, &argv, &error));
    g_assert_true(g_spawn_sync(directory, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, &error));
    g_assert_no_error(error);
    g_assert_cmpint(status, ==, 0);
}

static void assert_part(GPtrArray *parts, guint index, const char *directory, const char *name, const char *format,
                        gboolean data)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    const drv_image_part *part;

    g_assert_cmpuint(parts->len, >, index);
    part = parts->pdata[index];
    g_assert_true(part->local);
    g_assert_cmpstr(part->path, ==, path);
    g_assert_cmpstr(part->format, ==, format);
    g_assert_true(part->data == data);
}

/* A chain of three; the last has its contents in a data file. And the same read one by one, and as a raw image. */
static void test_parts(void)
{
    g_autofree char *directory = g_dir_make_tmp("drv-image-XXXXXX", NULL);
    g_autofree char *top = g_build_filename(directory, "top.qcow2", NULL);
    g_autofree char *json = NULL;
    g_autofree char *program = g_find_program_in_path("qemu-img");
    static const char *const files[] = {"top.qcow2", "middle.qcow2", "db.qcow2", "db.data", NULL};
    g_autoptr(GPtrArray) parts = NULL;
    g_autoptr(GPtrArray) own = NULL;
    g_autoptr(GPtrArray) raw = NULL;

    if (!program) {
        g_test_skip("qemu-img is not installed");
        g_rmdir(directory);
        return;
    }
    qemu_img(directory, "-o data_file=db.data,data_file_raw=on db.qcow2 1M");
    qemu_img(directory, "-b db.qcow2 -F qcow2 middle.qcow2");
    json = g_strdup_printf("-F qcow2 -b 'json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\","
                           "\"filename\":\"%s/middle.qcow2\"}}' top.qcow2",
                           directory);
    qemu_img(directory, json);
    parts = drv_image_parts(top, "qcow2");
    g_assert_cmpuint(parts->len, ==, 3);
    assert_part(parts, 0, directory, "middle.qcow2", "qcow2", FALSE);
    assert_part(parts, 1, directory, "db.qcow2", "qcow2", FALSE);
    assert_part(parts, 2, directory, "db.data", "raw", TRUE);
    own = drv_image_looks_like(top);
    g_assert_cmpuint(own->len, ==, 1);
    /* A guest can write anything into a raw image. */
    raw = drv_image_parts(top, "raw");
    g_assert_cmpuint(raw->len, ==, 0);
    for (guint i = 0; files[i]; i++) {
        g_autofree char *path = g_build_filename(directory, files[i], NULL);
        g_assert_cmpint(g_unlink(path), ==, 0);
    }
    g_rmdir(directory);
}

/* Two images that are based on each other, and one that is not there. */
static void test_circles_end(void)
{
    g_autofree char *directory = g_dir_make_tmp("drv-image-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(directory, "a.qcow2", NULL);
    guint8 header[200] = "QFI\xfb\0\0\0\2\0\0\0\0\0\0\0\x80\0\0\0\7";
    g_autoptr(GPtrArray) parts = NULL;
    g_autoptr(GPtrArray) none = NULL;

    memcpy(header + 0x80, "a.qcow2", 7);
    g_assert_true(g_file_set_contents(path, (const char *)header, sizeof header, NULL));
    parts = drv_image_parts(path, "qcow2");
    g_assert_cmpuint(parts->len, ==, 1);
    assert_part(parts, 0, directory, "a.qcow2", NULL, FALSE);
    g_unlink(path);
    none = drv_image_parts(path, "qcow2");
    g_assert_cmpuint(none->len, ==, 0);
    g_rmdir(directory);
}

/* Cut anywhere, and with any byte wrong, it is read within its bounds (the sanitizers look). */
static void test_broken_headers(void)
{
    guint8 header[160] = "QFI\xfb\0\0\0\3\0\0\0\0\0\0\0\x90\0\0\0\4";

    header[103] = 104;                             /* header length */
    memcpy(header + 104, "DATA\0\0\0\5d.raw", 13); /* padded to 120 */
    memcpy(header + 120, "\xe2\x79\x2a\xca\0\0\0\5qcow2", 13);
    memcpy(header + 0x90, "base", 4);
    for (gsize size = 0; size <= sizeof header; size++) {
        g_autofree guint8 *exact = g_memdup2(header, size);
        GPtrArray *parts = drv_image_read_header(exact, size, "/i/top");

        if (size == sizeof header) {
            assert_part(parts, 0, "/", "d.raw", "raw", TRUE); /* where QEMU looks */
            assert_part(parts, 1, "/i", "base", "qcow2", FALSE);
        }
        g_clear_pointer(&parts, g_ptr_array_unref);
    }
    for (gsize at = 0; at < sizeof header; at++)
        for (guint value = 0; value < 256; value += 5) {
            g_autofree guint8 *copy = g_memdup2(header, sizeof header);
            GPtrArray *parts;

            copy[at] = (guint8)value;
            parts = drv_image_read_header(copy, sizeof header, "/i/top");
            g_clear_pointer(&parts, g_ptr_array_unref);
        }
    header[7] = 9;
    g_assert_null(drv_image_read_header(header, sizeof header, "/i/top"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/image/names", test_names);
    g_test_add_func("/image/parts", test_parts);
    g_test_add_func("/image/circles-end", test_circles_end);
    g_test_add_func("/image/broken-headers", test_broken_headers);
    return g_test_run();
}
