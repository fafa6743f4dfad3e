/* SPDX-License-Identifier: Apache-2.0 */
/* What `migrate`, `plan migrate` and `job --follow` share: the plan, waiting for a job's end, how it ended. */
#pragma once

#include "cli/cli.h"

/**
 * drv_moving_follow() - @cancels: Ctrl-C cancels first. Prints the end (report or JSON) itself.
 * Return: the exit code.
 */
int drv_moving_follow(drv_cli *cli, const char *job, gboolean cancels, gboolean quiet);

/** drv_moving_plan() - the plan that the operands and options of `migrate` ask for. Transfer full. */
json_object *drv_moving_plan(drv_cli *cli, const drv_args *args, GError **error);
