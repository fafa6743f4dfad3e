/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rungs and cancels: see steer.h.
 *
 * An abort is asked for in a thread of its own, since libvirt may keep it waiting while a
 * link has stalled. What has not ended soon after is helped along by ending the relay: QEMU and
 * libvirtd then see their connections go. Not so once the guest was handed over by post-copy:
 * nothing can be called back then, and a lost link would only make it wait.
 */
#include "move/source/steer.h"

#include "base/fault.h"
#include "base/log.h"
#include "hyper/job.h"
#include "move/job.h"
#include "move/source/report.h"
#include "node/relay-session.h"

#define ABORT_PATIENCE_MS 600
/*
 * libvirt 9.0 can miss that a disk's mirror has ended while it ends another one's, and then
 * waits for good; an abort wakes it. So an abort is repeated, less and less often, and one
 * follows a link, or a connection with the target's libvirtd, that was lost.
 */
#define ABORT_AGAIN_MS 1000
#define ABORT_DOUBLINGS 3
#define LOST_PATIENCE_MS 2000

/* ---- aborting ---- */

typedef struct {
    drv_context *ctx;
    drv_job *job;
} errand;

static void start_errand(drv_outgoing *outgoing, const char *name, GThreadFunc func)
{
    errand *it = g_new0(errand, 1);

    it->ctx = outgoing->ctx;
    it->job = drv_job_ref(outgoing->job);
    drv_node_thread(outgoing->ctx, name, func, it);
}

static gpointer errand_done(errand *it)
{
    drv_context *ctx = it->ctx;

    drv_job_unref(it->job);
    g_free(it);
    drv_node_thread_ended(ctx);
    return NULL;
}

static gpointer ask_to_abort(gpointer data)
{
    errand *it = data;
    g_autoptr(GError) error = NULL;

    if (!drv_hyper_job_abort(it->ctx->hyper, drv_job_uuid(it->job), &error))
        drv_log_notice("libvirt does not abort: %s job=%s", error->message, drv_job_id(it->job));
    return errand_done(it);
}

static gpointer end_relay(gpointer data)
{
    errand *it = data;
    drv_session_id session;
    g_autofree char *dir = drv_job_session(it->job, &session) ? drv_session_dir(it->ctx->sessions_dir, &session) : NULL;
    drv_relay *relay = NULL;

    if (dir && drv_relay_open(dir, &relay, NULL) == 0)
        drv_relay_end(relay, NULL);
    drv_relay_close(relay);
    return errand_done(it);
}

static gpointer tell_near(gpointer data)
{
    errand *it = data;
    drv_session_id session;
    g_autofree char *dir = drv_job_session(it->job, &session) ? drv_session_dir(it->ctx->sessions_dir, &session) : NULL;
    drv_relay *relay = NULL;
    struct drv_error err;

    if (dir && (drv_relay_open(dir, &relay, &err) < 0 || drv_relay_tell_near(relay, &err) < 0))
        drv_log_debug("the relay does not pace: %s job=%s", err.message, drv_job_id(it->job));
    drv_relay_close(relay);
    return errand_done(it);
}

/*
 * QEMU at the target has ended, or does not listen any more: all that went to it has ended, before the guest stood still.
 * libvirt can miss that, when it has seen one disk's copy fail while it waits for another's, and then waits for good.
 */
static gboolean has_lost_qemu(const drv_outgoing *outgoing, drv_state state)
{
    const struct drv_relay_channel_counters *ram = &outgoing->relay.channel[DRV_CHANNEL_RAM];
    const struct drv_relay_channel_counters *disk = &outgoing->relay.channel[DRV_CHANNEL_DISK];

    /* Streams of disks alone say nothing: images that are sent before have had some. */
    return ram->streams_opened && !ram->streams_open && !disk->streams_open && !outgoing->paused_us &&
           !outgoing->stats.switching && (state == DRV_STATE_COPYING_DISKS || state == DRV_STATE_COPYING_MEMORY);
}

/* Nothing can come of libvirt's job any more: the way to the target is gone, or libvirtd or QEMU there. */
static gboolean is_cut_off(drv_outgoing *outgoing)
{
    const struct drv_relay_channel_counters *control;
    drv_state state = drv_job_state(outgoing->job);
    gboolean cut;

    g_mutex_lock(&outgoing->lock);
    control = &outgoing->relay.channel[DRV_CHANNEL_CONTROL];
    cut = outgoing->relay_dead || outgoing->relay.state == DRV_RELAY_LOST || has_lost_qemu(outgoing, state) ||
          (control->streams_opened && !control->streams_open && !outgoing->relay.finish_delivered);
    g_mutex_unlock(&outgoing->lock);
    return cut;
}

static gboolean abort_is_due(const drv_outgoing *outgoing, gint64 now_ms)
{
    guint doublings = MIN(outgoing->aborts, ABORT_DOUBLINGS + 1) - 1;

    return !outgoing->aborts || now_ms - outgoing->aborted_ms >= ABORT_AGAIN_MS << doublings;
}

void drv_outgoing_obey(drv_outgoing *outgoing, gint64 now_ms)
{
    gboolean ordered = drv_job_cancel_requested(outgoing->job) || outgoing->restart || outgoing->gave_up;

    if (outgoing->stats.post_copy)
        return;
    if (!ordered && !is_cut_off(outgoing)) {
        if (!outgoing->aborts)
            outgoing->abort_ms = 0;
        return;
    }
    if (!outgoing->abort_ms)
        outgoing->abort_ms = now_ms;
    if ((ordered || now_ms - outgoing->abort_ms > LOST_PATIENCE_MS) && abort_is_due(outgoing, now_ms)) {
        outgoing->aborted_ms = now_ms;
        outgoing->aborts++;
        start_errand(outgoing, "abort", ask_to_abort);
    }
    if (ordered && !outgoing->relay_ended && now_ms - outgoing->abort_ms > ABORT_PATIENCE_MS) {
        outgoing->relay_ended = TRUE;
        start_errand(outgoing, "end-relay", end_relay);
    }
}

/* ---- the rungs ---- */

static void allow_pause(drv_outgoing *outgoing)
{
    g_autoptr(GError) error = NULL;

    if (!drv_hyper_set_max_pause(outgoing->ctx->hyper, drv_job_uuid(outgoing->job), outgoing->ladder.set_ms, &error))
        drv_log_debug("cannot widen the allowed pause: %s job=%s", error->message, drv_job_id(outgoing->job));
}

static gboolean hand_over(drv_outgoing *outgoing)
{
    g_autoptr(GError) error = NULL;

    drv_job_set_fact(outgoing->job, DRV_FACT_HAND_OVER, TRUE);
    drv_fault("source-hand-over-recorded");
    if (drv_hyper_start_post_copy(outgoing->ctx->hyper, drv_job_uuid(outgoing->job), &error))
        return TRUE;
    /* Too early, or just too late: the statistics will tell. */
    if (error->code != DRV_ERROR_UNREACHABLE)
        drv_job_set_fact(outgoing->job, DRV_FACT_HAND_OVER, FALSE);
    drv_log_debug("not handed over: %s job=%s", error->message, drv_job_id(outgoing->job));
    drv_ladder_retry(&outgoing->ladder);
    return FALSE;
}

void drv_outgoing_climb(drv_outgoing *outgoing, gint64 now_ms)
{
    drv_rung rung;

    if (outgoing->abort_ms || drv_job_cancel_requested(outgoing->job))
        return;
    outgoing->ladder.fresh_bps = drv_outgoing_counters(outgoing).fresh_bps;
    rung = drv_ladder_next(&outgoing->ladder, &outgoing->stats, now_ms);
    switch (rung) {
    case DRV_RUNG_NEAR:
        start_errand(outgoing, "near", tell_near);
        drv_log_debug("near the switch: %s job=%s", outgoing->ladder.why, drv_job_id(outgoing->job));
        return;
    case DRV_RUNG_ALLOW:
        allow_pause(outgoing);
        drv_log_debug("near the switch: %s job=%s", outgoing->ladder.why, drv_job_id(outgoing->job));
        return;
    case DRV_RUNG_PAUSE:
        allow_pause(outgoing);
        break;
    case DRV_RUNG_HANDOVER:
        if (!hand_over(outgoing))
            return;
        break;
    case DRV_RUNG_RESTART:
        outgoing->restart = TRUE;
        break;
    case DRV_RUNG_END:
        outgoing->gave_up = g_strdup(outgoing->ladder.why);
        break;
    case DRV_RUNG_THROTTLE:
        break;
    case DRV_RUNG_NONE:
    case DRV_RUNGS:
        return;
    }
    drv_log_notice("ladder: %s: %s job=%s", drv_rung_name(rung), outgoing->ladder.why, drv_job_id(outgoing->job));
    drv_job_note_rung(outgoing->job, drv_rung_name(rung), outgoing->ladder.why);
}

void drv_outgoing_taken_up(drv_outgoing *outgoing)
{
    g_autoptr(json_object) view = drv_job_view(outgoing->job);

    if (drv_json_bool(view, "with_post_copy"))
        drv_ladder_again(&outgoing->ladder, outgoing->ladder.began_ms);
}
