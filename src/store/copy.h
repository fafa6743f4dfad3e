/* SPDX-License-Identifier: Apache-2.0 */
/* From one store to another: what belongs to the cluster, and moving it while it is in use. */
#pragma once

#include "store/store.h"

/** drv_store_cluster_bucket() - whether what is in @bucket is the cluster's, not this node's own. */
gboolean drv_store_cluster_bucket(const char *bucket);

/** drv_store_cluster_counter() - the same for a counter. */
gboolean drv_store_cluster_counter(const char *counter);

/** drv_store_clear_cluster() - remove all that is the cluster's from @store; its numbers stay. */
gboolean drv_store_clear_cluster(drv_store *store, GError **error);

/**
 * drv_store_copy_cluster() - write all of @from's cluster documents to @to, which must have none
 * (DRV_ERROR_CONFLICT), and read them again. Numbers go on where they were.
 * @documents: receives how many
 */
gboolean drv_store_copy_cluster(drv_store *from, drv_store *to, guint *documents, GError **error);

/**
 * drv_store_move() - what is behind @gate is copied to @to and @to put in its place; calls that
 * come meanwhile wait. What was there is marked as left: it says so to whoever comes. What a file still
 * has from the time before it was left is removed first.
 * @to: taken over, if it returns TRUE and not @borrowed
 * @who: this node's name
 * @keep: called when all is copied and the old place is left: to note on this host where the store is
 * from now on; NULL: nothing to do
 * Return: FALSE and @error: everything is where it was.
 */
typedef gboolean (*drv_store_keep_func)(gpointer data, GError **error);
gboolean drv_store_move(drv_store *gate, drv_store *to, gboolean borrowed, const char *who, drv_store_keep_func keep,
                        gpointer data, guint *documents, GError **error);

/* In a file that was left: bucket and key of {"to","when_ms"}. */
#define DRV_LEFT_BUCKET "left"
#define DRV_LEFT_KEY "cluster"
