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
 * One job may need several calls: the ladder (move/convergence.h) begins again with post-copy, and a broken
 * post-copy is gone on with over a new session. Preparing a session is a thread of its own as
 * well, so that a cancel need not wait for a link that has stalled.
 */
#include "move/source/migration.h"

#include <errno.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "facts/links.h"
#include "facts/predict.h"
#include "hyper/domain-xml.h"
#include "hyper/domain.h"
#include "hyper/job.h"
#include "move/job.h"
#include "move/source/belongings.h"
#include "move/source/finish.h"
#include "move/source/libvirt-call.h"
#include "move/source/prepare.h"
#include "move/source/report.h"
#include "move/source/send-disks.h"
#include "move/source/steer.h"
#include "move/source/storage.h"
#include "node/relay-session.h"

#define WATCH_INTERVAL_MS 200
#define STUCK_MS 60000
#define RECOVER_AGAIN_MS 1000

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

/* ---- watching ---- */

static void follow_state(drv_outgoing *outgoing)
{
    const drv_job_stats *stats = &outgoing->stats;
    drv_state state = drv_job_state(outgoing->job);
    gint64 paused_us;

    /* Taken up while it was being settled, or libvirtd was lost and goes on with its job: no way back. */
    if (!drv_state_allows(state, DRV_STATE_SWITCHING) && state != DRV_STATE_SWITCHING && state != DRV_STATE_RECOVERING)
        return;
    g_mutex_lock(&outgoing->lock);
    paused_us = outgoing->paused_us;
    g_mutex_unlock(&outgoing->lock);
    if (state == DRV_STATE_COPYING_DISKS && (stats->memory_processed_bytes > 0 || stats->post_copy)) {
        drv_job_enter(outgoing->job, DRV_STATE_COPYING_MEMORY);
        state = DRV_STATE_COPYING_MEMORY;
    }
    if (stats->post_copy) {
        /* A recovery has been asked for, and has not begun yet. */
        gboolean still_broken = state == DRV_STATE_RECOVERING && stats->post_copy_broken;

        if (!still_broken && drv_state_allows(state, DRV_STATE_POST_COPY)) {
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

    if (drv_hyper_job(outgoing->ctx->hyper, drv_job_uuid(outgoing->job), &stats, &error)) {
        if (stats.active || stats.post_copy)
            outgoing->stats = stats;
        return !stats.active || stats.post_copy_broken;
    }
    if (g_error_matches(error, DRV_ERROR, DRV_ERROR_NOT_FOUND))
        return TRUE;
    /* What is shut off has no job, but an error of its own for it: its host was restarted, or QEMU died. */
    domain = drv_hyper_domain(outgoing->ctx->hyper, drv_job_uuid(outgoing->job), NULL);
    return domain && (domain->state == DRV_DOMAIN_SHUT_OFF || domain->state == DRV_DOMAIN_CRASHED);
}

/*
 * A recovery that does not begin although the relays are linked: QEMU at the target waits for a page
 * itself, and answers nobody (docs/migration.rst, "What post-copy costs").
 */
static gboolean is_stuck(drv_outgoing *outgoing, gint64 now_ms)
{
    gboolean linked;

    g_mutex_lock(&outgoing->lock);
    linked = !outgoing->relay_dead && outgoing->relay.state == DRV_RELAY_UP;
    g_mutex_unlock(&outgoing->lock);
    if (!linked || drv_job_state(outgoing->job) != DRV_STATE_RECOVERING)
        outgoing->recovering_ms = now_ms;
    return now_ms - outgoing->recovering_ms > STUCK_MS;
}

/* Until libvirt's call has returned, or will not. Return: FALSE when droverd ends first. */
static gboolean watch(drv_outgoing *outgoing, gboolean by_statistics)
{
    gboolean over = FALSE;

    outgoing->stuck = FALSE;
    outgoing->recovering_ms = drv_clock_ms();
    while (!over && !outgoing->stuck) {
        gint64 until = g_get_monotonic_time() + WATCH_INTERVAL_MS * 1000;
        struct drv_relay_status relay;
        gboolean inactive;
        gint64 now_ms;

        if (drv_node_is_stopping(outgoing->ctx))
            return FALSE;
        inactive = look_at_libvirt(outgoing);
        now_ms = drv_clock_ms();
        follow_state(outgoing);
        if (!inactive)
            drv_outgoing_climb(outgoing, now_ms);
        drv_outgoing_obey(outgoing, now_ms);
        outgoing->stuck = is_stuck(outgoing, now_ms);

        relay = drv_outgoing_counters(outgoing);
        drv_job_progress(outgoing->job, drv_progress_update(&outgoing->progress, drv_job_state(outgoing->job),
                                                            &outgoing->stats, &relay, now_ms));

        g_mutex_lock(&outgoing->lock);
        over = by_statistics ? inactive : outgoing->over;
        while (!over && !outgoing->woken && g_cond_wait_until(&outgoing->changed, &outgoing->lock, until))
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
    drv_ladder_goals goals = {.method = drv_method_from_name(drv_json_string(step, "method", "auto")),
                              .max_pause_ms = (guint)drv_json_int(step, "max_pause_ms", 300),
                              .max_time_ms = (guint64)drv_json_int(step, "max_time_ms", 0),
                              .may_post_copy = g_str_equal(post_copy, "if-needed")};
    g_autoptr(json_object) view = drv_job_view(outgoing->job);
    g_autoptr(json_object) link = drv_links_known(outgoing->ctx, drv_job_target(outgoing->job));
    gint64 passed_ms = drv_clock_real_ms() - drv_json_int(view, "started_ms", drv_clock_real_ms());
    gint64 now_ms = drv_clock_ms();

    drv_ladder_begin(&outgoing->ladder, &goals, now_ms - MAX(passed_ms, 0), now_ms);
    outgoing->ladder.link_bps = (guint64)MAX(drv_json_int(link, "rate_bps", 0), 0);
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
static drv_call *begin_pass(drv_outgoing *outgoing)
{
    drv_job *job = outgoing->job;
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) disks = drv_departure_disks(drv_job_step(job));
    drv_call *call;

    drv_fault("state-planned");
    drv_job_enter(job, DRV_STATE_PREPARING);
    if (!drv_prepare(outgoing, FALSE, &error)) {
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
        if (!drv_node_is_stopping(outgoing->ctx))
            drv_outgoing_give_up(outgoing, error);
        return NULL;
    }
    drv_job_enter(job, *disks ? DRV_STATE_COPYING_DISKS : DRV_STATE_COPYING_MEMORY);
    call = drv_call_start(outgoing, FALSE);
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
    why = g_strdup_printf("the way to %s was lost%s%s: gone on with over a new session", drv_job_target(outgoing->job),
                          outgoing->relay.error[0] ? ": " : "", outgoing->relay.error);
    g_mutex_unlock(&outgoing->lock);
    drv_log_notice("post-copy of %s: %s job=%s", drv_job_vm(outgoing->job), why, drv_job_id(outgoing->job));
    drv_job_note_rung(outgoing->job, "recover", why);
}

/* A new session for a broken post-copy. NULL: not now. */
static drv_call *begin_recovery(drv_outgoing *outgoing)
{
    g_autoptr(GError) error = NULL;

    note_break(outgoing);
    stop_listening(outgoing);
    drv_outgoing_keep_counters(outgoing);
    drv_session_end_relay(outgoing->dir);
    if (!drv_prepare(outgoing, TRUE, &error)) {
        drv_log_warning("the post-copy of %s is broken and cannot be gone on with yet: %s job=%s",
                        drv_job_vm(outgoing->job), error->message, drv_job_id(outgoing->job));
        drv_session_end_relay(outgoing->dir);
        return NULL;
    }
    listen_to_relay(outgoing);
    return drv_call_start(outgoing, TRUE);
}

/* Settle; a broken post-copy is tried to be recovered until it is, or the ends say otherwise. */
static drv_end settle_or_recover(drv_outgoing *outgoing, drv_call **call)
{
    drv_end end;

    while ((end = drv_outgoing_finish(outgoing)) == DRV_END_RECOVER) {
        *call = begin_recovery(outgoing);
        if (*call)
            break;
        if (!drv_node_pause(outgoing->ctx, RECOVER_AGAIN_MS))
            return DRV_END_STOPPED;
    }
    return end;
}

/* Watch until it is over, then what comes next: the end, another pass, or a recovery. */
static void carry_through(drv_outgoing *outgoing, drv_call *call)
{
    gboolean by_statistics = call == NULL;

    while (watch(outgoing, by_statistics)) {
        drv_call *next = NULL;
        drv_end end = settle_or_recover(outgoing, &next);

        if (end == DRV_END_AGAIN) {
            stop_listening(outgoing);
            drv_outgoing_keep_counters(outgoing);
            drv_ladder_again(&outgoing->ladder, drv_clock_ms());
            outgoing->abort_ms = outgoing->aborted_ms = 0;
            outgoing->aborts = 0;
            outgoing->restart = outgoing->broken_known = FALSE;
            outgoing->paused_us = 0;
            drv_job_set_fact(outgoing->job, "with_post_copy", TRUE);
            next = begin_pass(outgoing);
        }
        drv_call_forget(call);
        call = next;
        if (!call)
            break;
        by_statistics = FALSE;
    }
    drv_call_forget(call);
}

static void begin(drv_outgoing *outgoing)
{
    drv_call *call;

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
    if (!drv_job_session(job, &outgoing->session)) {
        g_set_error(&error, DRV_ERROR, DRV_ERROR_FAILED,
                    "droverd was restarted before anything was begun; start the move again");
        drv_job_set_fact(job, DRV_FACT_INTERRUPTED, TRUE);
        if (drv_job_state(job) == DRV_STATE_PLANNED)
            drv_job_enter(job, DRV_STATE_PREPARING);
        drv_outgoing_give_up(outgoing, error);
        return;
    }
    outgoing->dir = drv_session_dir(outgoing->ctx->sessions_dir, &outgoing->session);
    outgoing->taken_up = TRUE;
    drv_log_notice("taking up a move after a restart vm=%s job=%s state=%s", drv_job_vm(job), drv_job_id(job),
                   drv_state_get(drv_job_state(job))->name);
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
    g_array_unref(outgoing->link_seen);
    g_free(outgoing->dir);
    g_mutex_clear(&outgoing->lock);
    g_cond_clear(&outgoing->changed);
    g_free(outgoing);
}

static gpointer outgoing_thread(gpointer data)
{
    drv_outgoing *outgoing = data;
    drv_context *ctx = outgoing->ctx;

    if (outgoing->take_up)
        take_up(outgoing);
    else
        begin(outgoing);

    g_mutex_lock(&ctx->lock);
    g_hash_table_remove(ctx->outgoing, drv_job_uuid(outgoing->job));
    g_hash_table_remove(ctx->leaving, drv_job_uuid(outgoing->job));
    if (drv_job_ended(outgoing->job))
        g_hash_table_remove(ctx->jobs, drv_job_id(outgoing->job));
    if (drv_job_state(outgoing->job) == DRV_STATE_NEEDS_ATTENTION) {
        g_hash_table_insert(ctx->attention, g_strdup(drv_job_id(outgoing->job)), drv_job_ref(outgoing->job));
        g_hash_table_insert(ctx->in_need, g_strdup(drv_job_id(outgoing->job)), g_strdup(drv_job_uuid(outgoing->job)));
    }
    g_mutex_unlock(&ctx->lock);
    outgoing_free(outgoing);
    drv_node_thread_ended(ctx);
    return NULL;
}

static drv_outgoing *outgoing_new(drv_context *ctx, drv_job *job, gboolean resumed)
{
    drv_outgoing *outgoing = g_new0(drv_outgoing, 1);

    outgoing->ctx = ctx;
    outgoing->job = drv_job_ref(job);
    outgoing->take_up = resumed;
    outgoing->progress.memory_bytes = (guint64)drv_json_int(drv_job_step(job), "memory_bytes", 0);
    if (drv_predict_expected(drv_job_step(job), &outgoing->expected))
        outgoing->progress.expected = &outgoing->expected;
    outgoing->began_ms = drv_clock_real_ms();
    outgoing->link_seen = g_array_new(FALSE, FALSE, sizeof(guint64));
    g_mutex_init(&outgoing->lock);
    g_cond_init(&outgoing->changed);
    return outgoing;
}

/* Called with run->lock held. */
static void publish(drv_outgoing *outgoing)
{
    drv_context *ctx = outgoing->ctx;

    g_hash_table_remove(ctx->attention, drv_job_id(outgoing->job));
    g_hash_table_remove(ctx->in_need, drv_job_id(outgoing->job));
    g_hash_table_insert(ctx->jobs, g_strdup(drv_job_id(outgoing->job)), drv_job_ref(outgoing->job));
    g_hash_table_insert(ctx->outgoing, g_strdup(drv_job_uuid(outgoing->job)), outgoing);
    g_hash_table_insert(ctx->leaving, g_strdup(drv_job_uuid(outgoing->job)), g_strdup(drv_job_id(outgoing->job)));
}

void drv_outgoing_start(drv_context *ctx, drv_job *job, gboolean resumed)
{
    drv_outgoing *outgoing = outgoing_new(ctx, job, resumed);

    g_mutex_lock(&ctx->lock);
    publish(outgoing);
    g_mutex_unlock(&ctx->lock);
    drv_node_thread(ctx, "move", outgoing_thread, outgoing);
}

gboolean drv_outgoing_reconcile(drv_context *ctx, drv_job *job, GError **error)
{
    drv_outgoing *outgoing = outgoing_new(ctx, job, TRUE);
    const char *uuid = drv_job_uuid(job);
    gboolean moving;

    g_mutex_lock(&ctx->lock);
    /* Of one VM only one thing happens at a time here: what settles may remove disks. */
    moving = g_hash_table_contains(ctx->outgoing, uuid) || drv_node_is_coming_locked(ctx, uuid);
    if (!moving)
        publish(outgoing);
    g_mutex_unlock(&ctx->lock);
    if (moving) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "%s is being moved by another job: wait for its end",
                    drv_job_vm(job));
        outgoing_free(outgoing);
        return FALSE;
    }
    drv_node_thread(ctx, "reconcile", outgoing_thread, outgoing);
    return TRUE;
}

gboolean drv_outgoing_would_settle(drv_context *ctx, drv_job *job)
{
    drv_outgoing *outgoing = outgoing_new(ctx, job, TRUE);
    gboolean would;

    would = drv_job_session(job, &outgoing->session) && drv_outgoing_look(outgoing);
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
