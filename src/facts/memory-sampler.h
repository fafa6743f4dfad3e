/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the node knows of each of its VMs for predictions: samples of its memory, and how its moves
 * went. One document a VM, in the bucket "vm-facts" under its UUID; it goes along with a move.
 *
 *   {"observed_ms", "observed": (of plan/estimate-json.h), "moves": [the newest last; plan/history.h]}
 */
#pragma once

#include "node/context.h"

/** drv_observe_start() - look at each running VM now and then, gently, in a thread. */
void drv_observe_start(drv_context *ctx);

/** drv_observe_known() - the document, empty if there is none. Transfer full. */
json_object *drv_observe_known(drv_context *ctx, const char *uuid);

/**
 * drv_observe_add() - to a VM of the fleet's view: "expects", an input as far as this node knows it, or null; and
 * "dirty_bps", if it is known. @contents: what is kept here (drv_content_list()); NULL: nothing.
 */
void drv_observe_add(drv_context *ctx, json_object *vm, json_object *contents);

/**
 * drv_observe_vm() - look at it now, for some three seconds, unless that was done less than @age_ms ago;
 * what was seen is stored. What cannot be looked at is no error: then less is known.
 */
void drv_observe_vm(drv_context *ctx, const char *uuid, gint64 age_ms);

/** drv_observe_change() - apply @change to the stored document, whoever else writes meanwhile. */
void drv_observe_change(drv_context *ctx, const char *bucket, const char *key,
                        void (*change)(json_object *document, gpointer data), gpointer data);
