/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is to be recorded once for the cluster, but must not wait for it: it is kept in this
 * node's own store first, and given to the cluster's as soon as that takes it, also after a
 * restart. Only with etcd: without it the nodes' own stores are the history.
 */
#pragma once

#include "node/context.h"

#define DRV_HISTORY_BUCKET "history" /* in the cluster's store: jobs that have ended, as they ended */

/**
 * drv_outbox_record() - @json is to be document @bucket/@key of the cluster, whatever is there.
 * Does not wait for the network. Where not even this node's store takes it, that is logged and it
 * is lost, but for the job itself, which its node has.
 */
void drv_outbox_record(drv_context *ctx, const char *bucket, const char *key, const char *json);

/** drv_outbox_waiting() - how many documents wait here; -1: not known. */
gint64 drv_outbox_waiting(drv_context *ctx);

/** drv_outbox_start() - begin to give, in a thread. */
void drv_outbox_start(drv_context *ctx);

/**
 * drv_outbox_recorded_job() - one that has ended, as the cluster keeps it: for when its node is away.
 * Return: NULL if there is none, or no such store.
 */
json_object *drv_outbox_recorded_job(drv_context *ctx, const char *id);

/** drv_outbox_add_jobs() - to the array @jobs those that ended at nodes in @silent (array of {"node"}). */
void drv_outbox_add_jobs(drv_context *ctx, json_object *jobs, json_object *silent);
