/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source's end of a migration.
 *
 * Theory of operation. Three threads: the job's own, which goes through the states; one
 * that listens to the relay; and one that sits in libvirt's blocking migrate call. The
 * call belongs to libvirtd: when droverd dies, libvirtd goes on, and the next droverd
 * takes the job up by watching libvirt's job statistics instead of waiting for the
 * call's return. However it ends, finish.c asks both ends what exists and decides.
 *
 * One job may need several calls: the ladder (ladder.h) begins again with post-copy, and a broken
 * post-copy is gone on with over a new session. Preparing a session is a thread of its own as
 * well, so that a cancel need not wait for a link that has stalled.
 */
#include "run/outgoing.h"

#include <errno.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/hex.h"
#include "base/log.h"
#include "run/climb.h"
#include "run/finish.h"
#include "run/departure.h"
#include "run/incoming.h"
#include "run/offline.h"
#include "run/session.h"
#include "run/storage.h"

#define WATCH_INTERVAL_MS 200
/* Until a cancel stops waiting for what is being prepared; that is then cleared up behind its back. */
#define PREPARE_CANCEL_PATIENCE_MS 700
#define RECOVER_AGAIN_MS 1000

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
    gboolean post_copy;
    gboolean recover;
    drv_rewrite *rewrite;
    gboolean proven_shared;
} migrate_call;

static void call_unref(migrate_call *call)
{
    if (!g_atomic_ref_count_dec(&call->references))
        return;
    g_mutex_clear(&call->lock);
    g_free(call->uuid);
    g_free(call->dir);
    g_strfreev(call->disks);
    drv_rewrite_free(call->rewrite);
    g_free(call);
}

static gpointer call_thread(gpointer data)
{
    migrate_call *call = data;
    drv_migrate_params params = {.uuid = call->uuid,
                                 .session_dir = call->dir,
                                 .copy_disks = (const char *const *)call->disks,
                                 .max_pause_ms = call->max_pause_ms,
                                 .bandwidth_bps = call->bandwidth_bps,
                                 .post_copy = call->post_copy,
                                 .recover = call->recover,
                                 .rewrite = call->rewrite,
                                 .proven_shared = call->proven_shared};
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

static migrate_call *start_call(drv_outgoing *outgoing, gboolean recover)
{
    json_object *step = drv_job_step(outgoing->job);
    migrate_call *call = g_new0(migrate_call, 1);

    g_mutex_lock(&outgoing->lock);
    outgoing->over = FALSE;
    outgoing->call_ok = FALSE;
    g_clear_error(&outgoing->call_error);
    g_mutex_unlock(&outgoing->lock);

    g_atomic_ref_count_init(&call->references);
    g_atomic_ref_count_inc(&call->references);
    g_mutex_init(&call->lock);
    call->outgoing = outgoing;
    call->hyper = outgoing->run->hyper;
    call->uuid = g_strdup(drv_job_uuid(outgoing->job));
    call->dir = g_strdup(outgoing->dir);
    call->max_pause_ms = outgoing->ladder.allowed_ms;
    call->post_copy = outgoing->ladder.post_copy;
    call->recover = recover;
    /* What libvirt recovers it knows already. */
    call->disks = recover ? NULL : drv_departure_disks(step);
    call->rewrite = recover ? NULL : drv_departure_rewrite(step, &call->proven_shared);
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
            drv_outgoing_heard(outgoing, &status);
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
    outgoing->relay_dead = FALSE;
    outgoing->stop_listening = FALSE;
    outgoing->relay_ended = FALSE;
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

/* ---- preparing, in a thread that a cancel may leave behind ---- */

typedef struct {
    gatomicrefcount references;
    GMutex lock;
    drv_outgoing *outgoing; /* NULL once nobody waits any more; guarded by lock */
    drv_run *run;           /* what follows does not change */
    drv_job *job;
    char *session;
    char *dir;
    gboolean recover;
    guint8 secret[DRV_SESSION_SECRET_SIZE];
} preparation;

static void preparation_unref(preparation *it)
{
    if (!g_atomic_ref_count_dec(&it->references))
        return;
    explicit_bzero(it->secret, sizeof it->secret);
    g_mutex_clear(&it->lock);
    drv_job_unref(it->job);
    g_free(it->session);
    g_free(it->dir);
    g_free(it);
}

static gboolean ask_target(preparation *it, GError **error)
{
    json_object *step = drv_job_step(it->job);
    g_autoptr(json_object) request = json_object_new_object();
    g_autoptr(json_object) parcel =
        it->recover ? NULL : drv_departure_parcel(it->run, step, error);
    g_autoptr(json_object) answer = NULL;
    char text[2 * DRV_SESSION_SECRET_SIZE + 1];

    if (!it->recover && !parcel)
        return FALSE;
    drv_hex_encode(text, it->secret, DRV_SESSION_SECRET_SIZE);
    drv_json_set_string(request, "session", it->session);
    drv_json_set_string(request, "secret", text);
    drv_json_set_string(request, "job", drv_job_id(it->job));
    drv_json_set_int(request, "links", drv_session_links());
    drv_json_set_bool(request, "recover", it->recover);
    drv_json_set(request, "step", json_object_get(step));
    drv_json_set(request, "parcel", parcel ? json_object_get(parcel) : NULL);
    answer = drv_run_call(it->run, drv_job_target(it->job), "POST", "/v1/peer/sessions", request,
                          DRV_RUN_PREPARE_TIMEOUT_MS, error);
    explicit_bzero(text, sizeof text);
    return answer != NULL;
}

static gboolean start_relay(preparation *it, GError **error)
{
    drv_run *run = it->run;
    g_autoptr(GPtrArray) members = run->peers->members(run->peers->data);
    struct drv_relay_config config = {.role = DRV_RELAY_SOURCE,
                                      .links = drv_session_links(),
                                      .directory = it->dir,
                                      .libvirt_fd = -1,
                                      .program = run->relay_program,
                                      .user = drv_session_relay_user(),
                                      .group = drv_session_qemu_group()};
    struct drv_error problem = {0};
    int rc;

    for (guint i = 0; i < members->len; i++) {
        const drv_member *member = members->pdata[i];

        if (g_str_equal(member->name, drv_job_target(it->job))) {
            config.peer_host = member->address;
            config.peer_port = member->port;
        }
    }
    if (!config.peer_host) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "%s is no longer a node of this cluster",
                    drv_job_target(it->job));
        return FALSE;
    }
    if (!drv_session_make_dir(it->dir, error))
        return FALSE;
    g_strlcpy(config.session, it->session, sizeof config.session);
    memcpy(config.secret, it->secret, sizeof config.secret);
    rc = drv_relay_spawn(&config, &problem);
    explicit_bzero(config.secret, sizeof config.secret);
    if (rc < 0) {
        drv_gerror_from(error, DRV_ERROR_UNREACHABLE, &problem);
        return FALSE;
    }
    return TRUE;
}

/* Nobody waits for it any more: neither end shall keep anything. */
static void clear_up(preparation *it)
{
    g_autofree char *path = g_strdup_printf("/v1/peer/sessions/%s", it->session);
    g_autoptr(json_object) answer = NULL;

    drv_session_end_relay(it->dir);
    /* What it cannot be told it finds out by itself. */
    answer = drv_run_call(it->run, drv_job_target(it->job), "DELETE", path, NULL,
                          DRV_RUN_PEER_TIMEOUT_MS, NULL);
}

static gpointer prepare_thread(gpointer data)
{
    preparation *it = data;
    drv_run *run = it->run;
    g_autoptr(GError) error = NULL;
    gboolean ok = ask_target(it, &error);

    drv_fault("source-target-ready");
    ok = ok && start_relay(it, &error);
    drv_fault("source-relay-ready");
    g_mutex_lock(&it->lock);
    if (it->outgoing) {
        drv_outgoing *outgoing = it->outgoing;

        g_mutex_lock(&outgoing->lock);
        outgoing->prepared = TRUE;
        outgoing->prepare_error = ok ? NULL : g_steal_pointer(&error);
        g_cond_broadcast(&outgoing->changed);
        g_mutex_unlock(&outgoing->lock);
        g_mutex_unlock(&it->lock);
    } else {
        g_mutex_unlock(&it->lock);
        clear_up(it);
    }
    preparation_unref(it);
    drv_run_thread_ended(run);
    return NULL;
}

/* Return: FALSE when a cancel came in between and the thread was left to itself. */
static gboolean wait_prepared(drv_outgoing *outgoing)
{
    gint64 until = 0;

    g_mutex_lock(&outgoing->lock);
    while (!outgoing->prepared) {
        gboolean cancelled = drv_job_cancel_requested(outgoing->job);

        if (!until && cancelled)
            until = g_get_monotonic_time() + PREPARE_CANCEL_PATIENCE_MS * 1000;
        if (!until)
            g_cond_wait(&outgoing->changed, &outgoing->lock);
        else if (!g_cond_wait_until(&outgoing->changed, &outgoing->lock, until))
            break;
    }
    g_mutex_unlock(&outgoing->lock);
    return outgoing->prepared;
}

/* A session with a relay at either end. On failure the caller has the target abandon what it made. */
static gboolean prepare(drv_outgoing *outgoing, gboolean recover, GError **error)
{
    guint8 secret[DRV_SESSION_SECRET_SIZE];
    preparation *it;
    gboolean ok;

    g_free(outgoing->session);
    g_free(outgoing->dir);
    outgoing->dir = NULL;
    outgoing->session = drv_session_new_id(secret, error);
    if (!outgoing->session)
        return FALSE;
    outgoing->dir = drv_session_dir(outgoing->run->sessions_dir, outgoing->session);
    ok = drv_job_set_session(outgoing->job, outgoing->session, error);
    drv_fault("source-session-recorded");
    if (!ok)
        return FALSE;

    it = g_new0(preparation, 1);
    g_atomic_ref_count_init(&it->references);
    g_atomic_ref_count_inc(&it->references);
    g_mutex_init(&it->lock);
    it->outgoing = outgoing;
    it->run = outgoing->run;
    it->job = drv_job_ref(outgoing->job);
    it->session = g_strdup(outgoing->session);
    it->dir = g_strdup(outgoing->dir);
    it->recover = recover;
    memcpy(it->secret, secret, sizeof secret);
    explicit_bzero(secret, sizeof secret);
    g_mutex_lock(&outgoing->lock);
    outgoing->prepared = FALSE;
    g_clear_error(&outgoing->prepare_error);
    g_mutex_unlock(&outgoing->lock);
    drv_run_thread(outgoing->run, "prepare", prepare_thread, it);

    ok = wait_prepared(outgoing);
    g_mutex_lock(&it->lock);
    it->outgoing = NULL;
    g_mutex_unlock(&it->lock);
    preparation_unref(it);
    if (!ok && !outgoing->prepared) {
        outgoing->left_behind = TRUE;
        g_set_error(error, DRV_ERROR, DRV_ERROR_CANCELLED, "cancelled while it was prepared");
        return FALSE;
    }
    if (outgoing->prepare_error) {
        g_propagate_error(error, g_steal_pointer(&outgoing->prepare_error));
        return FALSE;
    }
    return TRUE;
}

/* ---- watching ---- */

static void follow_state(drv_outgoing *outgoing)
{
    const drv_job_stats *stats = &outgoing->stats;
    drv_state state = drv_job_state(outgoing->job);
    gint64 paused_us;

    /* Taken up while it was being settled, or libvirtd was lost and goes on with its job: no way back. */
    if (!drv_state_allows(state, DRV_STATE_SWITCHING) && state != DRV_STATE_SWITCHING &&
        state != DRV_STATE_RECOVERING)
        return;
    g_mutex_lock(&outgoing->lock);
    paused_us = outgoing->paused_us;
    g_mutex_unlock(&outgoing->lock);
    if (state == DRV_STATE_COPYING_DISKS &&
        (stats->memory_processed_bytes > 0 || stats->post_copy)) {
        drv_job_enter(outgoing->job, DRV_STATE_COPYING_MEMORY);
        state = DRV_STATE_COPYING_MEMORY;
    }
    if (stats->post_copy) {
        if (drv_state_allows(state, DRV_STATE_POST_COPY)) {
            drv_job_set_fact(outgoing->job, "post_copy", TRUE);
            drv_job_enter(outgoing->job, DRV_STATE_POST_COPY);
        }
    } else if ((paused_us || stats->switching) && drv_state_allows(state, DRV_STATE_SWITCHING)) {
        drv_job_enter(outgoing->job, DRV_STATE_SWITCHING);
    }
}

/*
 * Whether libvirt's job is over; of a job that was taken up nothing else tells. A broken
 * post-copy is a job for libvirt that nobody works at.
 */
static gboolean look_at_libvirt(drv_outgoing *outgoing)
{
    drv_job_stats stats = {0};
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_domain) domain = NULL;

    if (drv_hyper_job(outgoing->run->hyper, drv_job_uuid(outgoing->job), &stats, &error)) {
        if (stats.active || stats.post_copy)
            outgoing->stats = stats;
        return !stats.active || stats.post_copy_broken;
    }
    if (g_error_matches(error, DRV_ERROR, DRV_ERROR_NOT_FOUND))
        return TRUE;
    /* What is shut off has no job, but an error of its own for it: its host was restarted, or QEMU died. */
    domain = drv_hyper_domain(outgoing->run->hyper, drv_job_uuid(outgoing->job), NULL);
    return domain && (domain->state == DRV_DOMAIN_SHUT_OFF || domain->state == DRV_DOMAIN_CRASHED);
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
            drv_outgoing_climb(outgoing, now_ms);
        drv_outgoing_obey(outgoing, now_ms);

        relay = drv_outgoing_counters(outgoing);
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

static void begin_ladder(drv_outgoing *outgoing)
{
    json_object *step = drv_job_step(outgoing->job);
    const char *post_copy = drv_json_string(step, "post_copy", "never");
    drv_ladder_goals goals = {
        .method = drv_method_from_name(drv_json_string(step, "method", "auto")),
        .max_pause_ms = (guint)drv_json_int(step, "max_pause_ms", 300),
        .max_time_ms = (guint64)drv_json_int(step, "max_time_ms", 0),
        .may_post_copy = g_str_equal(post_copy, "if-needed")};
    g_autoptr(json_object) view = drv_job_view(outgoing->job);
    gint64 passed_ms = drv_clock_real_ms() - drv_json_int(view, "started_ms", drv_clock_real_ms());
    gint64 now_ms = drv_clock_ms();

    drv_ladder_begin(&outgoing->ladder, &goals, now_ms - MAX(passed_ms, 0), now_ms);
}

static gboolean is_offline(json_object *step)
{
    return g_str_equal(drv_json_string(step, "method", ""), "offline");
}

static gboolean is_storage(json_object *step)
{
    return g_str_equal(drv_json_string(step, "method", ""), "storage");
}

/* What QEMU does not mirror because the guest only reads it. */
static gboolean send_before(drv_outgoing *outgoing, GError **error)
{
    if (!drv_departure_sends_before(drv_job_step(outgoing->job)))
        return TRUE;
    drv_job_enter(outgoing->job, DRV_STATE_COPYING_DISKS);
    return drv_departure_send(outgoing, FALSE, error);
}

/* Prepare, and start libvirt's call. NULL: the job has ended. */
static migrate_call *begin_pass(drv_outgoing *outgoing)
{
    drv_job *job = outgoing->job;
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) disks = drv_departure_disks(drv_job_step(job));
    migrate_call *call;

    drv_fault("state-planned");
    drv_job_enter(job, DRV_STATE_PREPARING);
    if (!prepare(outgoing, FALSE, &error)) {
        drv_outgoing_give_up(outgoing, error);
        return NULL;
    }
    if (drv_job_cancel_requested(job)) {
        g_set_error(&error, DRV_ERROR, DRV_ERROR_CANCELLED, "cancelled before the copy began");
        drv_outgoing_give_up(outgoing, error);
        return NULL;
    }
    listen_to_relay(outgoing);
    if (is_offline(drv_job_step(job))) {
        drv_offline_move(outgoing);
        return NULL;
    }
    if (!send_before(outgoing, &error)) {
        if (!drv_run_stopping(outgoing->run))
            drv_outgoing_give_up(outgoing, error);
        return NULL;
    }
    drv_job_enter(job, *disks ? DRV_STATE_COPYING_DISKS : DRV_STATE_COPYING_MEMORY);
    call = start_call(outgoing, FALSE);
    drv_fault("source-called");
    return call;
}

/* Once for each break, however many attempts it takes. */
static void note_break(drv_outgoing *outgoing)
{
    g_autofree char *why = NULL;

    if (drv_job_state(outgoing->job) == DRV_STATE_RECOVERING)
        return;
    drv_job_enter(outgoing->job, DRV_STATE_RECOVERING);
    g_mutex_lock(&outgoing->lock);
    why = g_strdup_printf("the way to %s was lost%s%s: gone on with over a new session",
                          drv_job_target(outgoing->job), outgoing->relay.error[0] ? ": " : "",
                          outgoing->relay.error);
    g_mutex_unlock(&outgoing->lock);
    drv_log_notice("post-copy of %s: %s job=%s", drv_job_vm(outgoing->job), why,
                   drv_job_id(outgoing->job));
    drv_job_note_rung(outgoing->job, "recover", why);
}

/* A new session for a broken post-copy. NULL: not now. */
static migrate_call *begin_recovery(drv_outgoing *outgoing)
{
    g_autoptr(GError) error = NULL;

    note_break(outgoing);
    stop_listening(outgoing);
    drv_outgoing_keep_counters(outgoing);
    drv_session_end_relay(outgoing->dir);
    if (!prepare(outgoing, TRUE, &error)) {
        drv_log_warning("the post-copy of %s is broken and cannot be gone on with yet: %s job=%s",
                        drv_job_vm(outgoing->job), error->message, drv_job_id(outgoing->job));
        drv_session_end_relay(outgoing->dir);
        return NULL;
    }
    listen_to_relay(outgoing);
    return start_call(outgoing, TRUE);
}

/* Settle; a broken post-copy is tried to be recovered until it is, or the ends say otherwise. */
static drv_end settle_or_recover(drv_outgoing *outgoing, migrate_call **call)
{
    drv_end end;

    while ((end = drv_outgoing_finish(outgoing)) == DRV_END_RECOVER) {
        *call = begin_recovery(outgoing);
        if (*call)
            break;
        if (!drv_run_pause(outgoing->run, RECOVER_AGAIN_MS))
            return DRV_END_STOPPED;
    }
    return end;
}

/* Watch until it is over, then what comes next: the end, another pass, or a recovery. */
static void carry_through(drv_outgoing *outgoing, migrate_call *call)
{
    gboolean by_statistics = call == NULL;

    while (watch(outgoing, by_statistics)) {
        migrate_call *next = NULL;
        drv_end end = settle_or_recover(outgoing, &next);

        if (end == DRV_END_AGAIN) {
            stop_listening(outgoing);
            drv_outgoing_keep_counters(outgoing);
            drv_ladder_again(&outgoing->ladder, drv_clock_ms());
            outgoing->abort_ms = outgoing->aborted_ms = 0;
            outgoing->aborts = 0;
            outgoing->restart = FALSE;
            outgoing->paused_us = 0;
            drv_job_set_fact(outgoing->job, "with_post_copy", TRUE);
            next = begin_pass(outgoing);
        }
        forget_call(call);
        call = next;
        if (!call)
            break;
        by_statistics = FALSE;
    }
    forget_call(call);
}

static void begin(drv_outgoing *outgoing)
{
    migrate_call *call;

    if (is_storage(drv_job_step(outgoing->job))) {
        drv_storage_move(outgoing);
        return;
    }
    drv_job_enter(outgoing->job, DRV_STATE_PREPARING);
    begin_ladder(outgoing);
    call = begin_pass(outgoing);
    if (call)
        carry_through(outgoing, call);
}

static void take_up(drv_outgoing *outgoing)
{
    drv_job *job = outgoing->job;
    g_autoptr(GError) error = NULL;

    if (is_storage(drv_job_step(job))) {
        drv_storage_take_up(outgoing);
        return;
    }
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
    begin_ladder(outgoing);
    drv_outgoing_taken_up(outgoing);
    listen_to_relay(outgoing);
    if (drv_job_ended(job)) /* it needed attention */
        drv_job_enter(job, DRV_STATE_FINISHING);
    if (is_offline(drv_job_step(job))) {
        drv_offline_take_up(outgoing);
        return;
    }
    carry_through(outgoing, NULL);
}

static void outgoing_free(drv_outgoing *outgoing)
{
    stop_listening(outgoing);
    drv_job_unref(outgoing->job);
    g_clear_error(&outgoing->call_error);
    g_clear_error(&outgoing->prepare_error);
    g_free(outgoing->gave_up);
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
    if (drv_job_state(outgoing->job) == DRV_STATE_NEEDS_ATTENTION)
        g_hash_table_insert(run->attention, g_strdup(drv_job_id(outgoing->job)),
                            drv_job_ref(outgoing->job));
    g_mutex_unlock(&run->lock);
    outgoing_free(outgoing);
    drv_run_thread_ended(run);
    return NULL;
}

static drv_outgoing *outgoing_new(drv_run *run, drv_job *job, gboolean resumed)
{
    drv_outgoing *outgoing = g_new0(drv_outgoing, 1);

    outgoing->run = run;
    outgoing->job = drv_job_ref(job);
    outgoing->take_up = resumed;
    outgoing->progress.memory_bytes = (guint64)drv_json_int(drv_job_step(job), "memory_bytes", 0);
    outgoing->began_ms = drv_clock_real_ms();
    g_mutex_init(&outgoing->lock);
    g_cond_init(&outgoing->changed);
    return outgoing;
}

/* Called with run->lock held. */
static void publish(drv_outgoing *outgoing)
{
    drv_run *run = outgoing->run;

    g_hash_table_remove(run->attention, drv_job_id(outgoing->job));
    g_hash_table_insert(run->jobs, g_strdup(drv_job_id(outgoing->job)),
                        drv_job_ref(outgoing->job));
    g_hash_table_insert(run->outgoing, g_strdup(drv_job_uuid(outgoing->job)), outgoing);
}

void drv_outgoing_start(drv_run *run, drv_job *job, gboolean resumed)
{
    drv_outgoing *outgoing = outgoing_new(run, job, resumed);

    g_mutex_lock(&run->lock);
    publish(outgoing);
    g_mutex_unlock(&run->lock);
    drv_run_thread(run, "move", outgoing_thread, outgoing);
}

gboolean drv_outgoing_reconcile(drv_run *run, drv_job *job, GError **error)
{
    drv_outgoing *outgoing = outgoing_new(run, job, TRUE);
    const char *uuid = drv_job_uuid(job);
    gboolean moving;

    g_mutex_lock(&run->lock);
    /* Of one VM only one thing happens at a time here: what settles may remove disks. */
    moving = g_hash_table_contains(run->outgoing, uuid) || drv_incoming_has(run, uuid);
    if (!moving)
        publish(outgoing);
    g_mutex_unlock(&run->lock);
    if (moving) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                    "%s is being moved by another job: wait for its end", drv_job_vm(job));
        outgoing_free(outgoing);
        return FALSE;
    }
    drv_run_thread(run, "reconcile", outgoing_thread, outgoing);
    return TRUE;
}

gboolean drv_outgoing_would_settle(drv_run *run, drv_job *job)
{
    drv_outgoing *outgoing = outgoing_new(run, job, TRUE);
    gboolean would;

    outgoing->session = drv_job_session(job);
    would = outgoing->session && drv_outgoing_look(outgoing);
    outgoing_free(outgoing);
    return would;
}

void drv_outgoing_event(drv_outgoing *outgoing, drv_move_event event, gint64 when_us)
{
    g_mutex_lock(&outgoing->lock);
    if (event == DRV_MOVE_PAUSED)
        outgoing->paused_us = when_us;
    outgoing->woken = TRUE;
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
