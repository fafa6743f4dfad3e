/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who belongs to the cluster, as this node knows it.
 *
 * One membership document with a version that only grows says it: members, revoked
 * certificates, operators' tokens (hashes), and where the cluster keeps its store. Without etcd
 * the founder alone decides (authority.h), and pushes it on every change; the others ask for it
 * every few seconds. With etcd every node can, and it is read there. Each node keeps the last one
 * in a file of its own, so that it can tell friend from stranger while founder or etcd are away.
 *
 * Any thread. What the lookups read is an immutable snapshot.
 */
#pragma once

#include "cluster/cluster-inside.h"
#include "cluster/identity.h"
#include "cluster/keeping.h"
#include "cluster/snapshot.h"
#include "model/json.h"
#include "model/peers.h"
#include "store/store.h"

#include "cluster/cluster-inside.h"
#include "cluster/identity.h"
#include "cluster/keeping.h"
#include "model/peers.h"
#include "store/store.h"

typedef struct drv_cluster drv_cluster;

/**
 * drv_cluster_new() - reads the last document, and where the cluster's store is (which is not asked yet).
 * @identity and @store (this node's own) are borrowed and must outlive it.
 */
drv_cluster *drv_cluster_new(drv_identity *identity, drv_store *store, GError **error);

/** drv_cluster_start() - begin to follow what others change. */
void drv_cluster_start(drv_cluster *cluster);

/** drv_cluster_free() - waits for its thread. */
void drv_cluster_free(drv_cluster *cluster);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_cluster, drv_cluster_free)

/** drv_cluster_peers() - for src/run; valid as long as the cluster. */
const drv_peers *drv_cluster_peers(drv_cluster *cluster);

drv_identity *drv_cluster_identity(drv_cluster *cluster);
gboolean drv_cluster_is_founder(drv_cluster *cluster);

/** drv_cluster_own() - what this node keeps for itself. */
drv_store *drv_cluster_own(drv_cluster *cluster);

/** drv_cluster_store() - what is kept once for the cluster: a gate (store/gate.h), closed where only the founder can. */
drv_store *drv_cluster_store(drv_cluster *cluster);

/** drv_cluster_keeps() - whether that is open here: what it is about can be done at this node. */
gboolean drv_cluster_keeps(drv_cluster *cluster);

/** drv_cluster_keeping() - where it is and how one comes to it, for another member. Transfer full. */
json_object *drv_cluster_keeping(drv_cluster *cluster);

/** drv_cluster_url() - "https://ADDRESS:PORT" of member @name; NULL: there is none. Transfer full. */
char *drv_cluster_url(drv_cluster *cluster, const char *name);

/** drv_cluster_send_to_founder() - what an operator asks for is done there: DRV_ELSEWHERE. Return: NULL. */
json_object *drv_cluster_send_to_founder(drv_cluster *cluster, GError **error);

/** drv_cluster_send_to_signer() - the same: a member that has the authority's key and answers. */
json_object *drv_cluster_send_to_signer(drv_cluster *cluster, GError **error);

/** drv_cluster_ask_founder() - a call to it, as this node. DRV_ERROR_UNREACHABLE names it. */
json_object *drv_cluster_ask_founder(drv_cluster *cluster, const char *method, const char *path, json_object *body,
                                     GError **error);

/** drv_cluster_ask_signer() - the same, of a member that has the authority's key: the founder first. */
json_object *drv_cluster_ask_signer(drv_cluster *cluster, const char *method, const char *path, json_object *body,
                                    GError **error);

/** drv_cluster_document() - the membership document. Transfer full. */
json_object *drv_cluster_document(drv_cluster *cluster);

/**
 * drv_cluster_apply() - a document from who may say so: stored and used if it is newer.
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
gboolean drv_cluster_admit(drv_cluster *cluster, const char *organization, const char *name, const char *fingerprint,
                           GError **error);

/**
 * drv_cluster_admit_bearer() - is @text an operator's token that is in force?
 * @id: receives its id (transfer full)
 */
gboolean drv_cluster_admit_bearer(drv_cluster *cluster, const char *text, char **id, GError **error);

/**
 * drv_cluster_token_valid() - is the operator's token @id (still) in force? One that was made with another
 * token is so no longer than that one. DRV_ERROR_DENIED says why not.
 */
gboolean drv_cluster_token_valid(drv_cluster *cluster, const char *id, GError **error);

/** drv_cluster_token_ends_ms() - until when, if nobody revokes it (real time); 0: it is not. */
gint64 drv_cluster_token_ends_ms(drv_cluster *cluster, const char *id);

/** drv_cluster_view() - the newest one. Transfer full. */
drv_snapshot *drv_cluster_view(drv_cluster *cluster);
