/* SPDX-License-Identifier: Apache-2.0 */
/* One VM's move as a step, and all that is against it: the same for a dry run and for a real one. */
#pragma once

#include "node/context.h"
#include "plan/checks.h"

/**
 * drv_planning_move() - both ends are asked before anything is promised. @goal has been checked.
 * @checks: gets every finding
 * Return: the step, which is good only if @checks has no problem (transfer full); NULL and @error: there
 * is nothing to look at: no such VM or node, or one that does not answer.
 */
json_object *drv_planning_move(drv_context *ctx, json_object *goal, drv_checks *checks, GError **error);
