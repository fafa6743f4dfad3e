/* SPDX-License-Identifier: Apache-2.0 */
/* Plans: made from a goal and the fleet as it is, kept on the node that made them, applied once. */
#pragma once

#include "node/context.h"

/** drv_fleet_local_plans() - those kept here. */
json_object *drv_fleet_local_plans(drv_context *ctx, GError **error);
json_object *drv_fleet_local_plan(drv_context *ctx, const char *id, GError **error);

/**
 * drv_fleet_apply_local_plan() - mark a plan that is kept here as applied. @caller, a node, will begin its move: the
 * VM's own node does, or the one that leads.
 * @begun: NULL; and when the move has begun, {"jobs": [ID]}, which is noted
 * Return: the plan. DRV_ERROR_CONFLICT: somebody else has applied it.
 */
json_object *drv_fleet_apply_local_plan(drv_context *ctx, const char *caller, const char *id, json_object *begun,
                                        GError **error);

json_object *drv_fleet_make_plan(drv_context *ctx, json_object *goal, GError **error);

json_object *drv_fleet_get_plan(drv_context *ctx, const char *id, GError **error);
json_object *drv_fleet_apply_plan(drv_context *ctx, const char *plan_id, GError **error);
