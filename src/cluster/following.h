/* SPDX-License-Identifier: Apache-2.0 */
/* Following what others change: who belongs to the cluster, and where its store is; and moving that. */
#pragma once

#include <glib.h>
#include <json-c/json.h>

#include "cluster/cluster.h"
#include "cluster/keeping.h"

/** drv_cluster_open_gate() - find out where the cluster's store is; once, when it is made. */
gboolean drv_cluster_open_gate(drv_cluster *cluster, GError **error);

/** drv_cluster_follow() - the thread that follows what others change. */
gpointer drv_cluster_follow(gpointer cluster);

/**
 * drv_cluster_move_store() - the store goes to another place, while it is used; only at the founder.
 * @to: "where" NULL: into the founder's own store
 * @documents: receives how many were copied
 * The caller publishes the membership afterwards.
 */
gboolean drv_cluster_move_store(drv_cluster *cluster, const drv_keeping *to, guint *documents, GError **error);

/**
 * drv_cluster_hear() - member @caller says that there is a newer document. The founder is believed;
 * from others it is only a hint to look into the store.
 */
gboolean drv_cluster_hear(drv_cluster *cluster, const char *caller, json_object *document, GError **error);
