/* SPDX-License-Identifier: Apache-2.0 */
/* What is in an etcd: its version, whose it is, and whether it is still the one in use. */
#pragma once

#include <glib.h>
#include <json-c/json.h>

#include "store/document.h"
#include "store/etcd-state.h"

/** drv_etcd_state_text() - that document. @state: "here" or "left"; @to: where to. Transfer full. */
char *drv_etcd_state_text(int version, const char *cluster, const char *state, const char *to);

/**
 * drv_etcd_fence() - from now on all other processes are refused by what they do, until @lease is
 * given back or has run out: this process copies the store to another place.
 * @who: this node's name, for messages
 */
gboolean drv_etcd_fence(drv_store *store, const char *who, gint64 *lease, GError **error);

/** drv_etcd_leave() - it is at @to now. Fails if @lease has run out meanwhile: then it is where it was. */
gboolean drv_etcd_leave(drv_store *store, const char *to, gint64 lease, GError **error);

/**
 * drv_etcd_transact() - a transaction that fails when the schema is another one than was read.
 * @compare: more that must hold; may be NULL; @success, @failure: arrays of operations
 * All three are taken over.
 * @twice, @unsure: as drv_etcd_call()
 * @succeeded: receives which of them was carried out. The answer of @failure begins at index 1.
 */
json_object *drv_etcd_transact(drv_etcd *s, json_object *compare, json_object *success, json_object *failure,
                               gboolean twice, gboolean *unsure, gboolean *succeeded, GError **error);
