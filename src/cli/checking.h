/* SPDX-License-Identifier: Apache-2.0 */
/* `migrate --check`: what a dry run found, for people and for scripts. */
#pragma once

#include "cli/cli.h"

/**
 * drv_checking_show() - the report of a plan made with "check". As text the checks are there at once, and the
 * prediction, which the plan does not have then, when droverd has made it. Return: the exit code.
 */
int drv_checking_show(drv_cli *cli, json_object *plan);

/** drv_checking_failed() - for scripts: there is nothing to look at; @why says why. Transfer full. */
json_object *drv_checking_failed(const char *vm, const char *target, const GError *why);

/** drv_checking_warn() - the warnings of a plan that is about to be applied, a line each on stderr. */
void drv_checking_warn(drv_cli *cli, json_object *plan);
