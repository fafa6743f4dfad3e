/* SPDX-License-Identifier: Apache-2.0 */
/* drover init and drover join: how a host becomes a node. */
#pragma once

#include <glib.h>

#include "cli/args.h"

/* The commands, one file each (a group of commands shares one). */
int drv_cmd_init(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_join(drv_cli *cli, const drv_args *args, GError **error);
