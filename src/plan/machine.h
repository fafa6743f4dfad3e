/* SPDX-License-Identifier: Apache-2.0 */
/* CPU, machine type, QEMU and locks: see target.h; docs/preflight.rst has the rules. */
#pragma once

#include <json-c/json.h>

#include "plan/checks.h"
#include "plan/target-goal.h"

/** drv_plan_machine() - CPU, machine type, QEMU's version, lock manager, post-copy. */
void drv_plan_machine(json_object *facts, const drv_plan_target_goal *goal, drv_checks *checks);
