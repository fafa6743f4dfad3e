/* SPDX-License-Identifier: Apache-2.0 */
/* Memory, huge pages, processors and NUMA nodes at the target. */
#pragma once

#include <json-c/json.h>

#include "plan/checks.h"
#include "plan/target-goal.h"

/** drv_plan_resources() - memory, huge pages, pinning, NUMA. */
void drv_plan_resources(json_object *facts, const drv_plan_target_goal *goal, drv_checks *checks);
