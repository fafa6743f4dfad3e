/* SPDX-License-Identifier: Apache-2.0 */
/* drover evacuate, node drain, node resume, apply: plans of several steps, looked at and begun. */
#pragma once

#include <glib.h>

#include "cli/args.h"

int drv_cmd_evacuate(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_apply(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_node_drain(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_node_resume(drv_cli *cli, const drv_args *args, GError **error);
