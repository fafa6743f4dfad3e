/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who belongs to the cluster, as this node knows it.
 *
 * The founder decides (authority.h) and publishes one membership document with a version
 * that only grows: members, revoked certificates, operators' tokens (hashes). It is
 * pushed on every change and pulled every few seconds; each node keeps the last one in
 * its store, so that it can tell friend from stranger while the founder is away.
 *
 * Any thread. What the lookups read is an immutable snapshot.
 */
#pragma once

#include "model/json.h"

#include "api/identity.h"
#include "model/peers.h"
#include "store/store.h"


typedef struct drv_cluster drv_cluster;

/** drv_cluster_new() - reads the last document. @identity and @store are borrowed and must outlive it. */
drv_cluster *drv_cluster_new(const drv_identity *identity, drv_store *store, GError **error);

/** drv_cluster_start() - a node that is not the founder begins to pull. */
void drv_cluster_start(drv_cluster *cluster);

/** drv_cluster_free() - waits for its thread. */
void drv_cluster_free(drv_cluster *cluster);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_cluster, drv_cluster_free)

/** drv_cluster_peers() - for src/run; valid as long as the cluster. */
const drv_peers *drv_cluster_peers(drv_cluster *cluster);

const drv_identity *drv_cluster_identity(drv_cluster *cluster);
drv_store *drv_cluster_store(drv_cluster *cluster);
gboolean drv_cluster_is_founder(drv_cluster *cluster);

/** drv_cluster_ask_founder() - a call to it, as this node. DRV_ERROR_UNREACHABLE names it. */
json_object *drv_cluster_ask_founder(drv_cluster *cluster, const char *method, const char *path,
                                     json_object *body, GError **error);

/** drv_cluster_document() - the membership document. Transfer full. */
json_object *drv_cluster_document(drv_cluster *cluster);

/**
 * drv_cluster_apply() - a document from the founder: stored and used if it is newer.
 * DRV_ERROR_INVALID: it is not one, or is another cluster's.
 */
gboolean drv_cluster_apply(drv_cluster *cluster, json_object *document, GError **error);

/** drv_cluster_push() - give the current document to every other member; waits a few seconds at most. */
void drv_cluster_push(drv_cluster *cluster);

/** drv_cluster_on_change() - @func is called, in any thread, after each newer document. Before start. */
void drv_cluster_on_change(drv_cluster *cluster, void (*func)(gpointer data), gpointer data);

/**
 * drv_cluster_admit() - may the holder of this certificate (whose chain is good) come in?
 * @organization, @name, @fingerprint: from the certificate
 */
gboolean drv_cluster_admit(drv_cluster *cluster, const char *organization, const char *name,
                           const char *fingerprint, GError **error);

/**
 * drv_cluster_admit_bearer() - is @text an operator's token that is in force?
 * @id: receives its id (transfer full)
 */
gboolean drv_cluster_admit_bearer(drv_cluster *cluster, const char *text, char **id, GError **error);

/** drv_cluster_token_valid() - is the operator's token @id (still) in force? */
gboolean drv_cluster_token_valid(drv_cluster *cluster, const char *id);
