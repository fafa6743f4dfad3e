/* SPDX-License-Identifier: Apache-2.0 */
/* drover roll: maintenance of one node after the other. */
#pragma once

#include <glib.h>

#include "cli/args.h"

int drv_cmd_roll(drv_cli *cli, const drv_args *args, GError **error);
