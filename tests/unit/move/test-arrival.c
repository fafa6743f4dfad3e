/* SPDX-License-Identifier: Apache-2.0 */
/* What is made at the target is on the disk before the source hears that it is there. */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk-log.h"
#include "model/json.h"
#include "move/target/arrival.h"

static const drv_uuid uuid = {"6695eb01-f6a4-8304-79aa-97f2502e193f"};

typedef struct {
    char *dir; /* of the session */
    char *images;
    char *path; /* of the image */
    json_object *made;
    json_object *what;
} fixture;

static void set_up(fixture *f, gconstpointer data)
{
    g_autofree char *bytes = g_malloc0(1 << 20);

    f->dir = g_dir_make_tmp("drv-session-XXXXXX", NULL);
    f->images = g_build_filename(f->dir, "images", NULL);
    f->path = g_build_filename(f->images, "web1.img", NULL);
    g_assert_cmpint(g_mkdir(f->images, 0700), ==, 0);
    g_assert_true(g_file_set_contents(f->path, bytes, 1 << 20, NULL));
    f->made = json_object_new_array();
    json_object_array_add(f->made, json_object_new_string(f->path));
    f->what = json_object_new_object();
    drv_json_set_string(f->what, "path", f->path);
    disk_log_fail(NULL, 0);
}

static void tear_down(fixture *f, gconstpointer data)
{
    json_object_put(f->made);
    json_object_put(f->what);
    g_unlink(f->path);
    g_rmdir(f->images);
    g_assert_cmpint(g_rmdir(f->dir), ==, 0);
    g_free(f->path);
    g_free(f->images);
    g_free(f->dir);
}

static void test_image_that_was_sent(fixture *f, gconstpointer data)
{
    g_autofree char *qemu_nbd = g_find_program_in_path("qemu-nbd");
    g_autoptr(GError) error = NULL;
    g_autofree char *order = NULL;
    struct stat info;
    int written = -1;

    if (!qemu_nbd) {
        g_test_skip("qemu-nbd is not installed");
        return;
    }
    g_assert_true(drv_arrival_export(f->dir, NULL, f->made, f->what, &written, &error));
    g_assert_no_error(error);
    g_assert_cmpint(written, >=, 0);
    drv_json_set_int(f->what, "file_bytes", (1 << 20) - 100);
    disk_log_begin();
    g_assert_true(drv_arrival_unexport(f->dir, f->made, f->what, &written, &error));
    g_assert_no_error(error);
    g_assert_cmpint(written, ==, -1);
    order = disk_log_end();
    g_assert_true(g_str_has_suffix(order, "flush web1.img, flush images"));
    g_assert_cmpint(stat(f->path, &info), ==, 0);
    g_assert_cmpint(info.st_size, ==, (1 << 20) - 100);

    /* The disk failed: the source must not hear that it is there. */
    disk_log_fail("web1.img", EIO);
    g_assert_true(drv_arrival_export(f->dir, NULL, f->made, f->what, &written, NULL));
    g_assert_false(drv_arrival_unexport(f->dir, f->made, f->what, &written, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_FAILED);
    g_assert_cmpint(written, ==, -1);
}

static void test_all_that_was_made(fixture *f, gconstpointer data)
{
    g_autofree char *nowhere = g_build_filename(f->images, "VARS.fd", NULL);
    g_autoptr(GError) error = NULL;
    g_autofree char *order = NULL;

    /* libvirt makes it when the guest comes: it need not be there. */
    json_object_array_add(f->made, json_object_new_string(nowhere));
    disk_log_begin();
    g_assert_true(drv_arrival_flush("web1", &uuid, f->made, &error));
    g_assert_no_error(error);
    order = disk_log_end();
    g_assert_true(g_str_has_prefix(order, "flush web1.img, flush images"));
    if (g_file_test("/etc/libvirt/qemu", G_FILE_TEST_IS_DIR))
        g_assert_nonnull(strstr(order, "flush qemu")); /* the definition, when its images are there */
    disk_log_fail("images", EIO);
    g_assert_false(drv_arrival_flush("web1", &uuid, f->made, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_FAILED);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function) g_test_add("/arrival/" name, fixture, NULL, set_up, function, tear_down)
    ADD("image-that-was-sent", test_image_that_was_sent);
    ADD("all-that-was-made", test_all_that_was_made);
    return g_test_run();
}
