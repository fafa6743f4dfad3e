/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/store only: the one document that says what is in an etcd, and moving it away. See etcd.h. */
#pragma once

#include "store/store.h"

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
