/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files, directories, ports, secrets and devices that the definition names, judged kind by kind: see target.h;
 * hyper/needs.c has the table of what needs what.
 */
#pragma once

#include <json-c/json.h>

#include "plan/checks.h"
#include "plan/target-goal.h"

/** drv_plan_needs() - files, ports, secrets, devices that the definition names, screens among them. */
void drv_plan_needs(json_object *facts, json_object *step, const drv_plan_target_goal *goal, drv_checks *checks);
