/* SPDX-License-Identifier: Apache-2.0 */
/* The witness's records: what is on the disk is found, what was lost is counted. */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "records.h"

struct fixture {
    struct witness_disk d;
    uint8_t *buffer;
    char *path;
};

static void set_up(struct fixture *f, gconstpointer size_bytes)
{
    int fd = g_file_open_tmp("drover-records-XXXXXX", &f->path, NULL);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, (off_t)GPOINTER_TO_SIZE(size_bytes)), ==, 0);
    f->buffer = g_aligned_alloc0(1, WITNESS_CHUNK, WITNESS_RECORD);
    g_assert_cmpint(witness_disk_init(&f->d, fd, GPOINTER_TO_SIZE(size_bytes), f->buffer), ==, 0);
}

static void tear_down(struct fixture *f, gconstpointer size_bytes)
{
    (void)size_bytes;
    close(f->d.fd);
    g_unlink(f->path);
    g_free(f->path);
    g_aligned_free(f->buffer);
}

static void write_records(struct fixture *f, uint64_t first, uint64_t last)
{
    for (uint64_t n = first; n <= last; n++)
        g_assert_cmpint(witness_disk_write(&f->d, n, 42), ==, 0);
}

static struct witness_scan scan(struct fixture *f)
{
    struct witness_scan s;

    g_assert_cmpint(witness_disk_scan(&f->d, &s), ==, 0);
    return s;
}

static void damage(struct fixture *f, uint64_t number, uint64_t at, const void *bytes, size_t size)
{
    off_t offset = (off_t)((number - 1) % f->d.slots * f->d.stride + at);

    g_assert_cmpint(pwrite(f->d.fd, bytes, size, offset), ==, (gssize)size);
}

static void test_empty(struct fixture *f, gconstpointer size_bytes)
{
    struct witness_scan s = scan(f);

    (void)size_bytes;
    g_assert_cmpuint(s.highest, ==, 0);
    g_assert_cmpuint(s.missing, ==, 0);
    g_assert_cmpuint(s.damaged, ==, 0);
}

static void test_some(struct fixture *f, gconstpointer size_bytes)
{
    struct witness_scan s;

    (void)size_bytes;
    write_records(f, 1, 10);
    s = scan(f);
    g_assert_cmpuint(s.highest, ==, 10);
    g_assert_cmpuint(s.oldest, ==, 1);
    g_assert_cmpuint(s.missing, ==, 0);
}

static void test_wrapped(struct fixture *f, gconstpointer size_bytes)
{
    struct witness_scan s;

    (void)size_bytes;
    write_records(f, 1, f->d.slots + 3);
    s = scan(f);
    g_assert_cmpuint(s.highest, ==, f->d.slots + 3);
    g_assert_cmpuint(s.oldest, ==, 5);
    g_assert_cmpuint(s.missing, ==, 0);
    /* The next write is torn by a crash: nothing that was acknowledged is lost. */
    damage(f, f->d.slots + 4, 100, "torn", 4);
    s = scan(f);
    g_assert_cmpuint(s.missing, ==, 0);
    g_assert_cmpuint(s.damaged, ==, 1);
}

static void test_lost(struct fixture *f, gconstpointer size_bytes)
{
    char zeros[WITNESS_RECORD] = {0};
    struct witness_scan s;

    (void)size_bytes;
    write_records(f, 1, 10);
    damage(f, 4, 0, zeros, sizeof(zeros)); /* never arrived */
    damage(f, 7, 2000, "x", 1);            /* one byte wrong */
    s = scan(f);
    g_assert_cmpuint(s.highest, ==, 10);
    g_assert_cmpuint(s.missing, ==, 2);
    g_assert_cmpuint(s.damaged, ==, 1);
}

/* A write that went missing where an older record of an earlier round is. */
static void test_stale(struct fixture *f, gconstpointer size_bytes)
{
    uint8_t old[WITNESS_RECORD];
    struct witness_scan s;

    (void)size_bytes;
    write_records(f, 1, f->d.slots);
    g_assert_cmpint(pread(f->d.fd, old, sizeof(old), (off_t)f->d.stride), ==, sizeof(old));
    write_records(f, f->d.slots + 1, f->d.slots + 5);
    damage(f, 2, 0, old, sizeof(old));
    s = scan(f);
    g_assert_cmpuint(s.highest, ==, f->d.slots + 5);
    g_assert_cmpuint(s.missing, ==, 1);
    g_assert_cmpuint(s.damaged, ==, 0);
}

static void test_too_small(void)
{
    struct witness_disk d;

    g_assert_cmpint(witness_disk_init(&d, -1, WITNESS_RECORD - 1, NULL), <, 0);
}

int main(int argc, char **argv)
{
    /* 32 records back to back; and slots that are wider than one read. */
    gconstpointer small = GSIZE_TO_POINTER(32 * WITNESS_RECORD);
    gconstpointer large = GSIZE_TO_POINTER((gsize)WITNESS_MAX_SLOTS * WITNESS_CHUNK * 2);

    g_test_init(&argc, &argv, NULL);
    g_test_add("/lab/records/empty", struct fixture, small, set_up, test_empty, tear_down);
    g_test_add("/lab/records/some", struct fixture, small, set_up, test_some, tear_down);
    g_test_add("/lab/records/some-far-apart", struct fixture, large, set_up, test_some, tear_down);
    g_test_add("/lab/records/wrapped", struct fixture, small, set_up, test_wrapped, tear_down);
    g_test_add("/lab/records/lost", struct fixture, small, set_up, test_lost, tear_down);
    g_test_add("/lab/records/stale", struct fixture, small, set_up, test_stale, tear_down);
    g_test_add_func("/lab/records/too-small", test_too_small);
    return g_test_run();
}
