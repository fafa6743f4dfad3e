/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of an operation: before it, the node that was to be emptied is looked at once more, since VMs may have
 * appeared there; then what has become of all steps is summed up.
 */
#pragma once

#include "fleet/operation.h"
#include "node/context.h"

/**
 * drv_operation_close() - nothing of it waits or runs: look for what has appeared on the node that was
 * to be emptied, and if there is nothing, end it. Blocks on peers.
 */
void drv_operation_close(drv_context *ctx, drv_operation *operation);
