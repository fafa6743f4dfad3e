/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who lets others in: hand out and use tokens, sign certificates of nodes, revoke them. Buckets
 * "node", "token" and "revoked" of the cluster's store are the truth; each change is written
 * together with the membership document that follows from it. Without etcd only the founder does this;
 * with etcd every node, but only those that have the authority's key sign. At other nodes these
 * functions ask one that can, with the same results. Any thread.
 */
#pragma once

#include "cluster/cluster.h"

/**
 * drv_authority_found() - the first documents of a new cluster. What an earlier cluster of
 * this host left is removed (its jobs' history stays).
 * @store: the cluster's, @own: this host's; maybe the same
 */
gboolean drv_authority_found(drv_store *store, drv_store *own, const drv_identity *identity, GError **error);

/** drv_authority_publish() - a new membership from what the buckets say, and push it. */
gboolean drv_authority_publish(drv_cluster *cluster, GError **error);

/** drv_authority_start() - publish what the buckets say: a crash may have come between. No-op elsewhere. */
gboolean drv_authority_start(drv_cluster *cluster, GError **error);

/** drv_authority_revoke() - DELETE /v1/nodes/NAME; every node that can be reached knows when it returns. */
json_object *drv_authority_revoke(drv_cluster *cluster, const char *name, GError **error);

/**
 * drv_authority_join() - body and answer of POST /v1/join, from anybody.
 * @from: the caller's address, used when the body has none
 * The token is used up only when everything else is in order, by exactly one caller.
 */
json_object *drv_authority_join(drv_cluster *cluster, json_object *body, const char *from, GError **error);

/** drv_authority_give() - node @name gets the authority's key, and can sign as well. Only with etcd. */
json_object *drv_authority_give(drv_cluster *cluster, const char *name, GError **error);

/** drv_authority_take() - body {"key"} of PUT /v1/peer/authority: this node gets it. */
json_object *drv_authority_take(drv_cluster *cluster, json_object *body, GError **error);
