/* SPDX-License-Identifier: Apache-2.0 */
/* What a path is: facts, markers, digests, and contents sent by qemu-img to a qemu-nbd. */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk-log.h"
#include "hyper/content.h"
#include "hyper/probe.h"

static char *scratch;

static char *in_scratch(const char *name)
{
    return g_build_filename(scratch, name, NULL);
}

static char *file_with(const char *name, const char *bytes, gsize length)
{
    char *path = in_scratch(name);
    g_autoptr(GError) error = NULL;

    g_file_set_contents(path, bytes, (gssize)length, &error);
    g_assert_no_error(error);
    return path;
}

static void test_facts(void)
{
    g_autofree char *path = file_with("facts", "12345", 5);
    g_autofree char *missing = in_scratch("missing");
    g_autoptr(GError) error = NULL;
    drv_file_facts facts;
    struct stat st;

    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_true(drv_probe_file(path, &facts, &error));
    g_assert_true(facts.exists && !facts.block && !facts.known_shared);
    g_assert_cmpuint(facts.size_bytes, ==, 5);
    g_assert_cmpuint(facts.inode, ==, st.st_ino);
    drv_file_facts_clear(&facts);
    g_assert_true(drv_probe_file(missing, &facts, &error));
    g_assert_false(facts.exists);
    g_assert_false(drv_probe_file(scratch, &facts, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_REFUSED);
    g_clear_error(&error);
    g_assert_false(drv_probe_file("facts", &facts, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_INVALID);
}

static void test_markers(void)
{
    g_autofree char *image = file_with("image", "x", 1);
    g_autofree char *other = file_with("secret", "token-1", 7);
    g_autoptr(GError) error = NULL;
    g_autofree char *marker = drv_probe_mark(image, "token-1", &error);
    g_autofree char *link = in_scratch(".drover-probe-link");

    g_assert_no_error(error);
    g_assert_true(drv_probe_sees(marker, "token-1"));
    g_assert_false(drv_probe_sees(marker, "token-2"));
    g_assert_false(drv_probe_sees(marker, "token"));
    /* Only markers are read: the asking host cannot test what is in other files. */
    g_assert_false(drv_probe_sees(other, "token-1"));
    g_assert_cmpint(symlink(other, link), ==, 0);
    g_assert_false(drv_probe_sees(link, "token-1"));
    g_assert_null(drv_probe_mark(image, "token-1", &error));
    g_clear_error(&error);
    g_unlink(marker);
    g_assert_false(drv_probe_sees(marker, "token-1"));
    g_assert_null(drv_probe_mark("/nowhere/image", "token-1", &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_FAILED);
}

static void test_digests(void)
{
    g_autofree char *one = file_with("one", "same contents", 13);
    g_autofree char *two = file_with("two", "same contents", 13);
    g_autofree char *other = file_with("other", "same content!", 13);
    g_autofree char *large = in_scratch("large");
    g_autofree char *a = drv_probe_digest(one, FALSE, NULL);
    g_autofree char *b = drv_probe_digest(two, TRUE, NULL);
    g_autofree char *c = drv_probe_digest(other, FALSE, NULL);
    g_autofree char *d = NULL, *e = NULL, *f = NULL;
    g_autoptr(GError) error = NULL;
    int fd;

    g_assert_nonnull(a);
    g_assert_cmpstr(a, ==, b);
    g_assert_cmpstr(a, !=, c);
    /* Of a large one the length and both ends count. */
    fd = g_open(large, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    g_assert_cmpint(ftruncate(fd, (off_t)300 << 20), ==, 0);
    d = drv_probe_digest(large, FALSE, NULL);
    g_assert_cmpint(pwrite(fd, "x", 1, ((off_t)300 << 20) - 1), ==, 1);
    e = drv_probe_digest(large, FALSE, NULL);
    g_assert_cmpint(ftruncate(fd, ((off_t)300 << 20) + 1), ==, 0);
    f = drv_probe_digest(large, FALSE, NULL);
    g_assert_nonnull(f);
    g_assert_cmpstr(d, !=, e);
    g_assert_cmpstr(e, !=, f);
    /* What a VM's disk is based on is read as a whole, or not taken as the same. */
    g_assert_cmpint(ftruncate(fd, ((off_t)2 << 30) + 1), ==, 0);
    close(fd);
    g_assert_null(drv_probe_digest(large, TRUE, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_REFUSED);
}

static void test_blank(void)
{
    g_autofree char *path = in_scratch("blank");
    g_autoptr(GError) error = NULL;
    int fd = g_open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);

    g_assert_cmpint(ftruncate(fd, 4 << 20), ==, 0);
    g_assert_true(drv_probe_is_blank(path, &error));
    g_assert_cmpint(pwrite(fd, "x", 1, (4 << 20) - 1), ==, 1);
    g_assert_false(drv_probe_is_blank(path, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_REFUSED);
    g_assert_nonnull(strstr(error->message, "not empty"));
    close(fd);
}

static gboolean stop_at_once(gpointer data)
{
    (void)data;
    return FALSE;
}

/* Sent through a socket, zeros are not written, and all is on the disk when the export is over. */
static void test_contents(void)
{
    g_autofree char *qemu_nbd = g_find_program_in_path("qemu-nbd");
    g_autofree char *bytes = g_malloc0(8 << 20);
    g_autofree char *from = NULL, *to = in_scratch("to"), *socket = in_scratch("nbd.sock");
    g_autofree char *pid = in_scratch("nbd.pid"), *found = NULL, *uri = NULL;
    g_autoptr(GError) error = NULL;
    struct stat st;
    gsize length = 0;
    int fd;

    if (!qemu_nbd) {
        g_test_skip("qemu-nbd is not installed");
        return;
    }
    memset(bytes, 'a', 1 << 20);
    bytes[(8 << 20) - 1] = 'z';
    from = file_with("from", bytes, 8 << 20);
    fd = g_open(to, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    g_assert_cmpint(ftruncate(fd, 8 << 20), ==, 0);
    close(fd);
    g_assert_true(drv_content_export(to, "raw", socket, pid, &error));
    g_assert_cmpint(stat(socket, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 0777, ==, 0770);
    uri = g_strdup_printf("nbd+unix:///?socket=%s", socket);
    g_assert_true(drv_content_copy(from, "raw", uri, "raw", TRUE, 0, NULL, NULL, &error));
    g_assert_no_error(error);
    g_assert_true(drv_content_unexport(socket, pid, NULL));
    g_assert_false(g_file_test(socket, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(pid, G_FILE_TEST_EXISTS));
    g_assert_true(g_file_get_contents(to, &found, &length, NULL));
    g_assert_cmpmem(found, length, bytes, 8 << 20);
    g_assert_cmpint(stat(to, &st), ==, 0);
    g_assert_cmpint(st.st_blocks * 512, <=, 2 << 20);

    /* To a file: qemu-img ignores that its last flush fails, so it is flushed once more. */
    disk_log_begin();
    g_assert_true(drv_content_copy(from, "raw", to, "raw", FALSE, 0, NULL, NULL, &error));
    g_assert_no_error(error);
    g_free(found);
    found = disk_log_end();
    g_assert_true(g_str_has_prefix(found, "flush to, flush "));
    disk_log_fail("to", EIO);
    g_assert_false(drv_content_copy(from, "raw", to, "raw", FALSE, 0, NULL, NULL, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_FAILED);
    g_clear_error(&error);
    disk_log_fail(NULL, 0);
    /* Slowed down, so that it is still there to be stopped. */
    g_assert_false(drv_content_copy(from, "raw", to, "raw", FALSE, 1 << 16, stop_at_once, NULL, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_CANCELLED);
    g_clear_error(&error);
    g_assert_false(drv_content_copy("/nowhere", "raw", to, "raw", FALSE, 0, NULL, NULL, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_FAILED);
    g_clear_error(&error);
    g_assert_false(drv_content_export("/nowhere", "raw", socket, pid, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_FAILED);
    g_assert_true(drv_content_unexport(socket, pid, NULL));
}

static void test_programs(void)
{
    const char *const good[] = {"/bin/sh", "-c", "test \"$A\" = b", NULL};
    const char *const env[] = {"A=b", NULL};
    const char *const bad[] = {"/bin/sh", "-c", "echo first; echo the reason >&2; exit 3", NULL};
    const char *const slow[] = {"/bin/sh", "-c", "read x </proc/self/fd/1; kill -STOP $$", NULL};
    g_autoptr(GError) error = NULL;

    g_assert_true(drv_content_run(good, env, 10000, &error));
    g_assert_no_error(error);
    g_assert_false(drv_content_run(bad, NULL, 10000, &error));
    g_assert_nonnull(strstr(error->message, "the reason"));
    g_assert_null(strstr(error->message, "first"));
    g_clear_error(&error);
    g_assert_false(drv_content_run(slow, NULL, 200, &error));
    g_assert_nonnull(strstr(error->message, "did not end"));
}

static void remove_scratch(void)
{
    const char *argv[] = {"rm", "-rf", scratch, NULL};

    drv_content_run(argv, NULL, 10000, NULL);
}

int main(int argc, char **argv)
{
    int rc;

    g_test_init(&argc, &argv, NULL);
    scratch = g_dir_make_tmp("drover-probe-XXXXXX", NULL);
    g_test_add_func("/probe/facts", test_facts);
    g_test_add_func("/probe/markers", test_markers);
    g_test_add_func("/probe/digests", test_digests);
    g_test_add_func("/probe/blank", test_blank);
    g_test_add_func("/content/over-nbd", test_contents);
    g_test_add_func("/content/programs", test_programs);
    rc = g_test_run();
    remove_scratch();
    g_free(scratch);
    return rc;
}
