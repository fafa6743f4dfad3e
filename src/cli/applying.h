/* SPDX-License-Identifier: Apache-2.0 */
/* A plan that was looked at is begun, once, also when answers are lost. */
#pragma once

#include "cli/cli.h"

/**
 * drv_applying() - begin @plan.
 *
 * When the answer is lost nobody knows whether it has begun: the plan itself tells, and a plan is
 * applied at most once, so asking again is safe.
 * Return: the id of its job, or of its operation if it has several steps; transfer full
 */
char *drv_applying(drv_cli *cli, const char *plan, GError **error);
