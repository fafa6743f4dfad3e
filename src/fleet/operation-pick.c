/* SPDX-License-Identifier: Apache-2.0 */
/* Which steps may begin: see operation-pick.h. */
#include "fleet/operation-pick.h"

#include "fleet/operation.h"
#include "plan/schedule.h"

typedef struct {
    guint running; /* moves on it */
    guint ready;   /* that could begin but for the limits */
    guint64 given_bps;
} link_use;

typedef struct {
    GHashTable *nodes; /* name → moves at once, as a pointer */
    GHashTable *links; /* "from\nto" → link_use */
} uses;

static char *link_name(json_object *step)
{
    return g_strdup_printf("%s\n%s", drv_json_string(step, "source", ""), drv_json_string(step, "target", ""));
}

static link_use *use_of(uses *all, json_object *step)
{
    g_autofree char *name = link_name(step);
    link_use *use = g_hash_table_lookup(all->links, name);

    if (!use) {
        use = g_new0(link_use, 1);
        g_hash_table_insert(all->links, g_steal_pointer(&name), use);
    }
    return use;
}

static guint moves_at(uses *all, const char *node)
{
    return GPOINTER_TO_UINT(g_hash_table_lookup(all->nodes, node));
}

static void count_node(uses *all, const char *node)
{
    g_hash_table_insert(all->nodes, g_strdup(node), GUINT_TO_POINTER(moves_at(all, node) + 1));
}

static gboolean is_local(json_object *step)
{
    return g_strcmp0(drv_json_string(step, "source", ""), drv_json_string(step, "target", "")) == 0;
}

static void count_move(uses *all, json_object *step, guint64 share)
{
    link_use *use = use_of(all, step);

    use->running++;
    use->given_bps += share;
    count_node(all, drv_json_string(step, "source", ""));
    if (!is_local(step))
        count_node(all, drv_json_string(step, "target", ""));
}

/* Whether it has ended so that others may go on. A VM that is not there any more is in nobody's way. */
static gboolean ended_well(json_object *step)
{
    drv_step_state state = drv_operation_step_state(step);

    return state == DRV_STEP_DONE || (state == DRV_STEP_SKIPPED && drv_json_bool(step, "fine"));
}

static gboolean may_begin(json_object *doc, json_object *step)
{
    json_object *after = drv_json_array(step, "after");

    if (drv_operation_step_state(step) != DRV_STEP_WAITING)
        return FALSE;
    for (gsize i = 0; i < drv_json_length(after); i++) {
        gint64 index = json_object_get_int64(json_object_array_get_idx(after, i));
        json_object *other = index >= 0 ? drv_operation_step_of(doc, (guint)index) : NULL;

        if (other && !ended_well(other))
            return FALSE;
    }
    return TRUE;
}

static gboolean runs(json_object *doc)
{
    return g_str_equal(drv_json_string(doc, "state", ""), "running") && !drv_json_bool(doc, "cancel_requested");
}

static guint limit(json_object *doc, const char *key, guint otherwise)
{
    gint64 value = drv_json_int(drv_json_object(doc, "limits"), key, otherwise);

    return (guint)CLAMP(value, 1, 1000);
}

/* How many moves may touch @node at once; see drv_plan_limits_json(). */
static guint borne_by(json_object *doc, const char *node)
{
    json_object *nodes = drv_json_object(drv_json_object(doc, "limits"), "nodes");
    guint per_node = limit(doc, "per_node", DRV_PLAN_PER_NODE);

    return (guint)CLAMP(drv_json_int(nodes, node, per_node), 1, per_node);
}

static gboolean has_place(json_object *doc, uses *all, const char *node)
{
    return moves_at(all, node) < borne_by(doc, node);
}

/* How many moves may be on the way of @step at once. */
static guint most_on_way(json_object *doc, json_object *step)
{
    guint ends =
        MIN(borne_by(doc, drv_json_string(step, "source", "")), borne_by(doc, drv_json_string(step, "target", "")));

    return MIN(ends, limit(doc, "per_link", DRV_PLAN_PER_LINK));
}

/* What is left of the link's budget, divided among those that will share it. FALSE: nothing is left. */
static gboolean share_of(json_object *doc, json_object *step, const link_use *use, guint64 *share)
{
    gint64 budget = drv_json_int(drv_json_object(doc, "limits"), "bandwidth_bps", 0);
    guint together = MAX(MIN(most_on_way(doc, step), use->running + use->ready), use->running + 1);

    *share = 0;
    if (budget <= 0)
        return TRUE;
    if (use->given_bps >= (guint64)budget)
        return FALSE;
    *share = ((guint64)budget - use->given_bps) / (together - use->running);
    return *share > 0;
}

static void begin_what_fits(json_object *doc, gsize which, uses *all, GArray *picked)
{
    json_object *steps = drv_json_array(doc, "steps");
    guint per_link = limit(doc, "per_link", DRV_PLAN_PER_LINK);

    for (guint i = 0; i < drv_json_length(steps); i++) {
        json_object *step = json_object_array_get_idx(steps, i);
        drv_picked one = {.operation = which, .index = i};
        link_use *use;

        if (!may_begin(doc, step))
            continue;
        use = use_of(all, step);
        if (use->running >= per_link || !has_place(doc, all, drv_json_string(step, "source", "")) ||
            (!is_local(step) && !has_place(doc, all, drv_json_string(step, "target", ""))) ||
            !share_of(doc, step, use, &one.bandwidth_bps))
            continue;
        count_move(all, step, one.bandwidth_bps);
        use->ready--;
        g_array_append_val(picked, one);
    }
}

GArray *drv_pick_steps(json_object *const *docs, gsize count)
{
    GArray *picked = g_array_new(FALSE, TRUE, sizeof(drv_picked));
    g_autoptr(GHashTable) nodes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) links = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    uses all = {nodes, links};

    for (gsize i = 0; i < count; i++) {
        json_object *steps = drv_json_array(docs[i], "steps");

        for (gsize j = 0; j < drv_json_length(steps); j++) {
            json_object *step = json_object_array_get_idx(steps, j);

            if (drv_operation_step_state(step) == DRV_STEP_RUNNING)
                count_move(&all, step, (guint64)drv_json_int(step, "share_bps", 0));
            else if (runs(docs[i]) && may_begin(docs[i], step))
                use_of(&all, step)->ready++;
        }
    }
    for (gsize i = 0; i < count; i++)
        if (runs(docs[i]))
            begin_what_fits(docs[i], i, &all, picked);
    return picked;
}

gint drv_pick_doomed(json_object *doc, char **why)
{
    json_object *steps = drv_json_array(doc, "steps");

    for (guint i = 0; i < drv_json_length(steps); i++) {
        json_object *step = json_object_array_get_idx(steps, i);
        json_object *after = drv_json_array(step, "after");

        for (gsize j = 0; drv_operation_step_state(step) == DRV_STEP_WAITING && j < drv_json_length(after); j++) {
            gint64 index = json_object_get_int64(json_object_array_get_idx(after, j));
            json_object *other = index >= 0 ? drv_operation_step_of(doc, (guint)index) : NULL;

            if (other && drv_step_state_get(drv_operation_step_state(other))->ended && !ended_well(other)) {
                *why = g_strdup_printf("it was to go after %s, which has not moved: move that first, "
                                       "then plan again",
                                       drv_json_string(other, "vm", "?"));
                return (gint)i;
            }
        }
    }
    return -1;
}
