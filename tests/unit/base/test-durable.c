/* SPDX-License-Identifier: Apache-2.0 */
/* src/base/durable: in which order the disk is told, and what becomes of its errors. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/durable.h"
#include "disk-log.h"

typedef struct {
    char *directory; /* …/top, with "old" and "new" in it */
} fixture;

static char *in(fixture *f, const char *name)
{
    return g_build_filename(f->directory, name, NULL);
}

static void make(fixture *f, const char *name)
{
    g_autofree char *path = in(f, name);

    g_assert_true(g_file_set_contents(path, "as it was", -1, NULL));
}

static void set_up(fixture *f, gconstpointer data)
{
    g_autofree char *root = g_dir_make_tmp("drv-durable-XXXXXX", NULL);
    g_autofree char *old = NULL, *new = NULL;

    f->directory = g_build_filename(root, "top", NULL);
    old = in(f, "old");
    new = in(f, "new");
    g_assert_cmpint(g_mkdir_with_parents(old, 0700), ==, 0);
    g_assert_cmpint(g_mkdir(new, 0700), ==, 0);
    disk_log_fail(NULL, 0);
    disk_log_begin();
}

static void remove_tree(const char *path)
{
    g_autoptr(GDir) directory = g_file_test(path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open(path, 0, NULL);
    const char *name;

    while (directory && (name = g_dir_read_name(directory))) {
        g_autofree char *inner = g_build_filename(path, name, NULL);

        remove_tree(inner);
    }
    g_remove(path);
}

static void tear_down(fixture *f, gconstpointer data)
{
    g_autofree char *root = g_path_get_dirname(f->directory);

    remove_tree(root);
    g_free(f->directory);
}

static void logged(const char *expected)
{
    g_autofree char *found = disk_log_end();

    g_assert_cmpstr(found, ==, expected);
}

static void test_file(fixture *f, gconstpointer data)
{
    g_autofree char *path = in(f, "old/a.img");
    g_autofree char *link = in(f, "new/link");

    make(f, "old/a.img");
    disk_log_begin();
    g_assert_cmpint(drv_durable_file(path, NULL), ==, 0);
    logged("flush a.img, flush old");
    g_assert_cmpint(symlink(path, link), ==, 0);
    disk_log_begin();
    g_assert_cmpint(drv_durable_file(link, NULL), ==, 0);
    logged("flush a.img, flush new, flush old"); /* both entries lead to it */
}

static void test_write(fixture *f, gconstpointer data)
{
    g_autofree char *path = in(f, "old/node.json");
    g_autofree char *temporary = g_strdup_printf("node.json.%d.new", (int)getpid());
    g_autofree char *expected =
        g_strdup_printf("unlink %s, flush %s, rename %s node.json, flush old", temporary, temporary, temporary);
    g_autofree char *text = NULL;
    struct drv_error problem = {0};
    struct stat info;

    make(f, "old/node.json");
    disk_log_begin();
    g_assert_cmpint(drv_durable_write(path, "new", 3, 0640, NULL), ==, 0);
    logged(expected);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "new");
    g_assert_cmpint(stat(path, &info), ==, 0);
    g_assert_cmpint(info.st_mode & 0777, ==, 0640);

    /* What cannot be flushed does not take the old one's place. */
    disk_log_fail(temporary, EIO);
    g_assert_cmpint(drv_durable_write(path, "lost", 4, 0600, &problem), ==, -EIO);
    g_assert_nonnull(strstr(problem.message, "cannot flush"));
    g_free(text);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "new");
    g_free(g_steal_pointer(&text));
    text = g_build_filename(f->directory, "old", temporary, NULL);
    g_assert_false(g_file_test(text, G_FILE_TEST_EXISTS));
}

static void test_rename(fixture *f, gconstpointer data)
{
    g_autofree char *from = in(f, "old/a.img");
    g_autofree char *to = in(f, "new/b.img");

    make(f, "old/a.img");
    disk_log_begin();
    g_assert_cmpint(drv_durable_rename(from, to, NULL), ==, 0);
    logged("rename a.img b.img, flush new, flush old");
    g_assert_cmpint(drv_durable_rename(from, to, NULL), ==, -ENOENT);
}

static void test_unlink(fixture *f, gconstpointer data)
{
    g_autofree char *path = in(f, "old/a.img");
    g_autofree char *nowhere = in(f, "nowhere/a.img");

    make(f, "old/a.img");
    disk_log_begin();
    g_assert_cmpint(drv_durable_unlink(path, NULL), ==, 0);
    logged("unlink a.img, flush old");
    /* Whoever removed it may not have come to the flush. */
    disk_log_begin();
    g_assert_cmpint(drv_durable_unlink(path, NULL), ==, 0);
    logged("unlink a.img, flush old");
    g_assert_cmpint(drv_durable_unlink(nowhere, NULL), ==, 0);
}

static void test_tree(fixture *f, gconstpointer data)
{
    g_autofree char *path = in(f, "old");
    g_autofree char *link = in(f, "old/link");
    g_autofree char *inner = in(f, "old/tpm2");

    g_assert_cmpint(g_mkdir(inner, 0700), ==, 0);
    make(f, "old/tpm2/state");
    make(f, "new/others");
    g_assert_cmpint(symlink("../new", link), ==, 0);
    disk_log_begin();
    g_assert_cmpint(drv_durable_tree(path, NULL), ==, 0);
    logged("flush state, flush tpm2, flush old, flush top");
    disk_log_fail("state", EIO);
    g_assert_cmpint(drv_durable_tree(path, NULL), ==, -EIO);
}

static void test_make_directory(fixture *f, gconstpointer data)
{
    g_autofree char *path = in(f, "a/b");

    g_assert_cmpint(drv_durable_make_directory(path, 0700, NULL), ==, 0);
    logged("flush top, flush a");
    g_assert_cmpint(drv_durable_make_directory(path, 0700, NULL), ==, 0);
    make(f, "a/b/file");
    g_free(path);
    path = in(f, "a/b/file/c");
    g_assert_cmpint(drv_durable_make_directory(path, 0700, NULL), ==, -ENOTDIR);
}

static void test_errors(fixture *f, gconstpointer data)
{
    g_autofree char *path = in(f, "old/a.img");
    struct drv_error problem = {0};

    make(f, "old/a.img");
    disk_log_fail("old", EIO);
    g_assert_cmpint(drv_durable_file(path, &problem), ==, -EIO);
    g_assert_nonnull(strstr(problem.message, "cannot flush the directory"));
    /* A file system that has nothing to flush there. */
    disk_log_fail("old", EINVAL);
    g_assert_cmpint(drv_durable_file(path, &problem), ==, 0);
    disk_log_fail("a.img", EINVAL);
    g_assert_cmpint(drv_durable_file(path, &problem), ==, -EINVAL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function) g_test_add("/durable/" name, fixture, NULL, set_up, function, tear_down)
    ADD("file", test_file);
    ADD("write", test_write);
    ADD("rename", test_rename);
    ADD("unlink", test_unlink);
    ADD("tree", test_tree);
    ADD("make-directory", test_make_directory);
    ADD("errors", test_errors);
    return g_test_run();
}
