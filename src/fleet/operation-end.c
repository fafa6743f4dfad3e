/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of an operation: before it, the node that was to be emptied is looked at once more, since
 * VMs may have appeared there; then what has become of all steps is summed up.
 */
#include "fleet/operation-end.h"

#include "base/clock.h"
#include "base/log.h"
#include "fleet/goal-steps.h"
#include "fleet/maintenance.h"
#include "fleet/operation-state.h"
#include "fleet/operation.h"
#include "model/json.h"

/* A VM that something else is at work on is waited for so long. */
#define LOOK_AGAIN_MS 2000
#define MOST_LOOKS 150

typedef struct {
    json_object *steps; /* of a new plan */
    json_object *refused;
    GHashTable *but; /* UUIDs that it has dealt with */
} appeared;

/* A refusal that will pass: another move of the VM, a job of libvirt's. */
static gboolean is_transient(json_object *refused)
{
    return g_str_equal(drv_json_string(refused, "code", ""), drv_error_code_name(DRV_ERROR_CONFLICT));
}

/* VMs that it has dealt with, or has said that it cannot. Transfer full. */
static GHashTable *dealt_with(json_object *doc)
{
    static const char *const lists[] = {"steps", "refused"};
    GHashTable *uuids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; i < G_N_ELEMENTS(lists); i++) {
        json_object *list = drv_json_array(doc, lists[i]);

        for (gsize j = 0; j < drv_json_length(list); j++) {
            json_object *one = json_object_array_get_idx(list, j);

            /* What something else was at work on may be free, one that somebody has moved away may be back. */
            if (is_transient(one))
                continue;
            if (i > 0 || drv_operation_step_state(one) != DRV_STEP_SKIPPED || !drv_json_bool(one, "fine"))
                g_hash_table_add(uuids, g_strdup(drv_json_string(one, "uuid", "")));
        }
    }
    return uuids;
}

static gboolean is_new(json_object *step, GHashTable *but)
{
    return !g_hash_table_contains(but, drv_json_string(step, "uuid", ""));
}

/* @after in the new plan → in this one. What is not taken over has been dealt with. */
static json_object *translated(json_object *after, const gint64 *index_of)
{
    json_object *list = json_object_new_array();

    for (gsize i = 0; i < drv_json_length(after); i++) {
        gint64 index = index_of[json_object_get_int64(json_object_array_get_idx(after, i))];

        if (index >= 0)
            json_object_array_add(list, json_object_new_int64(index));
    }
    return list;
}

static gboolean add_more(json_object *doc, gpointer data, GError **error)
{
    const appeared *what = data;
    gsize count = drv_json_length(what->steps);
    g_autofree gint64 *index_of = g_new0(gint64, count + 1);
    gint64 next = (gint64)drv_json_length(drv_json_array(doc, "steps"));
    json_object *refused = drv_json_array(doc, "refused");

    for (gsize i = 0; i < count; i++)
        index_of[i] = is_new(json_object_array_get_idx(what->steps, i), what->but) ? next++ : -1;
    for (gsize i = 0; i < count; i++) {
        json_object *step = json_object_array_get_idx(what->steps, i);

        if (index_of[i] < 0)
            continue;
        drv_json_set(step, "after", translated(drv_json_array(step, "after"), index_of));
        drv_operation_add_step(doc, step);
    }
    for (gsize i = drv_json_length(refused); i-- > 0;)
        if (is_transient(json_object_array_get_idx(refused, i)))
            json_object_array_del_idx(refused, i, 1);
    drv_json_set_int(doc, "looks", drv_json_int(doc, "looks", 0) + 1);
    for (gsize i = 0; i < drv_json_length(what->refused); i++)
        json_object_array_add(drv_json_array(doc, "refused"),
                              json_object_get(json_object_array_get_idx(what->refused, i)));
    return TRUE;
}

/* Return: whether there is something to do again. */
static gboolean look_for_more(drv_context *ctx, drv_operation *operation, json_object *doc)
{
    json_object *goal = drv_json_object(doc, "goal");
    g_autoptr(GHashTable) but = dealt_with(doc);
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) plan = drv_fleet_plan_steps(ctx, goal, but, &error);
    appeared what = {drv_json_array(plan, "steps"), drv_json_array(plan, "refused"), but};
    gboolean more = FALSE, busy = FALSE;

    if (!plan) {
        drv_log_warning("whether VMs have appeared on %s is not known: %s", drv_json_string(goal, "node", "?"),
                        error->message);
        return FALSE;
    }
    for (gsize i = 0; i < drv_json_length(what.steps); i++)
        more |= is_new(json_object_array_get_idx(what.steps, i), but);
    for (gsize i = 0; i < drv_json_length(what.refused); i++)
        busy |= is_transient(json_object_array_get_idx(what.refused, i));
    if (!drv_operation_change(operation, FALSE, add_more, &what, NULL))
        return FALSE;
    if (more || !busy || drv_json_int(doc, "looks", 0) >= MOST_LOOKS)
        return more;
    drv_node_pause(ctx, LOOK_AGAIN_MS);
    return TRUE;
}

typedef struct {
    guint done, failed, skipped, refused;
} sums;

static sums sum_up(json_object *doc)
{
    json_object *steps = drv_json_array(doc, "steps");
    sums all = {.refused = (guint)drv_json_length(drv_json_array(doc, "refused"))};

    for (gsize i = 0; i < drv_json_length(steps); i++) {
        json_object *step = json_object_array_get_idx(steps, i);
        drv_step_state state = drv_operation_step_state(step);

        if (state == DRV_STEP_DONE || (state == DRV_STEP_SKIPPED && drv_json_bool(step, "fine")))
            all.done++;
        else if (state == DRV_STEP_FAILED)
            all.failed++;
        else
            all.skipped++;
    }
    return all;
}

static gboolean end(json_object *doc, gpointer data, GError **error)
{
    sums all = sum_up(doc);
    guint not_done = all.failed + all.skipped + all.refused;
    json_object *report = json_object_new_object();
    g_autofree char *why = NULL;

    (void)data;
    if (g_str_equal(drv_json_string(doc, "state", ""), "planned"))
        drv_operation_enter(doc, DRV_OP_RUNNING);
    drv_operation_enter(doc, drv_json_bool(doc, "cancel_requested") && not_done ? DRV_OP_CANCELLED
                             : !not_done                                        ? DRV_OP_DONE
                             : all.done                                         ? DRV_OP_PARTLY
                                                                                : DRV_OP_FAILED);
    drv_json_set_int(report, "total_ms", drv_json_int(doc, "ended_ms", 0) - drv_json_int(doc, "started_ms", 0));
    drv_json_set_int(report, "done", all.done);
    drv_json_set_int(report, "failed", all.failed);
    drv_json_set_int(report, "skipped", all.skipped);
    drv_json_set_int(report, "refused", all.refused);
    drv_json_set(doc, "report", report);
    if (not_done) {
        why = g_strdup_printf("%u of %u VMs have not moved: 'drover job %s' says why for each", not_done,
                              not_done + all.done, drv_json_string(doc, "id", "?"));
        drv_json_set_string(doc, "error", why);
        drv_json_set_string(doc, "error_code",
                            drv_error_code_name(drv_json_bool(doc, "cancel_requested") ? DRV_ERROR_CANCELLED
                                                : all.failed                           ? DRV_ERROR_FAILED
                                                                                       : DRV_ERROR_REFUSED));
    }
    return TRUE;
}

/* Empty now, for whoever waits for it. */
static void say_drained(drv_context *ctx, json_object *doc)
{
    json_object *goal = drv_json_object(doc, "goal");
    g_autoptr(json_object) what = json_object_new_object();
    g_autoptr(json_object) settings = NULL;
    g_autoptr(GError) error = NULL;
    sums all = sum_up(doc);

    if (!drv_json_bool(goal, "drain") || all.failed || all.skipped || all.refused)
        return;
    drv_json_set_string(what, "maintenance", "drained");
    settings = drv_maintenance_local_set(ctx, drv_json_string(goal, "node", ""), what, &error);
    if (!settings)
        drv_log_error("%s is empty, but that could not be recorded: %s", drv_json_string(goal, "node", "?"),
                      error->message);
}

void drv_operation_close(drv_context *ctx, drv_operation *operation)
{
    g_autoptr(json_object) doc = drv_operation_view(operation);
    g_autoptr(json_object) last = NULL;
    g_autoptr(GError) error = NULL;

    if (g_str_equal(drv_json_string(doc, "kind", ""), "evacuate") && !drv_json_bool(doc, "cancel_requested") &&
        look_for_more(ctx, operation, doc))
        return;
    last = drv_operation_view(operation);
    say_drained(ctx, last);
    if (!drv_operation_change(operation, FALSE, end, NULL, &error))
        drv_log_notice("the end of an operation is left to the node that leads now: %s operation=%s", error->message,
                       drv_operation_id(operation));
}
