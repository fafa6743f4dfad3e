/* SPDX-License-Identifier: Apache-2.0 */
/* drover migrate: plan, apply, follow, report; or only look whether it could be done. */
#pragma once

#include <glib.h>
#include <json-c/json.h>

#include "cli/args.h"

int drv_cmd_migrate(drv_cli *cli, const drv_args *args, GError **error);

/** drv_moving_plan() - the plan that the operands and options of `migrate` ask for. Transfer full. */
json_object *drv_moving_plan(drv_cli *cli, const drv_args *args, GError **error);
