/* SPDX-License-Identifier: Apache-2.0 */
/* The options --max-pause, --max-time, --bandwidth and --post-copy, which several commands have. */
#pragma once

#include "cli/cli.h"

/** drv_goals_options_add() - those that were given, and --policy, to @goals. Return: whether any was. */
gboolean drv_goals_options_add(const drv_args *args, json_object *goals);

/**
 * drv_goals_rules_add() - those of --priority, --depends-on, --apart, --together and --node-label that were
 * given, to @goals; "none" is an empty list. @any: set to TRUE if one was. DRV_ERROR_INVALID.
 */
gboolean drv_goals_rules_add(const drv_args *args, json_object *goals, gboolean *any, GError **error);
/** drv_goals_show_rule() - a member of plan/placement.h for people. Transfer full. */
char *drv_goals_show_rule(json_object *goals, const char *name);

/* One goal for people, "-" where it is not given. Transfer full. */
char *drv_goals_show_pause(json_object *goals);
char *drv_goals_show_time(json_object *goals);
char *drv_goals_show_bandwidth(json_object *goals);
char *drv_goals_show_post_copy(json_object *goals);

/** drv_goals_own() - a copy of @answer that has its goals alone. Transfer full. */
json_object *drv_goals_own(json_object *answer);
