/* SPDX-License-Identifier: Apache-2.0 */
/* drover vm goals: what a VM keeps, and what holds for its moves. */
#pragma once

#include <glib.h>

#include "cli/args.h"

int drv_cmd_vm_goals(drv_cli *cli, const drv_args *args, GError **error);
