/* SPDX-License-Identifier: Apache-2.0 */
/* Operations looked at, paused, resumed, cancelled: by the node that leads, and by others who ask it. */
#pragma once

#include <glib.h>
#include <json-c/json.h>

#include "node/context.h"

/** drv_operations_is_id() - of an operation ("op-3"), not of a job. */
gboolean drv_operations_is_id(const char *id);

json_object *drv_operations_local(drv_context *ctx, GError **error);
json_object *drv_operations_local_view(drv_context *ctx, const char *id, gint64 after, guint wait_ms, GError **error);

/** drv_operations_local_act() - "pause", "resume" or "cancel". → OPERATION */
json_object *drv_operations_local_act(drv_context *ctx, const char *id, const char *action, GError **error);

/** drv_operations_cancel_drains() - those that empty @node, which shall take VMs again. */
void drv_operations_cancel_drains(drv_context *ctx, const char *node);

/** drv_operations_ask() - GET /v1/peer/operations and @rest of the leader. */
json_object *drv_operations_ask(drv_context *ctx, const char *rest, GError **error);
json_object *drv_operations_ask_wait(drv_context *ctx, const char *id, gint64 after, guint wait_ms, GError **error);
json_object *drv_operations_ask_to(drv_context *ctx, const char *id, const char *action, GError **error);
