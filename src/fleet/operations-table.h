/* SPDX-License-Identifier: Apache-2.0 */
/* The operations that have not ended, as the node that leads has them: operations.c keeps them, operations-drive.c drives them. */
#pragma once

#include "fleet/operations.h"

struct drv_operations {
    drv_context *ctx;
    GMutex adding; /* between what is in the store and what is in "active"; taken before lock */
    GMutex lock;   /* guards what follows */
    GCond changed;
    GHashTable *active;  /* id → drv_operation: of the leader, those that have not ended */
    GHashTable *closing; /* ids of those that are being closed in a thread */
    gboolean leading;    /* only the thread's */
    guint looks;         /* the same */
    gboolean woken;
};
