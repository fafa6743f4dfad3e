/* SPDX-License-Identifier: Apache-2.0 */
/* drover backup and restore. */
#pragma once

#include <glib.h>

#include "cli/args.h"

int drv_cmd_backup(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_restore(drv_cli *cli, const drv_args *args, GError **error);
