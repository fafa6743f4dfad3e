/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside src/api only: changes of who belongs to the cluster, each written together with the membership
 * that follows from it. Of two nodes that change something at the same time one begins again.
 */
#pragma once

#include "cluster/cluster.h"

#define DRV_NODES_BUCKET "node"
#define DRV_TOKENS_BUCKET "token"
#define DRV_REVOKED_BUCKET "revoked"

/* What is about to be written, together with the membership. */
typedef struct {
    drv_store_change all[4];
    guint count;
} drv_pending;

/** drv_publish_add() - one more; everything is borrowed until it is written. */
void drv_publish_add(drv_pending *to, const char *name, const char *key, const char *json, gint64 expected);

/** drv_publish_text() - @object as it is written. Borrowed from it. */
const char *drv_publish_text(json_object *object);

/** drv_publish_bucket() - all of a bucket, parsed, as it will be after @changes (may be NULL). Transfer full. */
json_object *drv_publish_bucket(drv_store *store, const char *name, const drv_pending *changes, GError **error);

/**
 * drv_publish_write() - write @changes and the membership that follows.
 * @again: receives whether the membership was changed by somebody else in between: then nothing was
 * written, and all has to be looked at anew
 * Return: the membership (transfer full), or NULL and @error.
 */
json_object *drv_publish_write(drv_store *store, const drv_identity *identity, drv_pending *changes, gboolean *again,
                               GError **error);

/** drv_publish() - the same for this node's cluster, which has it from then on; other nodes are not told yet. */
gboolean drv_publish(drv_cluster *cluster, drv_pending *changes, gboolean *again, GError **error);

/* @func looks, and ends with drv_publish(); it is called again as long as that says so. */
typedef gboolean (*drv_publish_func)(drv_cluster *cluster, gpointer data, gboolean *again, GError **error);

gboolean drv_publish_change(drv_cluster *cluster, drv_publish_func func, gpointer data, GError **error);
