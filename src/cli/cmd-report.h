/* SPDX-License-Identifier: Apache-2.0 */
/* drover report accuracy. */
#pragma once

#include <glib.h>

#include "cli/args.h"

int drv_cmd_report_accuracy(drv_cli *cli, const drv_args *args, GError **error);
