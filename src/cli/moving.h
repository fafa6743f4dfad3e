/* SPDX-License-Identifier: Apache-2.0 */
/* What `migrate`, `plan migrate` and `job --follow` share: the plan, waiting for a job's end, how it ended. */
#pragma once

#include "cli/cli.h"

/**
 * drv_moving_follow() - @cancels: Ctrl-C cancels first. Prints the end (report or JSON) itself.
 * Return: the exit code.
 */
int drv_moving_follow(drv_cli *cli, const char *job, gboolean cancels, gboolean quiet);
