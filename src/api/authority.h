/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only the founder does: hand out and use tokens, sign certificates of nodes,
 * revoke them. Buckets "node", "token" and "revoked" of its store are the truth; each
 * change is published as a new membership document. Any thread; changes are made one
 * at a time. At other nodes these functions ask the founder, with the same results.
 */
#pragma once

#include "api/cluster.h"

/**
 * drv_authority_found() - the first documents of a new cluster. What an earlier cluster of
 * this host left is removed (its jobs' history stays).
 */
gboolean drv_authority_found(drv_store *store, const drv_identity *identity, GError **error);

/** drv_authority_document() - compose the document from the buckets and store it. Transfer full. */
json_object *drv_authority_document(drv_store *store, const drv_identity *identity, GError **error);

/** drv_authority_start() - publish what the buckets say: a crash may have come between. No-op elsewhere. */
gboolean drv_authority_start(drv_cluster *cluster, GError **error);

/** drv_authority_token_create() - body and answer of POST /v1/tokens. */
json_object *drv_authority_token_create(drv_cluster *cluster, json_object *body, GError **error);
json_object *drv_authority_tokens(drv_cluster *cluster, GError **error);
json_object *drv_authority_token_delete(drv_cluster *cluster, const char *id, GError **error);

/** drv_authority_revoke() - DELETE /v1/nodes/NAME; every node that can be reached knows when it returns. */
json_object *drv_authority_revoke(drv_cluster *cluster, const char *name, GError **error);

/**
 * drv_authority_join() - body and answer of POST /v1/join, from anybody.
 * @from: the caller's address, used when the body has none
 * The token is used up only when everything else is in order, by exactly one caller.
 */
json_object *drv_authority_join(drv_cluster *cluster, json_object *body, const char *from,
                                GError **error);
