/* SPDX-License-Identifier: Apache-2.0 */
/* Reservations of memory for relays: see relay-memory.h. */
#include "node/relay-memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "model/budget.h"
#include "model/json.h"

typedef struct {
    guint sessions;
    guint64 mib;
} reserved;

static guint64 budget_bytes(drv_context *ctx)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

    if (ctx->relay_memory_bytes)
        return ctx->relay_memory_bytes;
    return pages > 0 && page > 0 ? drv_budget_bytes((guint64)pages * (guint64)page) : 0;
}

/* One whose relay has ended is removed. */
static void count_one(int directory, const char *name, reserved *sum)
{
    drv_autoclose int fd = openat(directory, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    char text[16] = "";

    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        unlinkat(directory, name, 0);
        return;
    }
    if (read(fd, text, sizeof text - 1) <= 0)
        return;
    sum->sessions++;
    sum->mib += strtoull(text, NULL, 10);
}

/* @directory is locked. */
static void count(drv_context *ctx, int directory, reserved *sum)
{
    g_autoptr(GDir) all = g_dir_open(ctx->sessions_dir, 0, NULL);
    const char *name;

    while (all && (name = g_dir_read_name(all)))
        if (g_str_has_suffix(name, DRV_RESERVE_SUFFIX))
            count_one(directory, name, sum);
}

static int open_locked(drv_context *ctx)
{
    int directory;

    g_mkdir_with_parents(ctx->sessions_dir, 0755);
    directory = open(ctx->sessions_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory >= 0 && flock(directory, LOCK_EX) < 0) {
        close(directory);
        return -1;
    }
    return directory;
}

static int write_down(int directory, const char *dir, guint mib)
{
    g_autofree char *base = g_path_get_basename(dir);
    g_autofree char *name = g_strconcat(base, DRV_RESERVE_SUFFIX, NULL);
    int fd = openat(directory, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return -1;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && dprintf(fd, "%u\n", mib) > 0)
        return fd;
    close(fd);
    return -1;
}

int drv_reserve(drv_context *ctx, const char *dir, guint wish_mib, gboolean must, unsigned *cache_mib, GError **error)
{
    drv_autoclose int directory = open_locked(ctx);
    guint64 budget = budget_bytes(ctx);
    reserved sum = {0};
    int fd;

    if (directory >= 0)
        count(ctx, directory, &sum);
    *cache_mib = drv_budget_cache_mib(budget, wish_mib, sum.sessions, sum.mib);
    if (must)
        *cache_mib = MAX(*cache_mib, DRV_BUDGET_CACHE_LEAST_MIB);
    if (!*cache_mib) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED,
                    "%s has no memory for another migration: %u have reserved %" G_GUINT64_FORMAT
                    " MiB of the %" G_GUINT64_FORMAT
                    " MiB that relays may take there; wait until one has ended ('drover jobs'), or give "
                    "relays more (droverd --relay-memory)",
                    ctx->node, sum.sessions, sum.mib, budget >> 20);
        return -1;
    }
    fd = directory >= 0 ? write_down(directory, dir, drv_budget_session_mib(*cache_mib)) : -1;
    if (fd < 0)
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "memory for a session cannot be reserved in %s: %s",
                    ctx->sessions_dir, g_strerror(errno));
    return fd;
}

void drv_reserve_tell(drv_context *ctx, json_object *node)
{
    drv_autoclose int directory = open_locked(ctx);
    guint64 budget = budget_bytes(ctx);
    reserved sum = {0};

    if (directory < 0)
        return;
    count(ctx, directory, &sum);
    drv_json_set_int(node, "relay_memory_bytes", (gint64)budget);
    drv_json_set_int(node, "relay_memory_left_bytes", MAX((gint64)budget - (gint64)(sum.mib << 20), 0));
}
