/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far the store has come: see sqlite-seen.h.
 *
 * Two slots of one sector each, written in turn. A note that is torn by a power loss spoils its own slot
 * only; the other one has the revision before. Each has a checksum, so that a file of noise counts
 * as none: it must not keep a good store from being opened.
 */
#include "store/sqlite-seen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

#define SLOTS 2
#define SLOT_BYTES 4096 /* a sector of any disk */
#define TEXT_BYTES 128
#define MAGIC "drover-seen"

struct drv_seen {
    char *path;
    int fd;
    gint64 last;
    guint slot; /* that is written next */
};

static char *checksum(gint64 revision)
{
    g_autofree char *text = g_strdup_printf(MAGIC " %" G_GINT64_FORMAT, revision);

    return g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
}

/* 0: nothing that can be believed. */
static gint64 read_slot(int fd, guint slot)
{
    char text[TEXT_BYTES + 1] = "";
    g_auto(GStrv) words = NULL;
    g_autofree char *sum = NULL;
    gint64 revision = 0;

    if (pread(fd, text, TEXT_BYTES, (off_t)slot * SLOT_BYTES) <= 0)
        return 0;
    words = g_strsplit_set(text, " \n", 4);
    if (g_strv_length(words) < 3 || !g_str_equal(words[0], MAGIC) ||
        !g_ascii_string_to_signed(words[1], 10, 0, G_MAXINT64, &revision, NULL))
        return 0;
    sum = checksum(revision);
    return g_str_equal(sum, words[2]) ? revision : 0;
}

static char *path_of(const char *store)
{
    return g_strconcat(store, "-seen", NULL);
}

static void sync_directory(const char *path)
{
    g_autofree char *directory = g_path_get_dirname(path);
    drv_autoclose int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0)
        (void)fsync(fd); /* a file system that cannot is no worse than without */
}

/* Its room is taken now, and its name is on the disk: a note needs no more than its own sector. */
static gboolean make(int fd, const char *path)
{
    g_autofree char *zeros = g_malloc0(SLOTS * SLOT_BYTES);

    if (pwrite(fd, zeros, SLOTS * SLOT_BYTES, 0) != SLOTS * SLOT_BYTES || fsync(fd) < 0)
        return FALSE;
    sync_directory(path);
    return TRUE;
}

gboolean drv_seen_forget(const char *path, GError **error)
{
    g_autofree char *name = path_of(path);

    if (unlink(name) == 0) {
        sync_directory(name);
        return TRUE;
    }
    if (errno == ENOENT || errno == ENOTDIR)
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot remove %s, which is of an earlier store: %s", name,
                g_strerror(errno));
    return FALSE;
}

/* Return: whether the file is there and has its room. */
static gboolean take_file(drv_seen *seen)
{
    off_t size;

    seen->fd = open(seen->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (seen->fd < 0)
        return FALSE;
    size = lseek(seen->fd, 0, SEEK_END);
    if (size >= SLOTS * SLOT_BYTES || (size >= 0 && make(seen->fd, seen->path)))
        return TRUE;
    close(drv_steal_fd(&seen->fd));
    return FALSE;
}

drv_seen *drv_seen_open(const char *path)
{
    drv_seen *seen = g_new0(drv_seen, 1);

    seen->path = path_of(path);
    if (!take_file(seen)) {
        drv_log_warning("cannot write %s, which notes how far the store has come: %s. Until it can a damaged "
                        "-wal is not noticed",
                        seen->path, g_strerror(errno));
        return seen;
    }
    for (guint i = 0; i < SLOTS; i++) {
        gint64 found = read_slot(seen->fd, i);

        if (found > seen->last) {
            seen->last = found;
            seen->slot = (i + 1) % SLOTS;
        }
    }
    return seen;
}

gint64 drv_seen_last(const drv_seen *seen)
{
    return seen->last;
}

void drv_seen_note(drv_seen *seen, gint64 revision)
{
    g_autofree char *sum = NULL;
    char text[TEXT_BYTES] = "";

    if (revision <= seen->last || (seen->fd < 0 && !take_file(seen)))
        return;
    sum = checksum(revision);
    (void)snprintf(text, sizeof text, MAGIC " %" G_GINT64_FORMAT " %s\n", revision, sum);
    if (pwrite(seen->fd, text, sizeof text, (off_t)seen->slot * SLOT_BYTES) != sizeof text || fdatasync(seen->fd) < 0)
        return;
    seen->last = revision;
    seen->slot = (seen->slot + 1) % SLOTS;
}

const char *drv_seen_place(const drv_seen *seen)
{
    return seen->path;
}

void drv_seen_close(drv_seen *seen)
{
    if (!seen)
        return;
    if (seen->fd >= 0)
        close(seen->fd);
    g_free(seen->path);
    g_free(seen);
}
