/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of disks that a VM has left behind: kept for its return instead of removed, as part of the
 * known-content store, under its caps, ages and its switch. They lie in a hidden directory beside where they
 * were, so that keeping one is a rename, and go at once when somebody needs the room.
 *
 * All functions may be called from any thread; they block. A store that is NULL keeps nothing.
 */
#pragma once

#include "hyper/hyper.h"
#include "run/content.h"

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
json_object *drv_kept_find(drv_content *content, const char *uuid, const char *owner,
                           const char *disk);

/** drv_kept_room() - bytes that would be free if all went that is kept on the file system of @directory. */
guint64 drv_kept_room(drv_content *content, const char *directory);

/** drv_kept_make_room() - remove what was used longest ago until so much is free, or nothing is kept there. */
void drv_kept_make_room(drv_content *content, const char *directory, guint64 needed_bytes);

/** drv_kept_forget() - the VM has come back. @saved_bytes: what its images have saved on the way. */
void drv_kept_forget(drv_content *content, const char *uuid, guint64 saved_bytes);
