/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside src/store only: how far the store's file had come, in a second small file beside it
 * (PATH-seen). SQLite takes a write-ahead log that it cannot read for an empty one, and goes on with
 * what the database had before: commits vanish without a word. Who opens the store compares.
 */
#pragma once

#include <glib.h>

#include "hyper/gerror.h"

typedef struct drv_seen drv_seen;

/**
 * drv_seen_forget() - there is no store @path yet: what is noted of an earlier one does not count any more.
 * Call it before the store is made.
 */
gboolean drv_seen_forget(const char *path, GError **error);

/**
 * drv_seen_open() - open or make the file of the store @path. One that cannot be made, on a full disk, is logged,
 * and tried again with each note: it must not keep a good store from being opened.
 */
drv_seen *drv_seen_open(const char *path);

/** drv_seen_last() - the highest revision noted; 0: none, or none that can be read. */
gint64 drv_seen_last(const drv_seen *seen);

/**
 * drv_seen_note() - @revision is on the disk; so is this note when the call returns. Call it only
 * after the commit is durable: the file is never ahead of the store then, whatever the order in which
 * a power loss or kill -9 takes things. A disk that refuses leaves the older note, which is true as well.
 */
void drv_seen_note(drv_seen *seen, gint64 revision);

/** drv_seen_place() - the file's path, for messages. Borrowed. */
const char *drv_seen_place(const drv_seen *seen);

void drv_seen_close(drv_seen *seen);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_seen, drv_seen_close)
