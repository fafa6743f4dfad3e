/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a host can take a VM, but for its disks and networks: judged when a plan is made and again
 * when its move begins. Pure: facts of facts/machine.h in, findings out. A fact that is
 * missing is a check that is skipped.
 */
#pragma once

#include "plan/checks.h"
#include "plan/target-goal.h"

/** drv_plan_target() - all of the following. @step: for the directories that are written to. */
void drv_plan_target(json_object *facts, json_object *step, const drv_plan_target_goal *goal, drv_checks *checks);

/** drv_plan_links() - the way between the hosts, and their clocks. Asked of the source only. */
void drv_plan_links(json_object *facts, const drv_plan_target_goal *goal, drv_checks *checks);
