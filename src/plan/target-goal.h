/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of a target. */
#pragma once

#include <glib.h>

typedef struct {
    const char *vm;
    const char *source; /* nodes, for messages */
    const char *target;
    gboolean offline;   /* the VM is shut off */
    gboolean post_copy; /* may be used */
    guint64 memory_bytes;
} drv_plan_target_goal;
