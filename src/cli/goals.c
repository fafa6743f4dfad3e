/* SPDX-License-Identifier: Apache-2.0 */
/* Goals as options and as cells of a table: see goals.h. */
#include "cli/goals.h"

#include "cli/units.h"
#include "plan/placement.h"

static const struct {
    const char *option, *member;
    gboolean text;
} kinds[] = {
    {"max-pause", "max_pause_ms", FALSE}, {"max-time", "max_time_ms", FALSE}, {"bandwidth", "bandwidth_bps", FALSE},
    {"post-copy", "post_copy", TRUE},     {"policy", "policy", TRUE},
};

/* In the order of drv_placement_names. */
static const char *const rule_options[DRV_PLACEMENT_RULES] = {"priority", "depends-on", "apart", "together",
                                                              "node-label"};

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
            drv_json_set_int(goals, kinds[i].member, (gint64)drv_args_number(args, kinds[i].option));
    }
    return any;
}

gboolean drv_goals_rules_add(const drv_args *args, json_object *goals, gboolean *any, GError **error)
{
    for (guint i = 0; i < DRV_PLACEMENT_RULES; i++) {
        const char *text = drv_args_has(args, rule_options[i]) ? drv_args_text(args, rule_options[i]) : NULL;

        if (!text)
            continue;
        if (!drv_placement_take(goals, drv_placement_names[i], g_str_equal(text, "none") ? "" : text, error)) {
            g_prefix_error(error, "--%s: ", rule_options[i]);
            return FALSE;
        }
        *any = TRUE;
    }
    return TRUE;
}

char *drv_goals_show_rule(json_object *goals, const char *name)
{
    g_autofree char *text = drv_placement_text(goals, name);

    return g_strdup(!text ? "-" : *text ? text : "none");
}

json_object *drv_goals_own(json_object *answer)
{
    json_object *own = json_object_new_object();

    for (guint i = 0; i < DRV_PLACEMENT_RULES; i++) {
        json_object *value = answer ? json_object_object_get(answer, drv_placement_names[i]) : NULL;

        if (value)
            drv_json_set(own, drv_placement_names[i], json_object_get(value));
    }

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
