/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source's end of a migration.
 *
 * Theory of operation. Three threads: the job's own, which goes through the states; one
 * that listens to the relay; and one that sits in libvirt's blocking migrate call. The
 * call belongs to libvirtd: when droverd dies, libvirtd goes on, and the next droverd
 * takes the job up by watching libvirt's job statistics instead of waiting for the
 * call's return. However it ends, finish.c asks both ends what exists and decides.
 */
#include "run/outgoing.h"

#include <errno.h>

#include "base/clock.h"
#include "base/hex.h"
#include "base/log.h"
#include "run/finish.h"
#include "run/session.h"

#define WATCH_INTERVAL_MS 200
/* An abort that a stalled link holds up is helped along by ending the relay. */
#define ABORT_PATIENCE_MS 2000
/*
 * libvirt 9.0 can miss that a disk's mirror has ended while it ends another one's, and then
 * waits for good; an abort wakes it. So an abort is repeated, and one follows a lost link.
 */
#define ABORT_AGAIN_MS 1000

/* ---- libvirt's call, in a thread that may outlast everything ---- */

typedef struct {
    gatomicrefcount references;
    drv_outgoing *outgoing; /* NULL once nobody waits any more; guarded by lock */
    GMutex lock;
    drv_hyper *hyper;
    char *uuid;
    char *dir;
    GStrv disks;
    guint max_pause_ms;
    guint64 bandwidth_bps;
} migrate_call;

static void call_unref(migrate_call *call)
{
    if (!g_atomic_ref_count_dec(&call->references))
        return;
    g_mutex_clear(&call->lock);
    g_free(call->uuid);
    g_free(call->dir);
    g_strfreev(call->disks);
    g_free(call);
}

static gpointer call_thread(gpointer data)
{
    migrate_call *call = data;
    drv_migrate_params params = {.uuid = call->uuid,
                                 .session_dir = call->dir,
                                 .copy_disks = (const char *const *)call->disks,
                                 .max_pause_ms = call->max_pause_ms,
                                 .bandwidth_bps = call->bandwidth_bps};
    g_autoptr(GError) error = NULL;
    gboolean ok = drv_hyper_migrate(call->hyper, &params, &error);

    g_mutex_lock(&call->lock);
    if (call->outgoing) {
        drv_outgoing *outgoing = call->outgoing;

        g_mutex_lock(&outgoing->lock);
        outgoing->over = TRUE;
        outgoing->call_ok = ok;
        outgoing->call_error = g_steal_pointer(&error);
        g_cond_broadcast(&outgoing->changed);
        g_mutex_unlock(&outgoing->lock);
    }
    g_mutex_unlock(&call->lock);
    call_unref(call);
    return NULL;
}

static GStrv disks_to_copy(json_object *step)
{
    json_object *disks = drv_json_array(step, "disks");
    g_autoptr(GPtrArray) targets = g_ptr_array_new();

    for (gsize i = 0; i < drv_json_length(disks); i++) {
        json_object *disk = json_object_array_get_idx(disks, i);

        if (drv_run_is_copied(disk))
            g_ptr_array_add(targets, g_strdup(drv_json_string(disk, "target", "")));
    }
    g_ptr_array_add(targets, NULL);
    return (GStrv)g_ptr_array_free(g_steal_pointer(&targets), FALSE);
}

static migrate_call *start_call(drv_outgoing *outgoing, guint max_pause_ms)
{
    json_object *step = drv_job_step(outgoing->job);
    migrate_call *call = g_new0(migrate_call, 1);

    g_atomic_ref_count_init(&call->references);
    g_atomic_ref_count_inc(&call->references);
    g_mutex_init(&call->lock);
    call->outgoing = outgoing;
    call->hyper = outgoing->run->hyper;
    call->uuid = g_strdup(drv_job_uuid(outgoing->job));
    call->dir = g_strdup(outgoing->dir);
    call->disks = disks_to_copy(step);
    call->max_pause_ms = max_pause_ms;
    call->bandwidth_bps = (guint64)drv_json_int(step, "bandwidth_bps", 0);
    g_thread_unref(g_thread_new("migrate", call_thread, call));
    return call;
}

static void forget_call(migrate_call *call)
{
    if (!call)
        return;
    g_mutex_lock(&call->lock);
    call->outgoing = NULL;
    g_mutex_unlock(&call->lock);
    call_unref(call);
}

/* ---- listening to the relay ---- */

static gpointer relay_thread(gpointer data)
{
    drv_outgoing *outgoing = data;
    drv_relay *relay = NULL;
    gboolean go_on = drv_relay_open(outgoing->dir, &relay, NULL) == 0;

    while (go_on) {
        struct drv_relay_status status;
        int rc = drv_relay_next(relay, &status, 500, NULL);

        g_mutex_lock(&outgoing->lock);
        if (rc == 0)
            outgoing->relay = status;
        else if (rc != -ETIMEDOUT)
            outgoing->relay_dead = TRUE;
        go_on = !outgoing->stop_listening && !outgoing->relay_dead;
        g_cond_broadcast(&outgoing->changed);
        g_mutex_unlock(&outgoing->lock);
    }
    drv_relay_close(relay);
    return NULL;
}

static void listen_to_relay(drv_outgoing *outgoing)
{
    outgoing->listener = g_thread_new("relay-watch", relay_thread, outgoing);
}

static void stop_listening(drv_outgoing *outgoing)
{
    if (!outgoing->listener)
        return;
    g_mutex_lock(&outgoing->lock);
    outgoing->stop_listening = TRUE;
    g_mutex_unlock(&outgoing->lock);
    g_thread_join(g_steal_pointer(&outgoing->listener));
}

/* ---- preparing ---- */

static gboolean ask_target(drv_outgoing *outgoing, const guint8 *secret, GError **error)
{
    json_object *step = drv_job_step(outgoing->job);
    g_autoptr(json_object) request = json_object_new_object();
    g_autoptr(json_object) answer = NULL;
    char text[2 * DRV_SESSION_SECRET_SIZE + 1];

    drv_hex_encode(text, secret, DRV_SESSION_SECRET_SIZE);
    drv_json_set_string(request, "session", outgoing->session);
    drv_json_set_string(request, "secret", text);
    drv_json_set_string(request, "job", drv_job_id(outgoing->job));
    drv_json_set_int(request, "links", drv_session_links());
    drv_json_set(request, "step", json_object_get(step));
    answer = drv_run_call(outgoing->run, drv_job_target(outgoing->job), "POST", "/v1/peer/sessions",
                          request, DRV_RUN_PREPARE_TIMEOUT_MS, error);
    explicit_bzero(text, sizeof text);
    return answer != NULL;
}

static gboolean start_relay(drv_outgoing *outgoing, const guint8 *secret, GError **error)
{
    drv_run *run = outgoing->run;
    g_autoptr(GPtrArray) members = run->peers->members(run->peers->data);
    struct drv_relay_config config = {.role = DRV_RELAY_SOURCE,
                                      .links = drv_session_links(),
                                      .directory = outgoing->dir,
                                      .libvirt_fd = -1,
                                      .program = run->relay_program,
                                      .user = drv_session_relay_user(),
                                      .group = drv_session_qemu_group()};
    struct drv_error problem = {0};
    int rc;

    for (guint i = 0; i < members->len; i++) {
        const drv_member *member = members->pdata[i];

        if (g_str_equal(member->name, drv_job_target(outgoing->job))) {
            config.peer_host = member->address;
            config.peer_port = member->port;
        }
    }
    if (!config.peer_host) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "%s is no longer a node of this cluster",
                    drv_job_target(outgoing->job));
        return FALSE;
    }
    if (!drv_session_make_dir(outgoing->dir, error))
        return FALSE;
    g_strlcpy(config.session, outgoing->session, sizeof config.session);
    memcpy(config.secret, secret, sizeof config.secret);
    rc = drv_relay_spawn(&config, &problem);
    explicit_bzero(config.secret, sizeof config.secret);
    if (rc < 0) {
        drv_gerror_from(error, DRV_ERROR_UNREACHABLE, &problem);
        return FALSE;
    }
    return TRUE;
}

/* On failure the caller has the target abandon what it made. */
static gboolean prepare(drv_outgoing *outgoing, GError **error)
{
    guint8 secret[DRV_SESSION_SECRET_SIZE];
    gboolean ok;

    outgoing->session = drv_session_new_id(secret, error);
    if (!outgoing->session)
        return FALSE;
    outgoing->dir = drv_session_dir(outgoing->run->sessions_dir, outgoing->session);
    ok = drv_job_set_session(outgoing->job, outgoing->session, error) &&
         ask_target(outgoing, secret, error) && start_relay(outgoing, secret, error);
    explicit_bzero(secret, sizeof secret);
    return ok;
}

/* ---- watching ---- */

static void follow_state(drv_outgoing *outgoing)
{
    const drv_job_stats *stats = &outgoing->stats;
    drv_state state = drv_job_state(outgoing->job);
    gint64 paused_us;

    g_mutex_lock(&outgoing->lock);
    paused_us = outgoing->paused_us;
    g_mutex_unlock(&outgoing->lock);
    /* A job that was taken up in finishing stays there, whatever libvirt is still at. */
    if ((paused_us || stats->switching) && drv_state_allows(state, DRV_STATE_SWITCHING))
        drv_job_enter(outgoing->job, DRV_STATE_SWITCHING);
    else if (state == DRV_STATE_COPYING_DISKS && stats->memory_processed_bytes > 0)
        drv_job_enter(outgoing->job, DRV_STATE_COPYING_MEMORY);
}

static void widen_pause(drv_outgoing *outgoing, gint64 now_ms)
{
    guint allowed_ms = drv_steer_next(&outgoing->steer, &outgoing->stats, now_ms);
    g_autoptr(GError) error = NULL;

    if (!allowed_ms)
        return;
    if (drv_hyper_set_max_pause(outgoing->run->hyper, drv_job_uuid(outgoing->job), allowed_ms,
                                &error))
        drv_log_debug("allowed pause is %u ms now job=%s", allowed_ms, drv_job_id(outgoing->job));
    else
        drv_log_debug("cannot widen the allowed pause: %s job=%s", error->message,
                      drv_job_id(outgoing->job));
}

static void abort_libvirt(drv_outgoing *outgoing, gint64 now_ms)
{
    g_autoptr(GError) error = NULL;
    gboolean ok;

    if (outgoing->aborted_ms && now_ms - outgoing->aborted_ms < ABORT_AGAIN_MS)
        return;
    ok = drv_hyper_job_abort(outgoing->run->hyper, drv_job_uuid(outgoing->job), &error);
    if (!ok && !outgoing->aborted_ms)
        drv_log_notice("libvirt does not abort: %s job=%s", error->message,
                       drv_job_id(outgoing->job));
    outgoing->aborted_ms = now_ms;
}

static void end_relay(drv_outgoing *outgoing)
{
    drv_relay *relay = NULL;

    outgoing->relay_ended = TRUE;
    if (drv_relay_open(outgoing->dir, &relay, NULL) == 0)
        drv_relay_end(relay, NULL);
    drv_relay_close(relay);
}

/* Cancelled, or without a link: helps libvirt to come to an end. */
static void hasten_end(drv_outgoing *outgoing, gint64 now_ms)
{
    gboolean cancelled = drv_job_cancel_requested(outgoing->job);
    gboolean lost;

    g_mutex_lock(&outgoing->lock);
    lost = outgoing->relay_dead || outgoing->relay.state == DRV_RELAY_LOST;
    g_mutex_unlock(&outgoing->lock);
    if (!cancelled && !lost)
        return;
    if (!outgoing->hasten_ms)
        outgoing->hasten_ms = now_ms;
    if (cancelled || now_ms - outgoing->hasten_ms > ABORT_PATIENCE_MS)
        abort_libvirt(outgoing, now_ms);
    if (cancelled && !outgoing->relay_ended && now_ms - outgoing->hasten_ms > ABORT_PATIENCE_MS)
        end_relay(outgoing);
}

/* Whether libvirt's job is over; of a job that was taken up nothing else tells. */
static gboolean look_at_libvirt(drv_outgoing *outgoing)
{
    drv_job_stats stats = {0};
    g_autoptr(GError) error = NULL;

    if (drv_hyper_job(outgoing->run->hyper, drv_job_uuid(outgoing->job), &stats, &error)) {
        if (stats.active)
            outgoing->stats = stats;
        return !stats.active;
    }
    /* It is gone, or does not run: handed over, or ended by itself or with its host. */
    return g_error_matches(error, DRV_ERROR, DRV_ERROR_NOT_FOUND) ||
           g_error_matches(error, DRV_ERROR, DRV_ERROR_CONFLICT);
}

/* Return: FALSE when droverd ends first. */
static gboolean watch(drv_outgoing *outgoing, gboolean by_statistics)
{
    gboolean over = FALSE;

    while (!over) {
        gint64 until = g_get_monotonic_time() + WATCH_INTERVAL_MS * 1000;
        struct drv_relay_status relay;
        gboolean inactive;
        gint64 now_ms;

        if (drv_run_stopping(outgoing->run))
            return FALSE;
        inactive = look_at_libvirt(outgoing);
        now_ms = drv_clock_ms();
        follow_state(outgoing);
        if (!inactive)
            widen_pause(outgoing, now_ms);
        hasten_end(outgoing, now_ms);

        g_mutex_lock(&outgoing->lock);
        relay = outgoing->relay;
        g_mutex_unlock(&outgoing->lock);
        drv_job_progress(outgoing->job,
                         drv_progress_update(&outgoing->progress, drv_job_state(outgoing->job),
                                             &outgoing->stats, &relay, now_ms));

        g_mutex_lock(&outgoing->lock);
        over = by_statistics ? inactive : outgoing->over;
        while (!over && !outgoing->woken &&
               g_cond_wait_until(&outgoing->changed, &outgoing->lock, until))
            over = !by_statistics && outgoing->over;
        outgoing->woken = FALSE;
        g_mutex_unlock(&outgoing->lock);
    }
    return TRUE;
}

/* ---- the whole way ---- */

static void begin(drv_outgoing *outgoing)
{
    drv_job *job = outgoing->job;
    json_object *step = drv_job_step(job);
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) disks = disks_to_copy(step);
    migrate_call *call = NULL;
    guint allowed_ms;

    drv_job_enter(job, DRV_STATE_PREPARING);
    if (!prepare(outgoing, &error)) {
        drv_outgoing_give_up(outgoing, error);
        return;
    }
    if (drv_job_cancel_requested(job)) {
        g_set_error(&error, DRV_ERROR, DRV_ERROR_CANCELLED, "cancelled before the copy began");
        drv_outgoing_give_up(outgoing, error);
        return;
    }
    listen_to_relay(outgoing);
    allowed_ms = drv_steer_begin(&outgoing->steer, (guint)drv_json_int(step, "max_pause_ms", 300),
                                 drv_clock_ms());
    drv_job_enter(job, *disks ? DRV_STATE_COPYING_DISKS : DRV_STATE_COPYING_MEMORY);
    call = start_call(outgoing, allowed_ms);
    if (watch(outgoing, FALSE))
        drv_outgoing_finish(outgoing);
    forget_call(call);
}

static void take_up(drv_outgoing *outgoing)
{
    drv_job *job = outgoing->job;
    json_object *step = drv_job_step(job);
    g_autoptr(GError) error = NULL;

    outgoing->session = drv_job_session(job);
    if (!outgoing->session) {
        g_set_error(&error, DRV_ERROR, DRV_ERROR_FAILED,
                    "droverd was restarted before anything was begun; start the move again");
        if (drv_job_state(job) == DRV_STATE_PLANNED)
            drv_job_enter(job, DRV_STATE_PREPARING);
        drv_outgoing_give_up(outgoing, error);
        return;
    }
    outgoing->dir = drv_session_dir(outgoing->run->sessions_dir, outgoing->session);
    outgoing->taken_up = TRUE;
    drv_log_notice("taking up a move after a restart vm=%s job=%s state=%s", drv_job_vm(job),
                   drv_job_id(job), drv_state_get(drv_job_state(job))->name);
    listen_to_relay(outgoing);
    drv_steer_begin(&outgoing->steer, (guint)drv_json_int(step, "max_pause_ms", 300),
                    drv_clock_ms());
    if (watch(outgoing, TRUE))
        drv_outgoing_finish(outgoing);
}

static void outgoing_free(drv_outgoing *outgoing)
{
    stop_listening(outgoing);
    drv_job_unref(outgoing->job);
    g_clear_error(&outgoing->call_error);
    g_free(outgoing->session);
    g_free(outgoing->dir);
    g_mutex_clear(&outgoing->lock);
    g_cond_clear(&outgoing->changed);
    g_free(outgoing);
}

static gpointer outgoing_thread(gpointer data)
{
    drv_outgoing *outgoing = data;
    drv_run *run = outgoing->run;

    if (outgoing->take_up)
        take_up(outgoing);
    else
        begin(outgoing);

    g_mutex_lock(&run->lock);
    g_hash_table_remove(run->outgoing, drv_job_uuid(outgoing->job));
    if (drv_job_ended(outgoing->job))
        g_hash_table_remove(run->jobs, drv_job_id(outgoing->job));
    g_mutex_unlock(&run->lock);
    outgoing_free(outgoing);
    drv_run_thread_ended(run);
    return NULL;
}

void drv_outgoing_start(drv_run *run, drv_job *job, gboolean resumed)
{
    drv_outgoing *outgoing = g_new0(drv_outgoing, 1);

    outgoing->run = run;
    outgoing->job = drv_job_ref(job);
    outgoing->take_up = resumed;
    outgoing->progress.memory_bytes = (guint64)drv_json_int(drv_job_step(job), "memory_bytes", 0);
    outgoing->began_ms = drv_clock_real_ms();
    g_mutex_init(&outgoing->lock);
    g_cond_init(&outgoing->changed);
    g_mutex_lock(&run->lock);
    g_hash_table_insert(run->jobs, g_strdup(drv_job_id(job)), drv_job_ref(job));
    g_hash_table_insert(run->outgoing, g_strdup(drv_job_uuid(job)), outgoing);
    g_mutex_unlock(&run->lock);
    drv_run_thread(run, "move", outgoing_thread, outgoing);
}

void drv_outgoing_paused(drv_outgoing *outgoing, gint64 when_us)
{
    g_mutex_lock(&outgoing->lock);
    outgoing->paused_us = when_us;
    g_cond_broadcast(&outgoing->changed);
    g_mutex_unlock(&outgoing->lock);
}

void drv_outgoing_wake(drv_outgoing *outgoing)
{
    g_mutex_lock(&outgoing->lock);
    outgoing->woken = TRUE;
    g_cond_broadcast(&outgoing->changed);
    g_mutex_unlock(&outgoing->lock);
}
