/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intent and history: documents (JSON text) in buckets, each with a revision, behind
 * one interface that SQLite serves and a cluster store can. Every change is durable
 * when the call returns. Any thread; calls may block on the disk.
 */
#pragma once

#include <glib.h>

typedef struct drv_store drv_store;

typedef struct {
    char *key;
    char *json;
    gint64 revision; /* of this document; grows with each change */
} drv_document;

void drv_document_free(drv_document *document);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_document, drv_document_free)

#define DRV_REVISION_ANY (-1) /* write whatever is there */
#define DRV_REVISION_NEW 0    /* only if there is nothing yet */

/** drv_store_open() - @path: a file, made if missing (0600). Schema upgrades happen here. */
drv_store *drv_store_open(const char *path, GError **error);
void drv_store_close(drv_store *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_store, drv_store_close)

/** drv_store_get() - DRV_ERROR_NOT_FOUND if there is none. Transfer full. */
drv_document *drv_store_get(drv_store *store, const char *bucket, const char *key, GError **error);

/**
 * drv_store_put() - write if the document's revision is @expected (compare and swap).
 * @revision: receives the new one; may be NULL
 * DRV_ERROR_CONFLICT when it is not, DRV_ERROR_FAILED when the disk is full and so on.
 */
gboolean drv_store_put(drv_store *store, const char *bucket, const char *key, const char *json,
                       gint64 expected, gint64 *revision, GError **error);

/** drv_store_delete() - with the same check: deleting is how a single-use token is used. */
gboolean drv_store_delete(drv_store *store, const char *bucket, const char *key, gint64 expected,
                          GError **error);

/** drv_store_list() - of drv_document, by key (keys that end in a number: by number), at most @limit newest (0: all). Transfer full. */
GPtrArray *drv_store_list(drv_store *store, const char *bucket, guint limit, GError **error);

/** drv_store_next() - 1, 2, 3, …: a number never given before in @counter, also across restarts; 0 and @error on failure. */
gint64 drv_store_next(drv_store *store, const char *counter, GError **error);
