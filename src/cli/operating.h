/* SPDX-License-Identifier: Apache-2.0 */
/* Plans of several steps and the operations that they become, as people see them. */
#pragma once

#include "cli/cli.h"

/** drv_operating_is() - whether @id is an operation's ("op-3"). */
gboolean drv_operating_is(const char *id);

/** drv_operating_limits_add() - "limits" of @goal: {"per_node", "per_link", "bandwidth_bps"}, as far as given. */
void drv_operating_limits_add(const drv_args *args, json_object *goal);

/** drv_operating_print_plan() - its steps and what is refused, with the reasons. */
void drv_operating_print_plan(FILE *out, json_object *plan);

/** drv_operating_print() - the operation and its steps. */
void drv_operating_print(FILE *out, json_object *operation);

/**
 * drv_operating_agreed() - ask on a terminal whether to go on. @yes: it is agreed already.
 * Return: FALSE: no; or there is nobody to ask, then DRV_ERROR_REFUSED.
 */
gboolean drv_operating_agreed(drv_cli *cli, const char *question, gboolean yes, GError **error);

/** drv_operating_follow() - show each step as it goes, until the end. Return: the exit code, -1 and @error. */
int drv_operating_follow(drv_cli *cli, const char *id, gboolean quiet, GError **error);
