/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plans of several steps: what is to be done for a goal of the fleet ("evacuate", "return"), made and
 * kept by the leader, applied once as an operation.
 */
#pragma once

#include "node/context.h"

/** drv_fleet_plan_is_id() - "plan-3", of such a plan. */
gboolean drv_fleet_plan_is_id(const char *id);

/* ---- at the leader ---- */

json_object *drv_fleet_plan_make(drv_context *ctx, json_object *goal, GError **error);
json_object *drv_fleet_plans_local(drv_context *ctx, GError **error);
json_object *drv_fleet_plan_local(drv_context *ctx, const char *id, GError **error);
/** drv_fleet_plan_apply() - → {"operation", "jobs": []}. DRV_ERROR_CONFLICT: applied already, or stale. */
json_object *drv_fleet_plan_apply(drv_context *ctx, const char *id, GError **error);
/** drv_fleet_plans_take_up() - what was applied and whose operation was not recorded any more is begun. */
void drv_fleet_plans_take_up(drv_context *ctx);

/* ---- at any node ---- */

/** drv_fleet_plans_ask() - @method /v1/peer/fleet-plans and @rest of the leader. */
json_object *drv_fleet_plans_ask(drv_context *ctx, const char *method, const char *rest, json_object *body,
                                 GError **error);
