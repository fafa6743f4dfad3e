/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations of the fleet: begun from plans and driven by the leader, each step a thread of its
 * own that begins a job at the VM's source and follows it. Theory of operation in operations.c.
 */
#pragma once

#include "run/internal.h"
#include "run/operation.h"

/** drv_operations_of() - nothing is driven before drv_operations_start(). */
drv_operations *drv_operations_of(drv_run *run);
/** drv_operations_wake() - there is something to do, or droverd ends. */
void drv_operations_wake(drv_operations *operations);
void drv_operations_free(drv_operations *operations);

/** drv_operations_find() - one that this node drives. Transfer full; NULL: it does not. */
drv_operation *drv_operations_find(drv_operations *operations, const char *id);

/** drv_operations_is_id() - of an operation ("op-3"), not of a job. */
gboolean drv_operations_is_id(const char *id);

/* ---- at the leader ---- */

/** drv_operations_begin() - @id of @plan, unless it has begun already. Transfer full. */
json_object *drv_operations_begin(drv_run *run, const char *id, json_object *plan, GError **error);
json_object *drv_operations_local(drv_run *run, GError **error);
json_object *drv_operations_local_view(drv_run *run, const char *id, gint64 after, guint wait_ms,
                                       GError **error);
/** drv_operations_local_act() - "pause", "resume" or "cancel". → OPERATION */
json_object *drv_operations_local_act(drv_run *run, const char *id, const char *action,
                                      GError **error);
/** drv_operations_cancel_drains() - those that empty @node, which shall take VMs again. */
void drv_operations_cancel_drains(drv_run *run, const char *node);
/** drv_operations_running() - documents of those that have not ended (transfer full). */
GPtrArray *drv_operations_running(drv_operations *operations);

/* ---- at any node ---- */

/** drv_operations_ask() - GET /v1/peer/operations and @rest of the leader. */
json_object *drv_operations_ask(drv_run *run, const char *rest, GError **error);
json_object *drv_operations_ask_wait(drv_run *run, const char *id, gint64 after, guint wait_ms,
                                     GError **error);
json_object *drv_operations_ask_to(drv_run *run, const char *id, const char *action, GError **error);

/* ---- operation-step.c ---- */

/** drv_operation_step_start() - begin a running step in a thread; @taken_up: an earlier leader may have. */
void drv_operation_step_start(drv_run *run, drv_operation *operation, guint index, gboolean taken_up);

/* ---- operation-end.c ---- */

/**
 * drv_operation_close() - nothing of it waits or runs: look for what has appeared on the node that was
 * to be emptied, and if there is nothing, end it. Blocks on peers.
 */
void drv_operation_close(drv_run *run, drv_operation *operation);
