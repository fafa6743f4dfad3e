/* SPDX-License-Identifier: Apache-2.0 */
/* drover token create, list, revoke. */
#pragma once

#include <glib.h>

#include "cli/args.h"

int drv_cmd_token_create(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_token_list(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_token_revoke(drv_cli *cli, const drv_args *args, GError **error);
