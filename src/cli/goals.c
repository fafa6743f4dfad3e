/* SPDX-License-Identifier: Apache-2.0 */
/* Goals as options and as cells of a table: see goals.h. */
#include "cli/goals.h"

#include "cli/units.h"

static const struct {
    const char *option, *member;
    gboolean text;
} kinds[] = {
    {"max-pause", "max_pause_ms", FALSE}, {"max-time", "max_time_ms", FALSE},
    {"bandwidth", "bandwidth_bps", FALSE}, {"post-copy", "post_copy", TRUE},
    {"policy", "policy", TRUE},
};

gboolean drv_goals_options_add(const drv_args *args, json_object *goals)
{
    gboolean any = FALSE;

    for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (!drv_args_has(args, kinds[i].option))
            continue;
        any = TRUE;
        if (kinds[i].text)
            drv_json_set_string(goals, kinds[i].member, drv_args_text(args, kinds[i].option));
        else
            drv_json_set_int(goals, kinds[i].member,
                             (gint64)drv_args_number(args, kinds[i].option));
    }
    return any;
}

json_object *drv_goals_own(json_object *answer)
{
    json_object *own = json_object_new_object();

    for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
        json_object *value = NULL;

        if (answer && json_object_object_get_ex(answer, kinds[i].member, &value) && value)
            drv_json_set(own, kinds[i].member, json_object_get(value));
    }
    return own;
}

/* 0 is what --max-time none means. */
static char *show_number(json_object *goals, const char *key, char *(*show)(guint64))
{
    guint64 number;

    if (!drv_show_get_number(goals, key, &number))
        return g_strdup("-");
    return number ? show(number) : g_strdup("none");
}

char *drv_goals_show_pause(json_object *goals)
{
    return show_number(goals, "max_pause_ms", drv_units_duration);
}

char *drv_goals_show_time(json_object *goals)
{
    return show_number(goals, "max_time_ms", drv_units_duration);
}

char *drv_goals_show_bandwidth(json_object *goals)
{
    return show_number(goals, "bandwidth_bps", drv_units_rate);
}

char *drv_goals_show_post_copy(json_object *goals)
{
    return drv_show_text(goals, "post_copy");
}
