/* SPDX-License-Identifier: Apache-2.0 */
/* drover link list, probe. */
#pragma once

#include <glib.h>

#include "cli/args.h"

int drv_cmd_link_list(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_link_probe(drv_cli *cli, const drv_args *args, GError **error);
