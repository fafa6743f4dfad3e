/* SPDX-License-Identifier: Apache-2.0 */
/* drover version. */
#pragma once

#include <glib.h>

#include "cli/args.h"

int drv_cmd_version(drv_cli *cli, const drv_args *args, GError **error);
