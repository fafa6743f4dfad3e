/* SPDX-License-Identifier: Apache-2.0 */
/* What is to be done for a goal of the fleet, from the fleet as it is: the planner called, nothing kept. */
#pragma once

#include "model/fleet.h"
#include "node/context.h"

/** drv_fleet_goal_check() - whether it makes sense. DRV_ERROR_INVALID says what does not. Pure. */
gboolean drv_fleet_goal_check(json_object *goal, GError **error);

/** drv_fleet_goal_fleet() - the fleet now, with what operations that run have promised. Transfer full. */
drv_fleet *drv_fleet_goal_fleet(drv_context *ctx, GError **error);

/**
 * drv_fleet_goal_target() - the node for one VM, other than those in @avoid (a set of names; may be
 * NULL), when the moves of all operations that run are counted.
 * @fleet: is used up
 * Return: its name (transfer full), or NULL and why not: see drv_plan_place().
 */
char *drv_fleet_goal_target(drv_context *ctx, drv_fleet *fleet, const drv_fleet_vm *vm, json_object *avoid,
                            GError **error);

/** drv_fleet_goal_vm() - the VM with this UUID where it is (not where it arrives). Borrowed; NULL: nowhere. */
const drv_fleet_vm *drv_fleet_goal_vm(const drv_fleet *fleet, const char *uuid);

/** drv_fleet_plan_is_goal() - whether @goal is one of the fleet's and not of one VM. */
gboolean drv_fleet_plan_is_goal(json_object *goal);

/**
 * drv_fleet_plan_steps() - what is to be done now for @goal, in the fleet as it is: a PLAN without an id.
 * @but: UUIDs (as a set) of VMs that are not to be looked at; may be NULL
 * Blocks on peers. DRV_ERROR_INVALID, DRV_ERROR_NOT_FOUND (no such node).
 */
json_object *drv_fleet_plan_steps(drv_context *ctx, json_object *goal, GHashTable *but, GError **error);
