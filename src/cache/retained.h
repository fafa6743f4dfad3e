/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of disks that a VM has left behind: kept for its return instead of removed, as part of the
 * known-content store, under its caps, ages and its switch. They lie in a hidden directory beside where they
 * were, so that keeping one is a rename, and go at once when somebody needs the room.
 *
 * All functions may be called from any thread; they block. A store that is NULL keeps nothing.
 */
#pragma once

#include "cache/cache.h"
#include "hyper/hyper.h"
#include "node/context.h"

#define DRV_KEPT_DIR ".drover-kept"

typedef struct {
    const char *vm, *uuid;
    const char *owner; /* NULL: of nobody in particular */
    const char *disk;  /* "vda" */
    const char *path, *format;
} drv_kept_image;

/**
 * drv_kept_take() - keep an image that would be removed else. Again, after a crash: the same.
 * Return: FALSE: it is still where it was, for it is too large, or nothing is to be kept.
 */
gboolean drv_kept_take(drv_content *content, drv_hyper *hyper, const drv_kept_image *image);

/** drv_kept_find() - what is kept of a VM's disk: {"path", "format", "bytes", "created_ms"}. Transfer full; NULL. */
json_object *drv_kept_find(drv_content *content, const char *uuid, const char *owner, const char *disk);

/** drv_kept_room() - bytes that would be free if all went that is kept on the file system of @directory. */
guint64 drv_kept_room(drv_content *content, const char *directory);

/** drv_kept_make_room() - remove what was used longest ago until so much is free, or nothing is kept there. */
void drv_kept_make_room(drv_content *content, const char *directory, guint64 needed_bytes);

/** drv_kept_forget() - the VM has come back. @saved_bytes: what its images have saved on the way. */
void drv_kept_forget(drv_content *content, const char *uuid, guint64 saved_bytes);

/* One of them inside the store: what follows is called with its lock held. */
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
