/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations of the fleet: begun from plans and driven by the leader, each step a thread of its
 * own that begins a job at the VM's source and follows it. Theory of operation in operations-drive.c.
 */
#pragma once

#include "fleet/operation.h"
#include "node/context.h"

/** drv_operations_of() - nothing is driven before drv_operations_start(). */
drv_operations *drv_operations_of(drv_context *ctx);
/** drv_operations_wake() - there is something to do, or droverd ends. */
void drv_operations_wake(drv_operations *operations);
void drv_operations_free(drv_operations *operations);

/** drv_operations_find() - one that this node drives. Transfer full; NULL: it does not. */
drv_operation *drv_operations_find(drv_operations *operations, const char *id);

/* ---- at the leader ---- */

/** drv_operations_begin() - @id of @plan, unless it has begun already. Transfer full. */
json_object *drv_operations_begin(drv_context *ctx, const char *id, json_object *plan, GError **error);
/** drv_operations_running() - documents of those that have not ended (transfer full). */
GPtrArray *drv_operations_running(drv_operations *operations);

void drv_operations_add(drv_operations *operations, drv_operation *operation);
void drv_operations_forget(drv_operations *operations, drv_operation *operation);
