/* SPDX-License-Identifier: Apache-2.0 */
/* drover content list, prune, on, off; drover vm owner. */
#pragma once

#include <glib.h>

#include "cli/args.h"

int drv_cmd_vm_owner(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_content_list(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_content_prune(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_content_on(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_content_off(drv_cli *cli, const drv_args *args, GError **error);
