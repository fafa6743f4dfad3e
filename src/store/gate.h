/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store whose place can be changed while it is in use: what the cluster keeps, as one
 * process sees it. It is the file of this node, or etcd, or nothing, when another node keeps it.
 */
#pragma once

#include "store/store.h"

/** drv_gate_new() - nothing is behind it yet: every call fails with DRV_ERROR_UNREACHABLE. */
drv_store *drv_gate_new(void);

/**
 * drv_gate_set() - what is behind it from now on; the earlier one is closed when its last call is over.
 * @store: NULL: nothing
 * @borrowed: it is not closed
 */
void drv_gate_set(drv_store *gate, drv_store *store, gboolean borrowed);

/** drv_gate_is_open() - whether something is behind it. */
gboolean drv_gate_is_open(drv_store *gate);

/** drv_gate_freeze() - wait for changes that are being made, and hold up those that come. */
void drv_gate_freeze(drv_store *gate);
void drv_gate_thaw(drv_store *gate);

/** drv_gate_inner() - what is behind it, for who has frozen it. Borrowed. */
drv_store *drv_gate_inner(drv_store *gate);
