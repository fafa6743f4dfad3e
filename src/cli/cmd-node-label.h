/* SPDX-License-Identifier: Apache-2.0 */
/* drover node label: what a node is like, for rules of VMs that want such a node. */
#pragma once

#include <glib.h>

#include "cli/args.h"

int drv_cmd_node_label(drv_cli *cli, const drv_args *args, GError **error);
