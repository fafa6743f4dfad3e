/* SPDX-License-Identifier: Apache-2.0 */
/* The goal of a plan, as POST /v1/plans has it (docs/rest.rst). */
#pragma once

#include "model/json.h"

/** drv_goal_check() - whether it makes sense. DRV_ERROR_INVALID says what does not. Pure. */
gboolean drv_goal_check(json_object *goal, GError **error);
