/* SPDX-License-Identifier: Apache-2.0 */
/* drover doctor: the table of checks, and its findings for people and programs. */
#pragma once

#include <glib.h>

#include "cli/args.h"
#include "cli/doctor.h"

int drv_cmd_doctor(drv_cli *cli, const drv_args *args, GError **error);
