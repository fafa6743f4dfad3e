/* SPDX-License-Identifier: Apache-2.0 */
/* A job and its document: see job.h. */
#include "move/job.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"

#define MOST_STATES 64

#define BUCKET "job"

struct drv_job {
    gatomicrefcount references;
    drv_store *store;
    char *id; /* these five and step never change */
    char *vm;
    char *uuid;
    char *source;
    char *target;
    json_object *step;
    GMutex lock; /* guards what follows */
    GCond changed;
    json_object *doc;
    drv_state state;
    gboolean unkept; /* the store has not got the last change */
    gint64 revision; /* grows with each change, also across restarts: never below the clock's ms */
};

static drv_job *job_over(drv_store *store, json_object *doc)
{
    drv_job *job = g_new0(drv_job, 1);

    g_atomic_ref_count_init(&job->references);
    g_mutex_init(&job->lock);
    g_cond_init(&job->changed);
    job->store = store;
    job->doc = doc;
    job->step = json_object_get(drv_json_object(doc, "step"));
    job->id = g_strdup(drv_json_string(doc, "id", ""));
    job->vm = g_strdup(drv_json_string(doc, "vm", ""));
    job->uuid = g_strdup(drv_json_string(doc, "uuid", ""));
    job->source = g_strdup(drv_json_string(doc, "source", ""));
    job->target = g_strdup(drv_json_string(doc, "target", ""));
    job->state = drv_state_from_name(drv_json_string(doc, "state", NULL));
    job->revision = drv_json_int(doc, "revision", 0);
    return job;
}

drv_job *drv_job_ref(drv_job *job)
{
    g_atomic_ref_count_inc(&job->references);
    return job;
}

void drv_job_unref(drv_job *job)
{
    if (!job || !g_atomic_ref_count_dec(&job->references))
        return;
    json_object_put(job->step);
    json_object_put(job->doc);
    g_free(job->id);
    g_free(job->vm);
    g_free(job->uuid);
    g_free(job->source);
    g_free(job->target);
    g_mutex_clear(&job->lock);
    g_cond_clear(&job->changed);
    g_free(job);
}

/* Called with the lock held. */
static void touch(drv_job *job)
{
    job->revision = MAX(job->revision + 1, drv_clock_real_ms());
    drv_json_set_int(job->doc, "revision", job->revision);
    g_cond_broadcast(&job->changed);
}

/* Called with the lock held. */
static gboolean keep(drv_job *job, GError **error)
{
    return drv_store_put(job->store, BUCKET, job->id, json_object_to_json_string(job->doc), DRV_REVISION_ANY, NULL,
                         error);
}

/* Called with the lock held. */
static gboolean keep_or_log(drv_job *job)
{
    g_autoptr(GError) error = NULL;

    job->unkept = !keep(job, &error);
    if (job->unkept)
        drv_log_error("the job goes on but could not be recorded: %s job=%s", error->message, job->id);
    return !job->unkept;
}

drv_job *drv_job_new(drv_store *store, const char *id, const char *plan, const char *operation, json_object *step,
                     GError **error)
{
    static const char *const of_step[] = {"vm", "uuid", "source", "target"};
    json_object *doc = json_object_new_object();
    drv_job *job;
    gboolean kept;

    drv_json_set_string(doc, "id", id);
    drv_json_set_string(doc, "plan", plan);
    drv_json_set_string(doc, "operation", operation);
    for (guint i = 0; i < G_N_ELEMENTS(of_step); i++)
        drv_json_set_string(doc, of_step[i], drv_json_string(step, of_step[i], ""));
    drv_json_set_string(doc, "state", drv_state_get(DRV_STATE_PLANNED)->name);
    drv_json_set_bool(doc, "ended", FALSE);
    drv_json_set_bool(doc, "cancel_requested", FALSE);
    drv_json_set_int(doc, "created_ms", drv_clock_real_ms());
    drv_json_set(doc, "started_ms", NULL);
    drv_json_set(doc, "ended_ms", NULL);
    drv_json_set(doc, "session", NULL);
    drv_json_set(doc, "error", NULL);
    drv_json_set(doc, "error_code", NULL);
    drv_json_set(doc, "progress", NULL);
    drv_json_set(doc, "report", NULL);
    drv_json_set(doc, "step", drv_json_copy(step));

    job = job_over(store, doc);
    g_mutex_lock(&job->lock);
    touch(job);
    kept = keep(job, error);
    g_mutex_unlock(&job->lock);
    if (!kept)
        g_clear_pointer(&job, drv_job_unref);
    return job;
}

drv_job *drv_job_load(drv_store *store, const char *json, GError **error)
{
    json_object *doc = drv_json_parse(json, "a stored job", error);
    drv_job *job;

    if (!doc)
        return NULL;
    job = job_over(store, doc);
    if (job->state == DRV_STATES || !job->step || !*job->id) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "a stored job has no id, no step or an unknown state");
        g_clear_pointer(&job, drv_job_unref);
    }
    return job;
}

const char *drv_job_id(drv_job *job)
{
    return job->id;
}

const char *drv_job_vm(drv_job *job)
{
    return job->vm;
}

const char *drv_job_uuid(drv_job *job)
{
    return job->uuid;
}

const char *drv_job_source(drv_job *job)
{
    return job->source;
}

const char *drv_job_target(drv_job *job)
{
    return job->target;
}

json_object *drv_job_step(drv_job *job)
{
    return job->step;
}

drv_state drv_job_state(drv_job *job)
{
    drv_state state;

    g_mutex_lock(&job->lock);
    state = job->state;
    g_mutex_unlock(&job->lock);
    return state;
}

gboolean drv_job_ended(drv_job *job)
{
    return drv_state_get(drv_job_state(job))->ended;
}

gboolean drv_job_session(drv_job *job, drv_session_id *session)
{
    gboolean has;

    g_mutex_lock(&job->lock);
    has = drv_session_id_parse(session, drv_json_string(job->doc, "session", NULL), NULL) == 0;
    g_mutex_unlock(&job->lock);
    return has;
}

json_object *drv_job_view(drv_job *job)
{
    return drv_job_wait(job, -1, 0);
}

json_object *drv_job_wait(drv_job *job, gint64 after, guint wait_ms)
{
    gint64 deadline = g_get_monotonic_time() + (gint64)wait_ms * 1000;
    json_object *copy;

    g_mutex_lock(&job->lock);
    while (job->revision <= after && !drv_state_get(job->state)->ended &&
           g_cond_wait_until(&job->changed, &job->lock, deadline))
        ;
    copy = drv_json_copy(job->doc);
    g_mutex_unlock(&job->lock);
    return copy;
}

/* What it has gone through and when; a job that is gone on with again and again keeps the last of it. */
static void note_state(drv_job *job, drv_state state, gint64 at_ms)
{
    json_object *states = drv_json_array(job->doc, "states");
    json_object *entry = json_object_new_object();

    if (!states) {
        states = json_object_new_array();
        drv_json_set(job->doc, "states", states);
    }
    if (drv_json_length(states) >= MOST_STATES)
        json_object_array_del_idx(states, 0, 1);
    drv_json_set_string(entry, "state", drv_state_get(state)->name);
    drv_json_set_int(entry, "at_ms", at_ms);
    json_object_array_add(states, entry);
}

/* Called with the lock held. */
static void enter(drv_job *job, drv_state state)
{
    gint64 now_ms = drv_clock_real_ms();

    if (!drv_state_allows(job->state, state))
        g_error("job %s cannot go from %s to %s", job->id, drv_state_get(job->state)->name, drv_state_get(state)->name);
    if (job->state == DRV_STATE_PLANNED)
        drv_json_set_int(job->doc, "started_ms", now_ms);
    drv_json_set_bool(job->doc, "ended", drv_state_get(state)->ended);
    if (!drv_state_get(state)->ended)
        drv_json_set(job->doc, "ended_ms", NULL);
    job->state = state;
    drv_json_set_string(job->doc, "state", drv_state_get(state)->name);
    note_state(job, state, now_ms);
}

/* A fault point a state: "state-copying-memory", when the store has it. */
static void reach_state(drv_state state)
{
#ifdef DRV_FAULT_POINTS
    g_autofree char *point = g_strconcat("state-", drv_state_get(state)->name, NULL);

    drv_fault(point);
#else
    (void)state;
#endif
}

void drv_job_enter(drv_job *job, drv_state state)
{
    gboolean changed = FALSE;

    g_mutex_lock(&job->lock);
    if (job->state != state) {
        enter(job, state);
        touch(job);
        keep_or_log(job);
        changed = TRUE;
    }
    g_mutex_unlock(&job->lock);
    if (changed)
        reach_state(state);
}

gboolean drv_job_set_session(drv_job *job, const drv_session_id *session, GError **error)
{
    gboolean kept;

    g_mutex_lock(&job->lock);
    drv_json_set_string(job->doc, "session", session->text);
    touch(job);
    kept = keep(job, error);
    g_mutex_unlock(&job->lock);
    return kept;
}

gboolean drv_job_set_fact(drv_job *job, const char *key, gboolean value)
{
    gboolean kept;

    g_mutex_lock(&job->lock);
    drv_json_set_bool(job->doc, key, value);
    touch(job);
    kept = keep_or_log(job);
    g_mutex_unlock(&job->lock);
    return kept;
}

void drv_job_set_note(drv_job *job, const char *key, json_object *value)
{
    /* A copy: the caller's may still grow, and this one is read by others. */
    json_object *copy = drv_json_copy(value);

    json_object_put(value);
    g_mutex_lock(&job->lock);
    drv_json_set(job->doc, key, copy);
    touch(job);
    keep_or_log(job);
    g_mutex_unlock(&job->lock);
}

gboolean drv_job_fact(drv_job *job, const char *key)
{
    gboolean value;

    g_mutex_lock(&job->lock);
    value = drv_json_bool(job->doc, key);
    g_mutex_unlock(&job->lock);
    return value;
}

void drv_job_set_attention(drv_job *job, json_object *facts)
{
    g_mutex_lock(&job->lock);
    drv_json_set(job->doc, "attention", facts);
    g_mutex_unlock(&job->lock);
}

gboolean drv_job_keep(drv_job *job)
{
    gboolean kept;

    g_mutex_lock(&job->lock);
    kept = !job->unkept || keep(job, NULL);
    if (kept)
        job->unkept = FALSE;
    g_mutex_unlock(&job->lock);
    return kept;
}

void drv_job_progress(drv_job *job, json_object *progress)
{
    g_mutex_lock(&job->lock);
    drv_json_set(job->doc, "progress", progress);
    touch(job);
    g_mutex_unlock(&job->lock);
}

void drv_job_end(drv_job *job, drv_state state, drv_error_code code, const char *why, json_object *report)
{
    g_mutex_lock(&job->lock);
    enter(job, state);
    if (state != DRV_STATE_NEEDS_ATTENTION)
        json_object_object_del(job->doc, "attention");
    json_object_object_del(job->doc, "waits_for");
    drv_json_set_int(job->doc, "ended_ms", drv_clock_real_ms());
    drv_json_set_string(job->doc, "error", why);
    drv_json_set_string(job->doc, "error_code", why ? drv_error_code_name(code) : NULL);
    drv_json_set(job->doc, "report", report);
    touch(job);
    keep_or_log(job);
    g_mutex_unlock(&job->lock);
    reach_state(state);
}

void drv_job_note_rung(drv_job *job, const char *rung, const char *why)
{
    json_object *entry = json_object_new_object();
    json_object *ladder;

    g_mutex_lock(&job->lock);
    drv_json_set_int(entry, "at_ms", drv_clock_real_ms() - drv_json_int(job->doc, "started_ms", 0));
    drv_json_set_string(entry, "rung", rung);
    drv_json_set_string(entry, "why", why);
    ladder = drv_json_array(job->doc, "ladder");
    if (!ladder) {
        ladder = json_object_new_array();
        drv_json_set(job->doc, "ladder", ladder);
    }
    json_object_array_add(ladder, entry);
    touch(job);
    keep_or_log(job);
    g_mutex_unlock(&job->lock);
}

gboolean drv_job_cancel(drv_job *job, GError **error)
{
    gboolean cancelled = FALSE;

    g_mutex_lock(&job->lock);
    if (drv_state_get(job->state)->ended) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "job %s is over already (%s)", job->id,
                    drv_state_get(job->state)->phase);
    } else if (job->state == DRV_STATE_POST_COPY || job->state == DRV_STATE_RECOVERING) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                    "job %s cannot be cancelled: %s runs at %s already and the rest of its memory "
                    "follows from %s. It will end by itself, also after the link was lost and is back; "
                    "move the VM back afterwards",
                    job->id, job->vm, job->target, job->source);
    } else if (!drv_state_get(job->state)->cancellable) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                    "job %s is finishing: the VM is being handed over and cannot be called back; "
                    "move it back afterwards",
                    job->id);
    } else {
        if (drv_json_bool(job->doc, "cancel_requested")) {
            drv_json_set_bool(job->doc, "cancel_repeated", TRUE);
        } else {
            drv_json_set_bool(job->doc, "cancel_requested", TRUE);
            touch(job);
            keep_or_log(job);
        }
        cancelled = TRUE;
    }
    g_mutex_unlock(&job->lock);
    return cancelled;
}

gboolean drv_job_cancel_requested(drv_job *job)
{
    gboolean requested;

    g_mutex_lock(&job->lock);
    requested = drv_json_bool(job->doc, "cancel_requested");
    g_mutex_unlock(&job->lock);
    return requested;
}
