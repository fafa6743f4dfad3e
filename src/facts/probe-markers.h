/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The markers by which two hosts find out that they see the same directory (hyper/probe.h): a small file
 * beside an image while its facts are gathered. Each is recorded before it is written, so that the
 * next droverd removes what one that was killed has left. One thread at a time each.
 */
#pragma once

#include "model/json.h"
#include "store/store.h"

typedef struct drv_markers drv_markers;

/** drv_markers_new() - none yet. Their token is a random one. */
drv_markers *drv_markers_new(drv_store *store);

/** drv_markers_token() - what is in each of them. Borrowed. */
const char *drv_markers_token(const drv_markers *markers);

/** drv_markers_at() - the marker beside @path, one a directory; NULL where none can be written. Borrowed. */
const char *drv_markers_at(drv_markers *markers, const char *path);

/** drv_markers_free() - removes them. */
void drv_markers_free(drv_markers *markers);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_markers, drv_markers_free)

/** drv_markers_left() - what an earlier droverd has left (of drv_document): before any is made. NULL: not known. */
GPtrArray *drv_markers_left(drv_store *store);
/** drv_markers_clear() - remove it. May wait for a network file system. @left: may be NULL */
void drv_markers_clear(drv_store *store, const GPtrArray *left);
