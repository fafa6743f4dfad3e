/* SPDX-License-Identifier: Apache-2.0 */
/* drover help. */
#pragma once

#include <glib.h>

#include "cli/args.h"

int drv_cmd_help(drv_cli *cli, const drv_args *args, GError **error);
