/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside src/store only: what a backend does. store.c has checked names, sizes and
 * revisions before; a backend compares, writes durably, and reports as store.h says.
 */
#pragma once

#include "hyper/gerror.h"
#include "store/store.h"

struct drv_store_ops {
    drv_document *(*get)(drv_store *store, const char *bucket, const char *key, GError **error);
    gboolean (*put)(drv_store *store, const char *bucket, const char *key, const char *json,
                    gint64 expected, gint64 *revision, GError **error);
    gboolean (*remove)(drv_store *store, const char *bucket, const char *key, gint64 expected,
                       GError **error);
    /* The @limit newest ones (0: all), in any order. */
    GPtrArray *(*list)(drv_store *store, const char *bucket, guint limit, GError **error);
    gint64 (*next)(drv_store *store, const char *counter, GError **error);
    void (*close)(drv_store *store);
};

/* The beginning of every backend's own struct. */
struct drv_store {
    const struct drv_store_ops *ops;
};

/** drv_store_open_sqlite() - see drv_store_open(). */
drv_store *drv_store_open_sqlite(const char *path, GError **error);

/** drv_document_new() - takes a copy of both texts. */
drv_document *drv_document_new(const char *key, const char *json, gint64 revision);

/** drv_key_compare() - natural order: runs of digits count as numbers, "h1-2" before "h1-10". */
int drv_key_compare(const char *a, const char *b);
