/* SPDX-License-Identifier: Apache-2.0 */
/* What `migrate` and `job --follow` share: wait for a job's end and say how it ended. */
#pragma once

#include "cli/cli.h"

/**
 * drv_moving_follow() - @cancels: Ctrl-C cancels first. Prints the end (report or JSON) itself.
 * Return: the exit code.
 */
int drv_moving_follow(drv_cli *cli, const char *job, gboolean cancels, gboolean quiet);
