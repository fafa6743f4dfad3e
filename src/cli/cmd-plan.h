/* SPDX-License-Identifier: Apache-2.0 */
/* drover plan …: what would be done, and kept to be applied; of a fleet in a file also without droverd. */
#pragma once

#include <glib.h>

#include "cli/args.h"

int drv_cmd_plan_migrate(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_plan_evacuate(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_plan_place(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_plan_show(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_plan_list(drv_cli *cli, const drv_args *args, GError **error);
