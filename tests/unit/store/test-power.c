/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store and power losses. At each moment at which the store flushes a file, all that a disk may have
 * by then is made: of each file what was last flushed, or what has been written since. From every such
 * mixture a store opens and has what was acknowledged; the note of how far it had come (sqlite-seen.h) must
 * never keep it from that.
 *
 * The flushes are seen because this program's fsync() and fdatasync() stand before the C library's.
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"

#define FILES 3

int fsync(int fd);
int fdatasync(int fd);

static const char *const suffix[FILES] = {"", "-wal", "-seen"};

static struct {
    const scratch *store; /* NULL: nothing is looked at */
    scratch image;        /* what a disk may have */
    char *flushed[FILES]; /* the content at the last flush; NULL: it was never flushed */
    gsize flushed_bytes[FILES];
    guint acknowledged;
    guint flushes, images;
} disk;

static gboolean read_file(const char *path, char **bytes, gsize *length)
{
    g_autoptr(GError) error = NULL;

    if (g_file_get_contents(path, bytes, length, &error))
        return TRUE;
    g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT);
    return FALSE;
}

static void write_file(const char *path, const char *bytes, gsize length)
{
    FILE *file = bytes ? fopen(path, "we") : NULL;

    if (!bytes) {
        g_unlink(path);
        return;
    }
    g_assert_nonnull(file);
    g_assert_cmpuint(fwrite(bytes, 1, length, file), ==, length);
    g_assert_cmpint(fclose(file), ==, 0);
}

/* A child: a droverd after the power came back. */
static void expect_whole(void)
{
    pid_t child = fork();
    int how;

    g_assert_cmpint(child, >=, 0);
    if (child == 0) {
        drv_store *store;

        disk.store = NULL;
        store = scratch_open(&disk.image);
        for (guint i = 0; i < disk.acknowledged; i++) {
            g_autofree char *key = g_strdup_printf("k-%u", i);
            g_autoptr(drv_document) found = drv_store_get(store, "power", key, NULL);

            g_assert_nonnull(found);
        }
        /* It goes on, and what it writes then it finds again. */
        g_assert_true(drv_store_put(store, "power", "after", "{}", DRV_REVISION_ANY, NULL, NULL));
        drv_store_close(store);
        drv_store_close(scratch_open(&disk.image));
        _exit(0);
    }
    g_assert_cmpint(waitpid(child, &how, 0), ==, child);
    g_assert_cmpint(how, ==, 0);
    disk.images++;
}

static void lose_power(void)
{
    char *now[FILES] = {NULL};
    gsize now_bytes[FILES] = {0};
    guint differs = 0;

    for (guint i = 0; i < FILES; i++) {
        g_autofree char *path = g_strconcat(disk.store->path, suffix[i], NULL);

        (void)read_file(path, &now[i], &now_bytes[i]);
    }
    for (guint i = 0; i < FILES; i++)
        if ((now[i] == NULL) != (disk.flushed[i] == NULL) || now_bytes[i] != disk.flushed_bytes[i] ||
            (now[i] && memcmp(now[i], disk.flushed[i], now_bytes[i]) != 0))
            differs |= 1U << i;
    for (guint mixture = 0; mixture < 1U << FILES; mixture++) {
        if (mixture & ~differs)
            continue; /* the same as another one */
        for (guint i = 0; i < FILES; i++) {
            g_autofree char *path = g_strconcat(disk.image.path, suffix[i], NULL);
            gboolean reached = mixture >> i & 1;

            write_file(path, reached ? now[i] : disk.flushed[i], reached ? now_bytes[i] : disk.flushed_bytes[i]);
        }
        expect_whole();
    }
    for (guint i = 0; i < FILES; i++)
        g_free(now[i]);
}

static void note_flush(int fd)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autofree char *path = g_file_read_link(link, NULL);

    for (guint i = 0; i < FILES; i++) {
        g_autofree char *name = g_strconcat(disk.store->path, suffix[i], NULL);

        if (g_strcmp0(path, name) != 0)
            continue;
        g_clear_pointer(&disk.flushed[i], g_free);
        g_assert_true(read_file(name, &disk.flushed[i], &disk.flushed_bytes[i]));
        disk.flushes++;
    }
}

static int flush(int fd, long call)
{
    int rc;

    if (disk.store)
        lose_power();
    rc = (int)syscall(call, fd);
    if (disk.store) {
        note_flush(fd);
        lose_power();
    }
    return rc;
}

int fsync(int fd)
{
    return flush(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return flush(fd, SYS_fdatasync);
}

/* Ends like a power loss: the store is not closed, since that would copy the log into the database. */
static void test_mixtures(gconstpointer data)
{
    guint document_bytes = GPOINTER_TO_UINT(data);
    g_autofree char *text = g_strnfill(document_bytes, 'x');
    g_autofree char *json = g_strdup_printf("\"%s\"", text);
    guint count = 12;
    /* Flushing takes no time there; what counts is when it is asked for. */
    const char *base = g_file_test("/dev/shm", G_FILE_TEST_IS_DIR) ? "/dev/shm" : NULL;
    scratch s;

    memset(&disk, 0, sizeof disk);
    scratch_init(&s, base);
    scratch_init(&disk.image, base);
    disk.store = &s;
    s.store = scratch_open(&s);
    for (guint i = 0; i < count; i++) {
        g_autofree char *key = g_strdup_printf("k-%u", i);

        if (i == 3)
            scratch_reopen(&s); /* the log goes into the database, and is removed */
        g_assert_true(drv_store_put(s.store, "power", key, json, DRV_REVISION_NEW, NULL, NULL));
        g_assert_cmpint(drv_store_next(s.store, "n", NULL), ==, i + 1);
        disk.acknowledged++;
    }
    disk.store = NULL;
    g_assert_cmpuint(disk.flushes, >, count);
    g_test_message("%u flushes, %u images", disk.flushes, disk.images);
    for (guint i = 0; i < FILES; i++)
        g_free(disk.flushed[i]);
    scratch_done(&disk.image);
    scratch_done(&s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/store/power/small", GUINT_TO_POINTER(100), test_mixtures);
    /* So large that the log begins anew within its file. */
    g_test_add_data_func("/store/power/large", GUINT_TO_POINTER(600 << 10), test_mixtures);
    return g_test_run();
}
