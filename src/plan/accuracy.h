/* SPDX-License-Identifier: Apache-2.0 */
/* How good predictions were: of the moves in the history, what was said beside what came. Pure. */
#pragma once

#include "model/json.h"

/**
 * drv_plan_accuracy() - the ACCURACY of docs/rest.rst.
 * @jobs: array of JOBs; those count that ended as done and had a prediction
 * Transfer full.
 */
json_object *drv_plan_accuracy(json_object *jobs);
