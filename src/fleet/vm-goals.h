/* SPDX-License-Identifier: Apache-2.0 */
/* The goals that hold for a VM's move: collected from the move, the VM and the policies. */
#pragma once

#include "model/fleet.h"
#include "node/context.h"
#include "plan/checks.h"

/**
 * drv_fleet_decide_goals() - sets the four goals of @step and "goals_from". The policies are asked for only if
 * the move and the VM leave something open.
 * @vm: the answer of GET /v1/peer/vms/UUID
 * @goal: of the plan
 * @checks: gets DRV_ABOUT_GOALS; a problem: the goals are not what they should be
 */
void drv_fleet_decide_goals(drv_context *ctx, const drv_fleet *fleet, json_object *vm, json_object *goal,
                            json_object *step, drv_checks *checks);

/* At the VM's node. */
json_object *drv_fleet_local_goals_set(drv_context *ctx, const char *uuid, json_object *goals, GError **error);
json_object *drv_fleet_local_goals_clear(drv_context *ctx, const char *uuid, GError **error);

json_object *drv_fleet_vm_goals(drv_context *ctx, const char *name, GError **error);
json_object *drv_fleet_vm_goals_set(drv_context *ctx, const char *name, json_object *goals, GError **error);
json_object *drv_fleet_vm_goals_clear(drv_context *ctx, const char *name, GError **error);
