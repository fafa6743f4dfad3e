/* SPDX-License-Identifier: Apache-2.0 */
/* An operation and its document: see operation.h. */
#include "fleet/operation.h"

#include "base/clock.h"
#include "base/log.h"

struct drv_operation {
    gatomicrefcount references;
    drv_store *store;
    char *id;
    GMutex lock; /* guards what follows */
    GCond changed;
    json_object *doc;
    gint64 stored;        /* the store's revision of the document */
    gint64 revision;      /* as people see it: never below the clock's ms, also across leaders */
    GHashTable *percents; /* step's index → percent of its job */
    gint percent;         /* never falls */
    gboolean unkept;      /* the store has not got the last change */
    gboolean lost;
};

/* ---- the document ---- */

json_object *drv_operation_step_of(json_object *doc, guint index)
{
    json_object *steps = drv_json_array(doc, "steps");

    return index < drv_json_length(steps) ? json_object_array_get_idx(steps, index) : NULL;
}

drv_step_state drv_operation_step_state(json_object *step)
{
    return drv_step_state_from_name(drv_json_string(step, "state", NULL));
}

void drv_operation_enter(json_object *doc, drv_op_state state)
{
    drv_op_state now = drv_op_state_from_name(drv_json_string(doc, "state", NULL));

    if (!drv_op_state_allows(now, state))
        g_error("operation %s cannot go from %s to %s", drv_json_string(doc, "id", "?"),
                drv_json_string(doc, "state", "?"), drv_op_state_get(state)->name);
    if (now == DRV_OP_PLANNED)
        drv_json_set_int(doc, "started_ms", drv_clock_real_ms());
    drv_json_set_string(doc, "state", drv_op_state_get(state)->name);
    drv_json_set_bool(doc, "ended", drv_op_state_get(state)->ended);
    if (drv_op_state_get(state)->ended)
        drv_json_set_int(doc, "ended_ms", drv_clock_real_ms());
}

void drv_operation_step_enter(json_object *step, drv_step_state state, const char *why)
{
    drv_step_state now = drv_operation_step_state(step);

    if (!drv_step_state_allows(now, state))
        g_error("the step for %s cannot go from %s to %s", drv_json_string(step, "vm", "?"),
                drv_json_string(step, "state", "?"), drv_step_state_get(state)->name);
    drv_json_set_string(step, "state", drv_step_state_get(state)->name);
    drv_json_set_string(step, "why", why);
    if (state == DRV_STEP_RUNNING) {
        drv_json_set_int(step, "attempt", drv_json_int(step, "attempt", 0) + 1);
        drv_json_set_int(step, "started_ms", drv_clock_real_ms());
        drv_json_set(step, "job", NULL);
    } else if (drv_step_state_get(state)->ended) {
        drv_json_set_int(step, "ended_ms", drv_clock_real_ms());
    }
}

void drv_operation_add_step(json_object *doc, json_object *step)
{
    json_object *steps = drv_json_array(doc, "steps");
    json_object *copy = drv_json_copy(step);

    drv_json_set_int(copy, "index", (gint64)drv_json_length(steps));
    drv_json_set_string(copy, "state", drv_step_state_get(DRV_STEP_WAITING)->name);
    drv_json_set_string(copy, "reason", drv_json_string(step, "why", NULL));
    drv_json_set(copy, "why", NULL);
    drv_json_set_int(copy, "attempt", 0);
    drv_json_set(copy, "job", NULL);
    drv_json_set(copy, "jobs", json_object_new_array());
    json_object_array_add(steps, copy);
}

static json_object *document_of(const char *id, json_object *plan)
{
    static const char *const copied[] = {"predicted", "limits",   "side_by_side", "refused",
                                         "stay",      "warnings", "fleet_ms"};
    json_object *doc = json_object_new_object();
    json_object *goal = drv_json_object(plan, "goal");
    json_object *steps = drv_json_array(plan, "steps");

    drv_json_set_string(doc, "id", id);
    drv_json_set_string(doc, "kind", drv_json_string(goal, "goal", "place"));
    drv_json_set_string(doc, "plan", drv_json_string(plan, "id", NULL));
    drv_json_set(doc, "goal", drv_json_copy(goal));
    drv_json_set_string(doc, "node", drv_json_string(plan, "node", drv_json_string(goal, "node", NULL)));
    if (drv_json_array(goal, "nodes"))
        drv_json_set(doc, "nodes", drv_json_copy(drv_json_array(goal, "nodes")));
    drv_json_set_string(doc, "state", drv_op_state_get(DRV_OP_PLANNED)->name);
    drv_json_set_bool(doc, "ended", FALSE);
    drv_json_set_bool(doc, "cancel_requested", FALSE);
    drv_json_set_int(doc, "created_ms", drv_clock_real_ms());
    drv_json_set(doc, "started_ms", NULL);
    drv_json_set(doc, "ended_ms", NULL);
    drv_json_set(doc, "error", NULL);
    drv_json_set(doc, "error_code", NULL);
    /* What every row of 'drover jobs' has. */
    drv_json_set(doc, "vm", NULL);
    drv_json_set(doc, "source", NULL);
    drv_json_set(doc, "target", NULL);
    for (guint i = 0; i < G_N_ELEMENTS(copied); i++)
        drv_json_set(doc, copied[i], drv_json_copy(json_object_object_get(plan, copied[i])));
    drv_json_set(doc, "steps", json_object_new_array());
    for (gsize i = 0; i < drv_json_length(steps); i++)
        drv_operation_add_step(doc, json_object_array_get_idx(steps, i));
    return doc;
}

/* ---- the operation ---- */

static drv_operation *operation_over(drv_store *store, json_object *doc, gint64 stored)
{
    drv_operation *operation = g_new0(drv_operation, 1);

    g_atomic_ref_count_init(&operation->references);
    g_mutex_init(&operation->lock);
    g_cond_init(&operation->changed);
    operation->store = store;
    operation->doc = doc;
    operation->id = g_strdup(drv_json_string(doc, "id", ""));
    operation->stored = stored;
    operation->revision = drv_json_int(doc, "revision", 0);
    operation->percents = g_hash_table_new(NULL, NULL);
    return operation;
}

drv_operation *drv_operation_ref(drv_operation *operation)
{
    g_atomic_ref_count_inc(&operation->references);
    return operation;
}

void drv_operation_unref(drv_operation *operation)
{
    if (!operation || !g_atomic_ref_count_dec(&operation->references))
        return;
    json_object_put(operation->doc);
    g_hash_table_unref(operation->percents);
    g_free(operation->id);
    g_mutex_clear(&operation->lock);
    g_cond_clear(&operation->changed);
    g_free(operation);
}

/* Called with the lock held. */
static void touch(drv_operation *operation)
{
    operation->revision = MAX(operation->revision + 1, drv_clock_real_ms());
    drv_json_set_int(operation->doc, "revision", operation->revision);
    g_cond_broadcast(&operation->changed);
}

/* Called with the lock held. */
static gboolean keep(drv_operation *operation, GError **error)
{
    g_autoptr(GError) problem = NULL;

    if (drv_store_put(operation->store, DRV_OPERATIONS_BUCKET, operation->id,
                      json_object_to_json_string(operation->doc), operation->stored, &operation->stored, &problem)) {
        operation->unkept = FALSE;
        return TRUE;
    }
    if (g_error_matches(problem, DRV_ERROR, DRV_ERROR_CONFLICT) && operation->stored)
        operation->lost = TRUE;
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
}

drv_operation *drv_operation_new(drv_store *store, const char *id, json_object *plan, GError **error)
{
    drv_operation *operation = operation_over(store, document_of(id, plan), DRV_REVISION_NEW);

    g_mutex_lock(&operation->lock);
    touch(operation);
    if (!keep(operation, error)) {
        g_mutex_unlock(&operation->lock);
        drv_operation_unref(operation);
        return NULL;
    }
    g_mutex_unlock(&operation->lock);
    return operation;
}

drv_operation *drv_operation_load(drv_store *store, const drv_document *document, GError **error)
{
    json_object *doc = drv_json_parse(document->json, "a stored operation", error);

    if (!doc)
        return NULL;
    if (drv_op_state_from_name(drv_json_string(doc, "state", NULL)) == DRV_OP_STATES || !drv_json_array(doc, "steps") ||
        !drv_json_string(doc, "id", NULL)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "a stored operation has no id, no steps or an unknown state");
        json_object_put(doc);
        return NULL;
    }
    return operation_over(store, doc, document->revision);
}

const char *drv_operation_id(drv_operation *operation)
{
    return operation->id;
}

drv_op_state drv_operation_state(drv_operation *operation)
{
    drv_op_state state;

    g_mutex_lock(&operation->lock);
    state = drv_op_state_from_name(drv_json_string(operation->doc, "state", NULL));
    g_mutex_unlock(&operation->lock);
    return state;
}

gboolean drv_operation_ended(drv_operation *operation)
{
    return drv_op_state_get(drv_operation_state(operation))->ended;
}

gboolean drv_operation_lost(drv_operation *operation)
{
    gboolean lost;

    g_mutex_lock(&operation->lock);
    lost = operation->lost;
    g_mutex_unlock(&operation->lock);
    return lost;
}

void drv_operation_let_go(drv_operation *operation)
{
    g_mutex_lock(&operation->lock);
    operation->lost = TRUE;
    g_cond_broadcast(&operation->changed);
    g_mutex_unlock(&operation->lock);
}

/* How far all steps are together, by their memory. Called with the lock held. */
static gint percent_of(drv_operation *operation)
{
    json_object *steps = drv_json_array(operation->doc, "steps");
    gdouble all = 0, done = 0;

    for (guint i = 0; i < drv_json_length(steps); i++) {
        json_object *step = json_object_array_get_idx(steps, i);
        gdouble weight = (gdouble)MAX(drv_json_int(step, "memory_bytes", 0), 1 << 20);
        drv_step_state state = drv_operation_step_state(step);

        all += weight;
        if (drv_step_state_get(state)->ended)
            done += weight;
        else if (state == DRV_STEP_RUNNING)
            done += weight * GPOINTER_TO_INT(g_hash_table_lookup(operation->percents, GUINT_TO_POINTER(i))) / 100;
    }
    return all > 0 ? (gint)(100 * done / all) : 100;
}

/* Called with the lock held. Transfer full. */
static json_object *view(drv_operation *operation)
{
    json_object *copy = drv_json_copy(operation->doc);
    json_object *steps = drv_json_array(copy, "steps");
    json_object *progress = json_object_new_object();
    json_object *children = json_object_new_array();
    gint64 counts[DRV_STEP_STATES + 1] = {0};

    for (gsize i = 0; i < drv_json_length(steps); i++) {
        json_object *step = json_object_array_get_idx(steps, i);
        json_object *jobs = drv_json_array(step, "jobs");

        counts[drv_operation_step_state(step)]++;
        if (drv_operation_step_state(step) == DRV_STEP_RUNNING)
            drv_json_set_int(step, "percent",
                             GPOINTER_TO_INT(g_hash_table_lookup(operation->percents, GSIZE_TO_POINTER(i))));
        for (gsize j = 0; j < drv_json_length(jobs); j++)
            json_object_array_add(children, json_object_get(json_object_array_get_idx(jobs, j)));
    }
    operation->percent = MAX(operation->percent, percent_of(operation));
    drv_json_set_int(progress, "percent", operation->percent);
    for (guint i = 0; i < DRV_STEP_STATES; i++)
        drv_json_set_int(progress, drv_step_state_get(i)->name, counts[i]);
    drv_json_set(copy, "progress", progress);
    drv_json_set(copy, "children", children);
    return copy;
}

json_object *drv_operation_view(drv_operation *operation)
{
    return drv_operation_wait(operation, -1, 0);
}

json_object *drv_operation_wait(drv_operation *operation, gint64 after, guint wait_ms)
{
    gint64 deadline = g_get_monotonic_time() + (gint64)wait_ms * 1000;
    json_object *copy;

    g_mutex_lock(&operation->lock);
    while (operation->revision <= after && !drv_json_bool(operation->doc, "ended") &&
           g_cond_wait_until(&operation->changed, &operation->lock, deadline))
        ;
    copy = view(operation);
    g_mutex_unlock(&operation->lock);
    return copy;
}

json_object *drv_operation_step(drv_operation *operation, guint index)
{
    json_object *copy;

    g_mutex_lock(&operation->lock);
    copy = drv_json_copy(drv_operation_step_of(operation->doc, index));
    g_mutex_unlock(&operation->lock);
    return copy;
}

void drv_operation_read(drv_operation *operation, drv_operation_reader look, gpointer data)
{
    g_mutex_lock(&operation->lock);
    look(operation->doc, data);
    g_mutex_unlock(&operation->lock);
}

static void set_lost(drv_operation *operation, GError **error)
{
    g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "operation %s is driven by another node now: ask again",
                operation->id);
}

/* Called with the lock held. */
static gboolean change(drv_operation *operation, gboolean must, drv_operation_editor edit, gpointer data,
                       GError **error)
{
    g_autoptr(json_object) before = must ? drv_json_copy(operation->doc) : NULL;
    gint64 revision = operation->revision;
    g_autoptr(GError) problem = NULL;

    if (!edit(operation->doc, data, error))
        return FALSE;
    touch(operation);
    if (keep(operation, &problem))
        return TRUE;
    if (must || operation->lost) {
        if (before) {
            json_object_put(operation->doc);
            operation->doc = g_steal_pointer(&before);
            operation->revision = revision;
        }
        if (operation->lost)
            set_lost(operation, error);
        else
            g_propagate_error(error, g_steal_pointer(&problem));
        return FALSE;
    }
    operation->unkept = TRUE;
    drv_log_error("the operation goes on but could not be recorded: %s operation=%s", problem->message, operation->id);
    return TRUE;
}

gboolean drv_operation_change(drv_operation *operation, gboolean must, drv_operation_editor edit, gpointer data,
                              GError **error)
{
    gboolean changed = FALSE;

    g_mutex_lock(&operation->lock);
    if (operation->lost)
        set_lost(operation, error);
    else
        changed = change(operation, must, edit, data, error);
    g_mutex_unlock(&operation->lock);
    return changed;
}

gboolean drv_operation_keep(drv_operation *operation)
{
    gboolean kept;

    g_mutex_lock(&operation->lock);
    kept = operation->lost || !operation->unkept || keep(operation, NULL);
    g_mutex_unlock(&operation->lock);
    return kept;
}

void drv_operation_progress(drv_operation *operation, guint index, gint percent)
{
    g_mutex_lock(&operation->lock);
    if (GPOINTER_TO_INT(g_hash_table_lookup(operation->percents, GUINT_TO_POINTER(index))) != percent) {
        g_hash_table_insert(operation->percents, GUINT_TO_POINTER(index), GINT_TO_POINTER(percent));
        touch(operation);
    }
    g_mutex_unlock(&operation->lock);
}
