/* SPDX-License-Identifier: Apache-2.0 */
/* Plans: made from a goal and the fleet as it is, kept on the node that made them, applied once. */
#pragma once

#include "run/internal.h"

/** drv_run_local_plans() - those kept here. */
json_object *drv_run_local_plans(drv_run *run, GError **error);
json_object *drv_run_local_plan(drv_run *run, const char *id, GError **error);
json_object *drv_run_local_apply(drv_run *run, const char *id, GError **error);
