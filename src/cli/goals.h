/* SPDX-License-Identifier: Apache-2.0 */
/* The options --max-pause, --max-time, --bandwidth and --post-copy, which several commands have. */
#pragma once

#include "cli/cli.h"

/** drv_goals_options_add() - those that were given, and --policy, to @goals. Return: whether any was. */
gboolean drv_goals_options_add(const drv_args *args, json_object *goals);

/* One goal for people, "-" where it is not given. Transfer full. */
char *drv_goals_show_pause(json_object *goals);
char *drv_goals_show_time(json_object *goals);
char *drv_goals_show_bandwidth(json_object *goals);
char *drv_goals_show_post_copy(json_object *goals);

/** drv_goals_own() - a copy of @answer that has its goals alone. Transfer full. */
json_object *drv_goals_own(json_object *answer);
