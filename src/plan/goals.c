/* SPDX-License-Identifier: Apache-2.0 */
/* What goals may be and which of them wins: see goals.h. */
#include "plan/goals.h"

#include <string.h>

#include "hyper/hyper.h"
#include "plan/placement.h"

#define POLICY "policy"
#define NAME_MOST 64

/* The longest pause that libvirt takes. */
#define PAUSE_MOST_MS 2000000

static const struct {
    const char *name;
    const char *option;
    gint64 least, most, built_in; /* of a number */
    gboolean text;                /* "never" or "if-needed", which is built in as "never" */
} kinds[] = {
    {"max_pause_ms", "--max-pause", 1, PAUSE_MOST_MS, DRV_GOALS_MAX_PAUSE_MS, FALSE},
    {"max_time_ms", "--max-time", 0, G_MAXINT64, 0, FALSE},
    {"bandwidth_bps", "--bandwidth", 0, G_MAXINT64, 0, FALSE},
    {"post_copy", "--post-copy", 0, 0, 0, TRUE},
};

/* null is the same as not there. */
static json_object *given(json_object *goals, const char *name)
{
    json_object *value = NULL;

    return goals && json_object_object_get_ex(goals, name, &value) ? value : NULL;
}

static gboolean check_number(json_object *value, gsize kind, GError **error)
{
    gint64 number = json_object_get_int64(value);

    if (!json_object_is_type(value, json_type_int))
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "%s is %s; it must be a whole number", kinds[kind].name,
                    json_object_to_json_string(value));
    else if (kinds[kind].most == G_MAXINT64 && number < kinds[kind].least)
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "%s must not be negative", kinds[kind].name);
    else if (number < kinds[kind].least || number > kinds[kind].most)
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "%s is %" G_GINT64_FORMAT "; it must be from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT,
                    kinds[kind].name, number, kinds[kind].least, kinds[kind].most);
    else
        return TRUE;
    return FALSE;
}

static gboolean check_when(json_object *value, const char *name, GError **error)
{
    const char *text = json_object_get_string(value);

    if (json_object_is_type(value, json_type_string) && (g_str_equal(text, "never") || g_str_equal(text, "if-needed")))
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "%s is '%s'; it must be 'never' or 'if-needed'", name, text);
    return FALSE;
}

gboolean drv_goals_check(json_object *goals, GError **error)
{
    for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
        json_object *value = given(goals, kinds[i].name);

        if (value && !(kinds[i].text ? check_when(value, kinds[i].name, error) : check_number(value, i, error)))
            return FALSE;
    }
    return TRUE;
}

gboolean drv_goals_check_name(const char *name, GError **error)
{
    gsize length = strnlen(name, NAME_MOST + 1);

    if (length && length <= NAME_MOST && g_ascii_isalnum(name[0]) &&
        strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == length)
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                "'%.64s' cannot be a policy's name: it has 1 to %d letters, digits and ._-, and begins "
                "with a letter or a digit",
                name, NAME_MOST);
    return FALSE;
}

static gboolean is_known(const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (g_str_equal(name, kinds[i].name))
            return TRUE;
    return FALSE;
}

gboolean drv_goals_check_kept(json_object *goals, gboolean of_vm, GError **error)
{
    json_object *policy = given(goals, POLICY);

    json_object_object_foreach(goals, key, value)
    {
        (void)value;
        if (is_known(key) || drv_placement_is_rule(key) || (of_vm && g_str_equal(key, POLICY)))
            continue;
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "goals have no member '%.64s'; they have max_pause_ms, max_time_ms, bandwidth_bps, "
                    "post_copy, priority, depends_on, apart, together, node_labels%s",
                    key, of_vm ? " and policy" : "");
        return FALSE;
    }
    if (policy && !json_object_is_type(policy, json_type_string)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "policy must be the name of a policy");
        return FALSE;
    }
    return (!policy || drv_goals_check_name(json_object_get_string(policy), error)) && drv_goals_check(goals, error) &&
           drv_placement_check(goals, of_vm, error);
}

/* One attribute as a member. FALSE: a number that is none. */
static gboolean take(json_object *goals, gsize kind, const char *text)
{
    gint64 number;

    if (kinds[kind].text) {
        drv_json_set_string(goals, kinds[kind].name, text);
        return TRUE;
    }
    if (!g_ascii_string_to_signed(text, 10, G_MININT64, G_MAXINT64, &number, NULL))
        return FALSE;
    drv_json_set_int(goals, kinds[kind].name, number);
    return TRUE;
}

json_object *drv_goals_from_attributes(json_object *attributes, const char *vm, GError **error)
{
    g_autoptr(json_object) goals = json_object_new_object();
    g_autoptr(GError) problem = NULL;
    const char *policy = drv_json_string(attributes, POLICY, NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(kinds) && !problem; i++) {
        const char *text = drv_json_string(attributes, kinds[i].name, NULL);

        if (text && !take(goals, i, text))
            g_set_error(&problem, DRV_ERROR, DRV_ERROR_INVALID, "%s is '%.64s'; it must be a whole number",
                        kinds[i].name, text);
    }
    for (guint i = 0; i < DRV_PLACEMENT_RULES && !problem; i++) {
        const char *text = drv_json_string(attributes, drv_placement_names[i], NULL);

        if (text)
            drv_placement_take(goals, drv_placement_names[i], text, &problem);
    }
    if (policy)
        drv_json_set_string(goals, POLICY, policy);
    if (!problem && drv_goals_check_kept(goals, TRUE, &problem))
        return g_steal_pointer(&goals);
    g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                "the goals in the metadata of VM %s: %s: 'drover vm goals %s --clear' removes them all, "
                "'virsh metadata %s " DRV_GOALS_NAMESPACE "' shows them",
                vm, problem->message, vm, vm);
    return NULL;
}

GHashTable *drv_goals_to_attributes(GHashTable *before, json_object *goals)
{
    g_autoptr(GHashTable) table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    json_object *policy = given(goals, POLICY);
    GHashTableIter iter;
    gpointer name, value;

    if (before) {
        g_hash_table_iter_init(&iter, before);
        while (g_hash_table_iter_next(&iter, &name, &value))
            if (!is_known(name) && !drv_placement_is_rule(name) && !g_str_equal(name, POLICY))
                g_hash_table_replace(table, g_strdup(name), g_strdup(value));
    }
    for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
        json_object *one = given(goals, kinds[i].name);

        if (one)
            g_hash_table_replace(table, g_strdup(kinds[i].name), g_strdup(json_object_get_string(one)));
    }
    for (guint i = 0; i < DRV_PLACEMENT_RULES; i++) {
        char *text = drv_placement_text(goals, drv_placement_names[i]);

        if (text)
            g_hash_table_replace(table, g_strdup(drv_placement_names[i]), text);
    }
    if (policy)
        g_hash_table_replace(table, g_strdup(POLICY), g_strdup(json_object_get_string(policy)));
    return g_hash_table_size(table) ? g_steal_pointer(&table) : NULL;
}

static const drv_goals_layer *giver(const drv_goals_layer *layers, guint count, const char *name)
{
    for (guint i = 0; i < count; i++)
        if (given(layers[i].goals, name))
            return &layers[i];
    return NULL;
}

char *drv_goals_lacking(const drv_goals_layer *layers, guint count)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (!giver(layers, count, kinds[i].name))
            g_string_append_printf(text, "%s%s", text->len ? ", " : "", kinds[i].option);
    return text->len ? g_strdup(text->str) : NULL;
}

void drv_goals_resolve(const drv_goals_layer *layers, guint count, json_object *step)
{
    json_object *from = json_object_new_object();

    for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
        const drv_goals_layer *layer = giver(layers, count, kinds[i].name);

        if (layer)
            drv_json_set(step, kinds[i].name, drv_json_copy(given(layer->goals, kinds[i].name)));
        else if (kinds[i].text)
            drv_json_set_string(step, kinds[i].name, "never");
        else
            drv_json_set_int(step, kinds[i].name, kinds[i].built_in);
        drv_json_set_string(from, kinds[i].name, layer ? layer->from : "built-in");
    }
    drv_json_set(step, "goals_from", from);
}

char *drv_goals_text(json_object *step)
{
    json_object *from = drv_json_object(step, "goals_from");
    gint64 time_ms = drv_json_int(step, "max_time_ms", 0);
    gint64 rate_bps = drv_json_int(step, "bandwidth_bps", 0);
    g_autofree char *time =
        time_ms ? g_strdup_printf("time at most %.15g s", (double)time_ms / 1000) : g_strdup("any time");
    g_autofree char *rate =
        rate_bps ? g_strdup_printf("at most %.15g Mbit/s", (double)rate_bps * 8 / 1e6) : g_strdup("any bandwidth");

    return g_strdup_printf("pause at most %" G_GINT64_FORMAT " ms (%s), %s (%s), %s (%s), post-copy %s (%s)",
                           drv_json_int(step, "max_pause_ms", 0), drv_json_string(from, "max_pause_ms", "?"), time,
                           drv_json_string(from, "max_time_ms", "?"), rate, drv_json_string(from, "bandwidth_bps", "?"),
                           drv_json_string(step, "post_copy", "never"), drv_json_string(from, "post_copy", "?"));
}
