/* SPDX-License-Identifier: Apache-2.0 */
/* drover vm list. */
#pragma once

#include <glib.h>

#include "cli/args.h"

int drv_cmd_vm_list(drv_cli *cli, const drv_args *args, GError **error);
