/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One step of an operation while it runs, in a thread of its own: the VM is looked for where it is now, the move
 * is planned with all facts, its source begins a job (operations-drive.c says why never two), which is followed to its end.
 */
#pragma once

#include <glib.h>

#include "fleet/operation.h"
#include "node/context.h"

/** drv_operation_step_start() - begin a running step in a thread; @taken_up: an earlier leader may have. */
void drv_operation_step_start(drv_context *ctx, drv_operation *operation, guint index, gboolean taken_up);
