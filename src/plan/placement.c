/* SPDX-License-Identifier: Apache-2.0 */
/* Rules about where a VM is: see placement.h. */
#include "plan/placement.h"

#include <string.h>

#include "hyper/gerror.h"

#define PRIORITY_MOST 1000
#define LIST_MOST 64
#define NAME_MOST 255
#define SEPARATOR ","

enum { PRIORITY, DEPENDS_ON, APART, TOGETHER, NODE_LABELS };

const char *const drv_placement_names[DRV_PLACEMENT_RULES] = {
    [PRIORITY] = "priority", [DEPENDS_ON] = "depends_on",   [APART] = "apart",
    [TOGETHER] = "together", [NODE_LABELS] = "node_labels",
};

gboolean drv_placement_is_rule(const char *name)
{
    for (guint i = 0; i < DRV_PLACEMENT_RULES; i++)
        if (g_str_equal(drv_placement_names[i], name))
            return TRUE;
    return FALSE;
}

/* null is the same as not there. */
static json_object *given(json_object *goals, const char *name)
{
    json_object *value = NULL;

    return goals && json_object_object_get_ex(goals, name, &value) ? value : NULL;
}

/* ---- what they may be ---- */

static gboolean is_word(const char *text, gsize most)
{
    gsize length = strnlen(text, most + 1);

    return length && length <= most && g_ascii_isalnum(text[0]) &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/") == length;
}

static gboolean check_list(json_object *list, const char *name, gboolean of_groups, GError **error)
{
    if (!json_object_is_type(list, json_type_array) || drv_json_length(list) > LIST_MOST) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "%s must be a list of at most %d names", name, LIST_MOST);
        return FALSE;
    }
    for (gsize i = 0; i < drv_json_length(list); i++) {
        json_object *one = json_object_array_get_idx(list, i);
        const char *text = json_object_get_string(one);
        gboolean good =
            json_object_is_type(one, json_type_string) && strlen(text) == (gsize)json_object_get_string_len(one);

        if (good &&
            (of_groups ? is_word(text, 64) : *text && strlen(text) <= NAME_MOST && !strpbrk(text, SEPARATOR "\n\t")))
            continue;
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    of_groups ? "%s has '%.64s', which cannot be a group's name: it has 1 to 64 letters, "
                                "digits and ._-/, and begins with a letter or a digit"
                              : "%s has '%.64s', which cannot be a VM's name here: give its UUID",
                    name, text ? text : "null");
        return FALSE;
    }
    return TRUE;
}

static gboolean check_labels(json_object *labels, const char *name, GError **error)
{
    if (!json_object_is_type(labels, json_type_object) || json_object_object_length(labels) > LIST_MOST) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "%s must be an object of at most %d labels", name, LIST_MOST);
        return FALSE;
    }
    json_object_object_foreach(labels, key, value)
    {
        const char *text = json_object_get_string(value);

        if (is_word(key, 64) && json_object_is_type(value, json_type_string) && is_word(text, 64))
            continue;
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "%s has '%.64s=%.64s', which cannot be a label: key and value have 1 to 64 letters, digits "
                    "and ._-/, and begin with a letter or a digit",
                    name, key, text ? text : "null");
        return FALSE;
    }
    return TRUE;
}

gboolean drv_placement_check_labels(json_object *settings, GError **error)
{
    json_object *labels = given(settings, "labels"), *site = given(settings, "site");
    g_autoptr(json_object) kept = NULL;

    if (site && (!json_object_is_type(site, json_type_string) || !is_word(json_object_get_string(site), 64))) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "site is '%.64s'; it must be 1 to 64 letters, digits and ._-/",
                    json_object_get_string(site));
        return FALSE;
    }
    if (!labels || !json_object_is_type(labels, json_type_object))
        return !labels || check_labels(labels, "labels", error);
    kept = json_object_new_object();
    json_object_object_foreach(labels, key, value)
        drv_json_set(kept, key, value ? json_object_get(value) : json_object_new_string("x"));
    return check_labels(kept, "labels", error);
}

static gboolean check_priority(json_object *value, GError **error)
{
    gint64 number = json_object_get_int64(value);

    if (json_object_is_type(value, json_type_int) && number >= -PRIORITY_MOST && number <= PRIORITY_MOST)
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "priority is %s; it must be a whole number from -%d to %d",
                json_object_get_string(value), PRIORITY_MOST, PRIORITY_MOST);
    return FALSE;
}

/* ---- against each other ---- */

static const char *first_of(json_object *list)
{
    return drv_json_length(list) ? json_object_get_string(json_object_array_get_idx(list, 0)) : NULL;
}

static const char *common_group(json_object *a, json_object *b)
{
    for (gsize i = 0; i < drv_json_length(a); i++)
        for (gsize k = 0; k < drv_json_length(b); k++)
            if (g_str_equal(json_object_get_string(json_object_array_get_idx(a, i)),
                            json_object_get_string(json_object_array_get_idx(b, k))))
                return json_object_get_string(json_object_array_get_idx(a, i));
    return NULL;
}

static gboolean check_contradictions(json_object *goals, gboolean of_vm, GError **error)
{
    json_object *apart = given(goals, drv_placement_names[APART]);
    json_object *together = given(goals, drv_placement_names[TOGETHER]);
    const char *both = common_group(apart, together);

    if (both)
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "these two rules contradict each other: 'apart %s' wants the VMs of the group on different "
                    "nodes, 'together %s' on the same one: leave one of them out",
                    both, both);
    else if (!of_vm && first_of(apart) && first_of(together))
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "these two rules contradict each other: 'apart %s' keeps any two VMs of this policy on "
                    "different nodes, 'together %s' on the same one: leave one of them out, or make two "
                    "policies",
                    first_of(apart), first_of(together));
    else
        return TRUE;
    return FALSE;
}

gboolean drv_placement_check(json_object *goals, gboolean of_vm, GError **error)
{
    for (guint i = 0; i < DRV_PLACEMENT_RULES; i++) {
        json_object *value = given(goals, drv_placement_names[i]);
        gboolean good = TRUE;

        if (value && i == PRIORITY)
            good = check_priority(value, error);
        else if (value && i == NODE_LABELS)
            good = check_labels(value, drv_placement_names[i], error);
        else if (value)
            good = check_list(value, drv_placement_names[i], i != DEPENDS_ON, error);
        if (!good)
            return FALSE;
    }
    return check_contradictions(goals, of_vm, error);
}

/* ---- as text ---- */

static json_object *list_from(const char *text)
{
    json_object *list = json_object_new_array();
    g_auto(GStrv) parts = g_strsplit(text, SEPARATOR, -1);

    for (guint i = 0; parts[i]; i++)
        if (*g_strstrip(parts[i]))
            json_object_array_add(list, json_object_new_string(parts[i]));
    return list;
}

static json_object *labels_from(const char *text, GError **error)
{
    g_autoptr(json_object) labels = json_object_new_object();
    g_auto(GStrv) parts = g_strsplit(text, SEPARATOR, -1);

    for (guint i = 0; parts[i]; i++) {
        char *equals = strchr(g_strstrip(parts[i]), '=');
        const char *known;

        if (!*parts[i])
            continue;
        if (!equals) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                        "'%.64s' is no label: a label has a key and a value, as rack=7", parts[i]);
            return NULL;
        }
        *equals = '\0';
        known = drv_json_string(labels, parts[i], NULL);
        if (known && !g_str_equal(known, equals + 1)) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                        "these two rules contradict each other: the labels %s=%s and %s=%s, for a node has "
                        "one value of each: leave one of them out",
                        parts[i], known, parts[i], equals + 1);
            return NULL;
        }
        drv_json_set_string(labels, parts[i], equals + 1);
    }
    return g_steal_pointer(&labels);
}

gboolean drv_placement_take(json_object *goals, const char *name, const char *text, GError **error)
{
    json_object *value;
    gint64 number;

    if (g_str_equal(name, drv_placement_names[PRIORITY])) {
        if (!g_ascii_string_to_signed(text, 10, G_MININT64, G_MAXINT64, &number, NULL)) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "%s is '%.64s'; it must be a whole number", name, text);
            return FALSE;
        }
        drv_json_set_int(goals, name, number);
        return TRUE;
    }
    value = g_str_equal(name, drv_placement_names[NODE_LABELS]) ? labels_from(text, error) : list_from(text);
    if (!value)
        return FALSE;
    drv_json_set(goals, name, value);
    return TRUE;
}

char *drv_placement_text(json_object *goals, const char *name)
{
    json_object *value = given(goals, name);
    g_autoptr(GString) text = g_string_new(NULL);

    if (!value)
        return NULL;
    if (json_object_is_type(value, json_type_int))
        return g_strdup(json_object_get_string(value));
    if (json_object_is_type(value, json_type_object)) {
        json_object_object_foreach(value, key, label)
            g_string_append_printf(text, "%s%s=%s", text->len ? SEPARATOR : "", key, json_object_get_string(label));
    } else {
        for (gsize i = 0; i < drv_json_length(value); i++)
            g_string_append_printf(text, "%s%s", i ? SEPARATOR : "",
                                   json_object_get_string(json_object_array_get_idx(value, i)));
    }
    return g_strdup(text->str);
}

/* ---- which holds ---- */

void drv_placement_resolve(const drv_goals_layer *layers, guint count, json_object *into)
{
    json_object *from = drv_json_object(into, "goals_from");

    if (!from) {
        from = json_object_new_object();
        drv_json_set(into, "goals_from", from);
    }
    for (guint i = 0; i < DRV_PLACEMENT_RULES; i++)
        for (guint k = 0; k < count; k++) {
            json_object *value = given(layers[k].goals, drv_placement_names[i]);

            if (!value)
                continue;
            drv_json_set(into, drv_placement_names[i], drv_json_copy(value));
            drv_json_set_string(from, drv_placement_names[i], layers[k].from);
            break;
        }
}
