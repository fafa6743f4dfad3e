/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plans of many moves: what goes where, in which order, how long it takes, what cannot go and the way
 * out. Pure: the fleet in, the PLAN of docs/rest.rst out, without "id", "created_ms" and "jobs". How it is
 * found is in docs/planner.rst.
 *
 * A plan is good for the fleet at that instant. Each of its steps is looked at by both hosts once more before it
 * begins (plan/target.h), with what only they know.
 */
#pragma once

#include "plan/schedule.h"

/**
 * drv_plan_evacuate() - all VMs that run or are paused away from @nodes. VMs that are shut off stay and are
 * listed in "stay".
 * @nodes: names, NULL-terminated
 * Return: the PLAN, also if nothing can go ("refused" says why); NULL and DRV_ERROR_NOT_FOUND: there is no
 * such node; DRV_ERROR_UNREACHABLE: it is lost, and its VMs are not known; DRV_ERROR_INVALID: no node named.
 */
json_object *drv_plan_evacuate(const drv_fleet *fleet, const char *const *nodes, const drv_plan_limits *limits,
                               GError **error);

/**
 * drv_plan_return() - VMs back to @node, whether it is in maintenance still or not.
 * @came_from: [{"uuid"}…]: those that left it; who is there already, or nowhere, is left out
 */
json_object *drv_plan_return(const drv_fleet *fleet, const char *node, json_object *came_from,
                             const drv_plan_limits *limits, GError **error);

/**
 * drv_plan_place_vm() - the best node for one VM other than its own, with "candidates": [{"node", "score"
 * (null: it does not fit), "why"}…], the best first.
 */
json_object *drv_plan_place_vm(const drv_fleet *fleet, const char *vm, const drv_plan_limits *limits, GError **error);
