/* SPDX-License-Identifier: Apache-2.0 */
/* Kept images (kept.h) inside the known-content store: all with its lock held. */
#pragma once

#include "run/content-store.h"

typedef struct {
    char *id;
    char *vm, *uuid, *owner, *disk, *path, *format;
    guint64 bytes; /* that it takes on its file system */
    gint64 created_ms;
} drv_kept;

void drv_kept_free(drv_kept *kept);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_kept, drv_kept_free)

/** drv_kept_all_locked() - those that are there, the oldest first. Transfer full, of drv_kept. */
GPtrArray *drv_kept_all_locked(drv_content *content);

/** drv_kept_remove_locked() - file and record. */
void drv_kept_remove_locked(drv_content *content, const drv_kept *kept);

/** drv_kept_yield_locked() - where a file system has become nearly full, what is kept there goes. Return: is anything kept? */
gboolean drv_kept_yield_locked(drv_content *content);
