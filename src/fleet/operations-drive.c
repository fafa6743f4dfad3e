/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations of the fleet.
 *
 * Theory of operation. One thread of the leader decides, a second at a time or when it is woken:
 * which steps may begin (operation-pick.h), what can never begin, what is over. That a step runs, and
 * with which attempt, is recorded before its source is asked for a job; the source keeps each job
 * under operation, step and attempt, so asking again, by whatever leader, finds it and begins no second
 * one. A leader that dies leaves jobs that run by themselves. The next one reads the operations and
 * asks for the jobs of all steps that run. Whoever has lost the lead finds out at its next change,
 * which is made against the revision it knows, and lets go without touching anything.
 */
#include "fleet/operations-drive.h"

#include <string.h>

#include "base/log.h"
#include "fleet/fleet-plans.h"
#include "fleet/operation-end.h"
#include "fleet/operation-pick.h"
#include "fleet/operation-step.h"
#include "fleet/operations-table.h"
#include "node/leader.h"

#define LOOK_EVERY_MS 1000
/* So often it is looked for what another node has begun when it had just lost the lead. */
#define LOOKS_FOR_NEW 10
#define NEW_ONES 20

static gboolean begin_step(json_object *doc, gpointer data, GError **error)
{
    const drv_picked *picked = data;
    json_object *step = drv_operation_step_of(doc, picked->index);

    if (drv_json_bool(doc, "cancel_requested") || !g_str_equal(drv_json_string(doc, "state", ""), "running") ||
        drv_operation_step_state(step) != DRV_STEP_WAITING) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "it is not to begin any more");
        return FALSE;
    }
    drv_operation_step_enter(step, DRV_STEP_RUNNING, NULL);
    drv_json_set_int(step, "share_bps", (gint64)picked->bandwidth_bps);
    return TRUE;
}

typedef struct {
    guint index;
    const char *why;
} skipped;

static gboolean skip_step(json_object *doc, gpointer data, GError **error)
{
    const skipped *what = data;
    json_object *step = drv_operation_step_of(doc, what->index);

    if (drv_operation_step_state(step) != DRV_STEP_WAITING) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "it does not wait any more");
        return FALSE;
    }
    drv_operation_step_enter(step, DRV_STEP_SKIPPED, what->why);
    return TRUE;
}

static gboolean enter_running(json_object *doc, gpointer data, GError **error)
{
    if (g_str_equal(drv_json_string(doc, "state", ""), "planned"))
        drv_operation_enter(doc, DRV_OP_RUNNING);
    return TRUE;
}

static void begin_steps(drv_operations *operations, GPtrArray *docs)
{
    g_autoptr(GArray) picked = drv_pick_steps((json_object *const *)docs->pdata, docs->len);

    for (guint i = 0; i < picked->len; i++) {
        drv_picked *one = &g_array_index(picked, drv_picked, i);
        g_autoptr(drv_operation) operation =
            drv_operations_find(operations, drv_json_string(docs->pdata[one->operation], "id", ""));
        g_autoptr(GError) error = NULL;

        if (!operation)
            continue;
        if (drv_operation_change(operation, TRUE, begin_step, one, &error))
            drv_operation_step_start(operations->ctx, operation, one->index, FALSE);
        else if (!g_error_matches(error, DRV_ERROR, DRV_ERROR_CONFLICT))
            drv_log_warning("a step waits until it can be recorded: %s operation=%s", error->message,
                            drv_operation_id(operation));
    }
}

static gboolean is_over(json_object *doc)
{
    json_object *steps = drv_json_array(doc, "steps");

    for (gsize i = 0; i < drv_json_length(steps); i++)
        if (!drv_step_state_get(drv_operation_step_state(json_object_array_get_idx(steps, i)))->ended)
            return FALSE;
    return TRUE;
}

/* What waits for something that will not come, and all that waits when it is to be cancelled. */
static void skip_what_cannot(drv_operation *operation, json_object *doc)
{
    json_object *steps = drv_json_array(doc, "steps");
    g_autofree char *why = NULL;
    gint doomed = drv_pick_doomed(doc, &why);
    skipped one = {(guint)doomed, why};

    if (doomed >= 0)
        drv_operation_change(operation, FALSE, skip_step, &one, NULL);
    for (guint i = 0; drv_json_bool(doc, "cancel_requested") && i < drv_json_length(steps); i++) {
        skipped waiting = {i, "the operation was cancelled before it began"};

        if (drv_operation_step_state(json_object_array_get_idx(steps, i)) == DRV_STEP_WAITING)
            drv_operation_change(operation, FALSE, skip_step, &waiting, NULL);
    }
}

typedef struct {
    drv_operations *operations;
    drv_operation *operation;
} closer;

static gpointer close_thread(gpointer data)
{
    closer *it = data;
    drv_operations *operations = it->operations;
    drv_context *ctx = operations->ctx;

    drv_operation_close(ctx, it->operation);
    g_mutex_lock(&operations->lock);
    g_hash_table_remove(operations->closing, drv_operation_id(it->operation));
    operations->woken = TRUE;
    g_cond_broadcast(&operations->changed);
    g_mutex_unlock(&operations->lock);
    drv_operation_unref(it->operation);
    g_free(it);
    drv_node_thread_ended(ctx);
    return NULL;
}

static void close_in_thread(drv_operations *operations, drv_operation *operation)
{
    gboolean already;
    closer *it;

    g_mutex_lock(&operations->lock);
    already = !g_hash_table_add(operations->closing, g_strdup(drv_operation_id(operation)));
    g_mutex_unlock(&operations->lock);
    if (already)
        return;
    it = g_new0(closer, 1);
    it->operations = operations;
    it->operation = drv_operation_ref(operation);
    drv_node_thread(operations->ctx, "operation-end", close_thread, it);
}

/* What was applied a moment ago. */
static void begin_operations(drv_operations *operations)
{
    g_autoptr(GPtrArray) docs = drv_operations_running(operations);

    for (guint i = 0; i < docs->len; i++) {
        g_autoptr(drv_operation) operation = drv_operations_find(operations, drv_json_string(docs->pdata[i], "id", ""));

        if (operation && drv_operation_state(operation) == DRV_OP_PLANNED)
            drv_operation_change(operation, FALSE, enter_running, NULL, NULL);
    }
}

static void drive(drv_operations *operations)
{
    g_autoptr(GPtrArray) docs = NULL;

    begin_operations(operations);
    docs = drv_operations_running(operations);
    begin_steps(operations, docs);
    for (guint i = 0; i < docs->len; i++) {
        g_autoptr(drv_operation) operation = drv_operations_find(operations, drv_json_string(docs->pdata[i], "id", ""));

        if (!operation)
            continue;
        if (drv_operation_ended(operation)) {
            /* While the store is full it stays in memory. */
            if (drv_operation_keep(operation))
                drv_operations_forget(operations, operation);
            continue;
        }
        skip_what_cannot(operation, docs->pdata[i]);
        if (is_over(docs->pdata[i]))
            close_in_thread(operations, operation);
    }
}

/* ---- beginning and ending to lead ---- */

static void take_up_steps(drv_operations *operations, drv_operation *operation)
{
    g_autoptr(json_object) doc = drv_operation_view(operation);
    json_object *steps = drv_json_array(doc, "steps");

    drv_log_notice("taking up an operation operation=%s state=%s", drv_operation_id(operation),
                   drv_json_string(doc, "state", "?"));
    for (guint i = 0; i < drv_json_length(steps); i++)
        if (drv_operation_step_state(json_object_array_get_idx(steps, i)) == DRV_STEP_RUNNING)
            drv_operation_step_start(operations->ctx, operation, i, TRUE);
}

static gboolean is_driven(drv_operations *operations, const char *id)
{
    g_autoptr(drv_operation) operation = drv_operations_find(operations, id);

    return operation != NULL;
}

/* @newest: how many are looked at; 0: all. */
static gboolean take_up(drv_operations *operations, guint newest)
{
    drv_store *store = drv_leader_cluster_store(operations->ctx);
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&operations->adding);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) stored = store ? drv_store_list(store, DRV_OPERATIONS_BUCKET, newest, &error) : NULL;

    if (!stored) {
        drv_log_error("the operations cannot be read yet: %s", error ? error->message : "the store cannot be reached");
        return FALSE;
    }
    for (guint i = 0; i < stored->len; i++) {
        const drv_document *document = stored->pdata[i];
        g_autoptr(drv_operation) operation = NULL;

        if (is_driven(operations, document->key))
            continue;
        operation = drv_operation_load(store, document, &error);
        if (!operation) {
            drv_log_error("operation %s cannot be taken up: %s", document->key, error->message);
            g_clear_error(&error);
        } else if (!drv_operation_ended(operation)) {
            drv_operations_add(operations, operation);
            take_up_steps(operations, operation);
        }
    }
    return TRUE;
}

static gboolean begin_to_lead(drv_operations *operations)
{
    if (!take_up(operations, 0))
        return FALSE;
    drv_fleet_plans_take_up(operations->ctx);
    return TRUE;
}

static void let_go(drv_operations *operations)
{
    GHashTableIter iter;
    gpointer operation;

    g_mutex_lock(&operations->lock);
    g_hash_table_iter_init(&iter, operations->active);
    while (g_hash_table_iter_next(&iter, NULL, &operation))
        drv_operation_let_go(operation);
    g_hash_table_remove_all(operations->active);
    g_mutex_unlock(&operations->lock);
}

/* Those that another leader has changed: they are read anew as long as this one leads. */
static gboolean has_lost_one(drv_operations *operations)
{
    GHashTableIter iter;
    gpointer operation;
    gboolean lost = FALSE;

    g_mutex_lock(&operations->lock);
    g_hash_table_iter_init(&iter, operations->active);
    while (g_hash_table_iter_next(&iter, NULL, &operation))
        lost |= drv_operation_lost(operation);
    g_mutex_unlock(&operations->lock);
    return lost;
}

static void look(drv_operations *operations)
{
    gboolean leads = drv_leader_is_here(operations->ctx);

    if (operations->leading && (!leads || has_lost_one(operations))) {
        let_go(operations);
        operations->leading = FALSE;
    }
    if (leads && !operations->leading)
        operations->leading = begin_to_lead(operations);
    else if (leads && ++operations->looks % LOOKS_FOR_NEW == 0)
        take_up(operations, NEW_ONES);
    if (operations->leading)
        drive(operations);
}

static gpointer drive_thread(gpointer data)
{
    drv_operations *operations = data;
    drv_context *ctx = operations->ctx;

    while (!drv_node_is_stopping(ctx)) {
        gint64 until = g_get_monotonic_time() + LOOK_EVERY_MS * 1000;

        look(operations);
        g_mutex_lock(&operations->lock);
        while (!operations->woken && g_cond_wait_until(&operations->changed, &operations->lock, until))
            ;
        operations->woken = FALSE;
        g_mutex_unlock(&operations->lock);
    }
    let_go(operations);
    drv_node_thread_ended(ctx);
    return NULL;
}

void drv_operations_start(drv_operations *operations)
{
    drv_node_thread(operations->ctx, "operations", drive_thread, operations);
}
