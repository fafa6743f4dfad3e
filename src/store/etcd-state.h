/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/store only: the one document that says what is in an etcd, see etcd.h. */
#pragma once

#include "store/store.h"

/** drv_etcd_state_text() - that document. @state: "here", "moving" or "left"; @to: where to. Transfer full. */
char *drv_etcd_state_text(int version, const char *cluster, const char *state, const char *to);

/**
 * drv_etcd_state_set() - from now on all other processes are refused by what they do, except
 * with "here". This process can go on.
 */
gboolean drv_etcd_state_set(drv_store *store, const char *state, const char *to, GError **error);
