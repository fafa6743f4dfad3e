/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who drives what concerns the whole fleet, and where that is kept: one droverd leads. With the
 * embedded store it is the founder's, and what it keeps is in its own store. With etcd it is
 * whoever holds a lease there; when it dies another one takes over within 10 s.
 */
#pragma once

#include "node/context.h"

/** drv_leader_is_here() - whether this droverd leads now. May change at any time; does not block. */
gboolean drv_leader_is_here(drv_context *ctx);

/** drv_leader_name() - the name of the node that leads. Transfer full; NULL: not known now. Does not block. */
char *drv_leader_name(drv_context *ctx);

/**
 * drv_leader_cluster_store() - what is kept once for the fleet. Whoever changes a document there does it
 * against the revision that it read: somebody else may lead by now.
 * Return: borrowed; NULL: it cannot be reached from this node, ask the leader.
 */
drv_store *drv_leader_cluster_store(drv_context *ctx);

/** drv_leader_store() - the same for whoever is asked as the leader; NULL and DRV_ERROR_UNREACHABLE: it is not. */
drv_store *drv_leader_store(drv_context *ctx, GError **error);

/**
 * drv_leader_ask() - call @path ("/v1/peer/…") on the node that leads, which may be this one.
 * @what: what is asked for, for the message when it does not answer ("operations are kept")
 * See drv_peers.call.
 */
json_object *drv_leader_ask(drv_context *ctx, const char *what, const char *method, const char *path, json_object *body,
                            guint timeout_ms, GError **error);

/**
 * drv_leader_act() - what an operator asks for, to be done at @node: here, or there if this node leads,
 * which may act in his name. Else he is sent to @node (DRV_ELSEWHERE).
 */
json_object *drv_leader_act(drv_context *ctx, const char *node, const char *method, const char *path, json_object *body,
                            guint timeout_ms, GError **error);

/** drv_leader_is() - does node @name lead? With etcd this may ask there. */
gboolean drv_leader_is(drv_context *ctx, const char *name);

/**
 * drv_leader_must_be_here() - FALSE and DRV_ELSEWHERE, if this node does not lead: an operator is sent there. While nobody
 * is known to lead it waits, some twenty seconds at most; then DRV_ERROR_UNREACHABLE. A request's thread.
 */
gboolean drv_leader_must_be_here(drv_context *ctx, GError **error);

/** drv_leader_start() - begin to want to lead, in a thread. Before the first call of the others. */
void drv_leader_start(drv_context *ctx);
/** drv_leader_free() - when that thread is over. */
void drv_leader_free(drv_context *ctx);
