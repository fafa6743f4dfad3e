/* SPDX-License-Identifier: Apache-2.0 */
/* Plans: made from a goal and the fleet as it is, kept on the node that made them, applied once. */
#pragma once

#include "node/context.h"

/** drv_run_local_plans() - those kept here. */
json_object *drv_run_local_plans(drv_run *run, GError **error);
json_object *drv_run_local_plan(drv_run *run, const char *id, GError **error);

/**
 * drv_run_local_apply() - mark a plan that is kept here as applied. @caller, a node, will begin its move: the
 * VM's own node does, or the one that leads.
 * @begun: NULL; and when the move has begun, {"jobs": [ID]}, which is noted
 * Return: the plan. DRV_ERROR_CONFLICT: somebody else has applied it.
 */
json_object *drv_run_local_apply(drv_run *run, const char *caller, const char *id,
                                 json_object *begun, GError **error);

json_object *drv_run_plan(drv_run *run, json_object *goal, GError **error);

json_object *drv_run_plan_get(drv_run *run, const char *id, GError **error);
json_object *drv_run_apply(drv_run *run, const char *plan_id, GError **error);
