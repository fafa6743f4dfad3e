/* SPDX-License-Identifier: Apache-2.0 */
/* drover store status, move; drover node authority. */
#pragma once

#include <glib.h>

#include "cli/args.h"

/** drv_cli_warn_open_store() - says so if etcd at @where is reached without encryption. In cmd-store.c. */
void drv_cli_warn_open_store(drv_cli *cli, const char *where, const char *ca, const char *cert);

int drv_cmd_node_authority(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_store_status(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_store_move(drv_cli *cli, const drv_args *args, GError **error);
