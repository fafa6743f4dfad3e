/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside src/store only: what a backend does. store.c has checked names, sizes, JSON and
 * revisions before; a backend compares, writes durably, and reports as store.h says.
 */
#pragma once

#include <json-c/json.h>

#include "hyper/gerror.h"
#include "store/document.h"

struct drv_store_ops {
    drv_document *(*get)(drv_store *store, const char *bucket, const char *key, GError **error);
    gboolean (*change)(drv_store *store, const drv_store_change *changes, guint count, gint64 *revision,
                       GError **error);
    /* The @limit newest ones (0: all), in any order. */
    GPtrArray *(*list)(drv_store *store, const char *bucket, guint limit, GError **error);
    gint64 (*next)(drv_store *store, const char *counter, GError **error);
    gboolean (*raise)(drv_store *store, const char *counter, gint64 value, GError **error);
    GPtrArray *(*counters)(drv_store *store, GError **error);
    GPtrArray *(*buckets)(drv_store *store, GError **error);
    gint64 (*wait)(drv_store *store, const char *bucket, gint64 after, guint wait_ms, GError **error);
    void (*stop_waiting)(drv_store *store);
    drv_claim (*claim)(drv_store *store, const char *name, const char *who, guint ttl_s, gint64 *lease, char **holder,
                       GError **error);
    void (*release)(drv_store *store, gint64 lease);
    gboolean (*is_shared)(drv_store *store);
    const char *(*place)(drv_store *store);
    json_object *(*status)(drv_store *store);
    void (*close)(drv_store *store);
};

/* The beginning of every backend's own struct. */
struct drv_store {
    const struct drv_store_ops *ops;
};
