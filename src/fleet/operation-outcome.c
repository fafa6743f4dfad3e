/* SPDX-License-Identifier: Apache-2.0 */
/* What has become of a step, and what is known of it meanwhile: see operation-outcome.h. */
#include "fleet/operation-outcome.h"

#include "base/clock.h"
#include "base/log.h"

static gboolean set_outcome(json_object *doc, gpointer data, GError **error)
{
    const drv_outcome *what = data;
    json_object *step = drv_operation_step_of(doc, what->index);
    json_object *avoid = drv_json_array(step, "avoid");

    drv_operation_step_enter(step, what->state, what->why);
    if (what->avoid) {
        if (!avoid) {
            avoid = json_object_new_array();
            drv_json_set(step, "avoid", avoid);
        }
        json_object_array_add(avoid, json_object_new_string(what->avoid));
    }
    if (what->target)
        drv_json_set_string(step, "target", what->target);
    if (what->source)
        drv_json_set_string(step, "source", what->source);
    if (what->failed)
        drv_json_set_int(step, "failures", drv_json_int(step, "failures", 0) + 1);
    if (what->passing && !drv_json_int(step, "passing_since_ms", 0))
        drv_json_set_int(step, "passing_since_ms", drv_clock_real_ms());
    if (what->fine)
        drv_json_set_bool(step, "fine", TRUE);
    return TRUE;
}

void drv_outcome_set(drv_operation *operation, const drv_outcome *what)
{
    g_autoptr(GError) error = NULL;

    if (!drv_operation_change(operation, FALSE, set_outcome, (gpointer)what, &error))
        drv_log_notice("a step is left to the node that leads now: %s operation=%s step=%u", error->message,
                       drv_operation_id(operation), what->index);
}

typedef struct {
    guint index;
    const char *job, *target, *why;
} noted;

static gboolean note_job(json_object *doc, gpointer data, GError **error)
{
    const noted *what = data;
    json_object *step = drv_operation_step_of(doc, what->index);

    drv_json_set_string(step, "job", what->job);
    drv_json_set_string(step, "target", what->target);
    json_object_array_add(drv_json_array(step, "jobs"), json_object_new_string(what->job));
    return TRUE;
}

static gboolean note_why(json_object *doc, gpointer data, GError **error)
{
    const noted *what = data;

    drv_json_set_string(drv_operation_step_of(doc, what->index), "why", what->why);
    return TRUE;
}

gboolean drv_outcome_note_job(drv_operation *operation, guint index, const char *job, const char *target)
{
    noted what = {.index = index, .job = job, .target = target};

    return drv_operation_change(operation, FALSE, note_job, &what, NULL);
}

void drv_outcome_note_why(drv_operation *operation, guint index, const char *why)
{
    noted what = {.index = index, .why = why};

    drv_operation_change(operation, FALSE, note_why, &what, NULL);
}
