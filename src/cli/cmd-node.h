/* SPDX-License-Identifier: Apache-2.0 */
/* drover node list, revoke. */
#pragma once

#include <glib.h>

#include "cli/args.h"

int drv_cmd_node_list(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_node_revoke(drv_cli *cli, const drv_args *args, GError **error);
