/* SPDX-License-Identifier: Apache-2.0 */
/* drover policy list, show, set, delete. */
#pragma once

#include <glib.h>

#include "cli/args.h"

int drv_cmd_policy_list(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_policy_show(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_policy_set(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_policy_delete(drv_cli *cli, const drv_args *args, GError **error);
