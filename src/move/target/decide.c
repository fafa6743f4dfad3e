/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a copy at the target.
 *
 * Theory of operation. A thread per session waits for the relay to say that the source's
 * libvirtd has the Finish reply, and resumes the guest at once. Exactly one of two things
 * ever happens to a copy, decided under the session's lock, and by one word that the stand-in
 * shares (move/resume-decision.h): it is resumed, or it is
 * abandoned. When the link is lost before either, the source is asked how its job ended.
 *
 * A copy that runs by post-copy has begun by itself (libvirt says so by an event) and is never
 * abandoned: when its link is lost it waits for memory, and the source comes with a new session
 * that takes the place of the old one.
 */
#include "move/target/decide.h"

#include <errno.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "hyper/domain-xml.h"
#include "hyper/domain.h"
#include "model/json.h"
#include "move/state.h"
#include "move/target/arrival.h"
#include "move/target/judge.h"
#include "move/target/session-record.h"
#include "node/relay-session.h"

#define ASK_SOURCE_MS 1000
#define SAY_WAITING_MS 60000

/* ---- the two fates ---- */

/* Called with the lock held. */
gboolean drv_incoming_resume(drv_incoming *incoming, GError **error)
{
    g_autoptr(GError) problem = NULL;
    gboolean ok;

    if (!incoming->was_running) {
        g_atomic_int_set(&incoming->resumed, TRUE);
        return TRUE;
    }
    if (!drv_decision_take(incoming->decision, DRV_DECISION_RESUME)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "the copy of %s on %s is being abandoned", incoming->vm.text,
                    incoming->ctx->node);
        return FALSE;
    }
    drv_fault("target-before-resume");
    incoming->resuming_ms = drv_clock_ms();
    /* Once only: who has stopped it since has meant it. */
    ok = drv_decision_get(incoming->decision) == DRV_DECISION_RESUMED ||
         drv_hyper_resume(incoming->ctx->hyper, incoming->uuid.text, error);
    incoming->resuming_ms = 0;
    if (!ok)
        return FALSE;
    drv_fault("target-resumed");
    drv_decision_note_resumed(incoming->decision);
    g_atomic_int_set(&incoming->resumed, TRUE);
    /* Behind the resume, which the guest is waiting for: libvirt remembers it as well, it runs. */
    if (!drv_incoming_keep(incoming, DRV_REVISION_ANY, &problem))
        drv_log_warning("that %s was resumed could not be recorded: %s session=%s", incoming->vm.text, problem->message,
                        incoming->session.text);
    drv_fault("target-resume-recorded");
    return TRUE;
}

/*
 * Whether the copy has ever run, or may have. That it was resumed is recorded behind the
 * resume, so libvirt has a say as well.
 */
gboolean drv_incoming_has_run(drv_incoming *incoming, const drv_domain *domain)
{
    if (incoming->resumed || drv_decision_get(incoming->decision) == DRV_DECISION_RESUMED ||
        (domain && domain->state == DRV_DOMAIN_RUNNING))
        return TRUE;
    return domain && domain->state == DRV_DOMAIN_PAUSED && !drv_domain_just_arrived(domain);
}

/* Called with the lock held. Whether the source's copy is known to never run again: then this one is the VM. */
gboolean drv_incoming_was_told(drv_incoming *incoming)
{
    struct drv_relay_status status = {0};
    drv_relay *relay = NULL;

    /* Or the stand-in has heard it; the relay may have, while nobody looked. */
    incoming->told |= drv_decision_get(incoming->decision) >= DRV_DECISION_RESUME;
    if (!incoming->told && drv_relay_open(incoming->dir, &relay, NULL) == 0) {
        incoming->told = drv_relay_status(relay, &status, NULL) == 0 && status.finish_ok;
        drv_relay_close(relay);
    }
    return incoming->told;
}

/* It runs here by post-copy and lacks memory that the source has. */
gboolean drv_incoming_is_split(const drv_domain *domain)
{
    return domain && domain->state == DRV_DOMAIN_RUNNING &&
           g_str_has_prefix(domain->reason ? domain->reason : "", "postcopy");
}

/* Called with the lock held. Nothing that has ever run is touched. */
gboolean drv_incoming_give_up(drv_incoming *incoming, GError **error)
{
    g_autoptr(drv_domain) domain = NULL;
    g_autoptr(GError) problem = NULL;

    if (incoming->closed)
        return TRUE;
    domain = drv_hyper_domain(incoming->ctx->hyper, incoming->uuid.text, &problem);
    if (!domain && !g_error_matches(problem, DRV_ERROR, DRV_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return FALSE;
    }
    if (domain && drv_incoming_has_run(incoming, domain)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "%s has run on %s (it is %s now)", incoming->vm.text,
                    incoming->ctx->node, drv_domain_state_name(domain->state));
        return FALSE;
    }
    if (domain && drv_incoming_was_told(incoming)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "%s is about to run on %s: its source has given it away",
                    incoming->vm.text, incoming->ctx->node);
        return FALSE;
    }
    if (incoming->resumed) {
        /* An operator has undefined it; what he left of its disks is his. */
        drv_incoming_close(incoming);
        return TRUE;
    }
    /* The stand-in may hear from the relay at this very moment that it may run: one of the two is first. */
    if (!drv_decision_take(incoming->decision, DRV_DECISION_ABANDON)) {
        incoming->told = TRUE;
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "%s is about to run on %s: its source has given it away",
                    incoming->vm.text, incoming->ctx->node);
        return FALSE;
    }
    /* First the link, so that nothing more arrives, then the copy, then its images. */
    drv_fault("target-before-abandon");
    drv_arrival_unexport(incoming->dir, incoming->created, NULL, &incoming->written, NULL);
    drv_session_end_relay(incoming->dir);
    drv_fault("target-abandon-relay-ended");
    if (!drv_hyper_destroy(incoming->ctx->hyper, incoming->uuid.text, TRUE, error))
        return FALSE;
    drv_fault("target-copy-destroyed");
    if (!drv_arrival_remove(incoming->ctx, incoming->created, error))
        return FALSE;
    drv_fault("target-images-removed");
    drv_log_notice("abandoned the copy of %s from %s session=%s", incoming->vm.text, incoming->source.text,
                   incoming->session.text);
    drv_incoming_close(incoming);
    return TRUE;
}

/* ---- watching ---- */

/*
 * The source's job, called with the lock held, which is given away meanwhile: so look again whether the session is
 * closed. Transfer full; NULL: it cannot be asked.
 */
static json_object *ask_job(drv_incoming *incoming)
{
    g_autofree char *path = g_strdup_printf("/v1/peer/jobs/%s", incoming->job.text);
    json_object *job;

    g_mutex_unlock(&incoming->lock);
    job = drv_node_call(incoming->ctx, incoming->source.text, "GET", path, NULL, DRV_NODE_PEER_TIMEOUT_MS, NULL);
    g_mutex_lock(&incoming->lock);
    return job;
}

/* Whether it says that it has ended and the source holds the VM or has given it away for good. */
static gboolean is_through(json_object *job)
{
    return drv_json_bool(job, "ended") &&
           !g_str_equal(drv_json_string(job, "state", ""), drv_state_get(DRV_STATE_NEEDS_ATTENTION)->name);
}

/* Whether it has ended with the VM here. */
static gboolean is_done(json_object *job)
{
    return g_str_equal(drv_json_string(job, "state", ""), drv_state_get(DRV_STATE_DONE)->name);
}

static gboolean is_member(drv_context *ctx, const char *node)
{
    g_autoptr(GPtrArray) members = ctx->peers->members(ctx->peers->data);

    for (guint i = 0; i < members->len; i++)
        if (g_str_equal(((const drv_member *)members->pdata[i])->name, node))
            return TRUE;
    return FALSE;
}

/*
 * Whether a copy that is gone, and was never seen to run, may have run all the same: by post-copy
 * it starts by itself, and nobody may have been here to see. The source knows if it asked for that. And
 * a definition that was not yet on the disk is gone when the host's power fails, though the VM ran.
 */
static gboolean may_have_run_unseen(drv_incoming *incoming)
{
    g_autoptr(json_object) job = NULL;

    if (!incoming->may_start && !incoming->rebooted)
        return FALSE;
    job = ask_job(incoming);
    if (!job)
        return is_member(incoming->ctx, incoming->source.text);
    return (drv_json_bool(job, DRV_FACT_HAND_OVER) || drv_json_bool(job, DRV_FACT_FINISH_OK) ||
            drv_json_bool(job, DRV_FACT_HANDED_OVER)) &&
           !is_through(job);
}

/* Called with the lock held. A paused copy whose source cannot be asked: say so, once. */
static void say_waiting(drv_incoming *incoming, const drv_domain *domain)
{
    gint64 now_ms = drv_clock_ms();

    if (!incoming->waiting_ms)
        incoming->waiting_ms = now_ms;
    if (incoming->said_waiting || now_ms - incoming->waiting_ms < SAY_WAITING_MS)
        return;
    incoming->said_waiting = TRUE;
    drv_log_warning("%s needs attention: it is %s here, arrived from %s, which does not say what "
                    "became of its copy. Once that one is known not to run, 'virsh resume %s' here; "
                    "if it runs there, 'virsh destroy %s' and 'virsh undefine %s' here session=%s",
                    incoming->vm.text, drv_domain_state_name(domain->state), incoming->source.text, incoming->uuid.text,
                    incoming->uuid.text, incoming->uuid.text, incoming->session.text);
}

/* Called with the lock held. It runs, and has begun by itself: recorded, for it is never given up. */
static void note_arrived(drv_incoming *incoming)
{
    g_autoptr(GError) error = NULL;

    if (incoming->resumed || incoming->closed)
        return;
    g_atomic_int_set(&incoming->resumed, TRUE);
    if (!drv_incoming_keep(incoming, DRV_REVISION_ANY, &error))
        drv_log_warning("that %s runs by post-copy could not be recorded: %s session=%s", incoming->vm.text,
                        error->message, incoming->session.text);
}

/* Called with the lock held. The link is gone: libvirtd tears the copy down, unless Finish had come. */
static void settle_orphan(drv_incoming *incoming)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) job = NULL;
    g_autoptr(drv_domain) domain = drv_hyper_domain(incoming->ctx->hyper, incoming->uuid.text, &error);
    gboolean absent = !domain && g_error_matches(error, DRV_ERROR, DRV_ERROR_NOT_FOUND);

    g_clear_error(&error);
    if (drv_incoming_is_split(domain))
        note_arrived(incoming); /* The source recovers it. */
    else if (domain && domain->busy)
        return;
    if (absent && !incoming->resumed) {
        if (may_have_run_unseen(incoming) || incoming->closed)
            return;
        if (!drv_incoming_give_up(incoming, &error))
            drv_log_warning("cannot clean up after %s: %s session=%s", incoming->vm.text, error->message,
                            incoming->session.text);
        return;
    }
    job = ask_job(incoming);
    if (incoming->closed)
        return;
    if (!job || !is_through(job)) {
        /*
         * The source has the word, or cannot be asked: a paused copy waits. One that runs and
         * whose source has been put out of the cluster has nobody left to settle with.
         */
        if (drv_incoming_has_run(incoming, domain) && !is_member(incoming->ctx, incoming->source.text))
            drv_incoming_close(incoming);
        else if (domain && !drv_incoming_has_run(incoming, domain))
            say_waiting(incoming, domain);
        return;
    }
    if (drv_incoming_has_run(incoming, domain) || is_done(job)) {
        if (drv_incoming_flush(incoming, &error))
            drv_incoming_close(incoming);
        else
            drv_log_warning("%s session=%s", error->message, incoming->session.text);
    } else if (!drv_incoming_give_up(incoming, &error)) {
        drv_log_warning("cannot clean up after %s: %s session=%s", incoming->vm.text, error->message,
                        incoming->session.text);
    }
}

/* Called with the lock held. */
static void resume_now(drv_incoming *incoming, drv_relay *relay)
{
    g_autoptr(GError) error = NULL;

    if (incoming->resumed || incoming->closed)
        return;
    if (drv_incoming_resume(incoming, &error)) {
        if (relay)
            drv_relay_tell_resumed(relay, NULL);
        return;
    }
    if (g_error_matches(error, DRV_ERROR, DRV_ERROR_NOT_FOUND)) {
        /* The source has given it away already: its images are the only ones now. */
        drv_log_error("%s was removed by somebody before it could go on here; its images stay "
                      "session=%s",
                      incoming->vm.text, incoming->session.text);
        drv_incoming_close(incoming);
    } else if (g_strcmp0(error->message, incoming->complaint) != 0) {
        /* It is tried again and again. */
        drv_log_error("cannot resume %s: %s session=%s", incoming->vm.text, error->message, incoming->session.text);
        g_free(incoming->complaint);
        incoming->complaint = g_strdup(error->message);
    }
}

static gpointer watch(gpointer data)
{
    drv_incoming *incoming = data;
    drv_context *ctx = incoming->ctx;
    drv_relay *relay = NULL;
    gboolean linked = drv_relay_open(incoming->dir, &relay, NULL) == 0;
    gboolean closed = FALSE;

    while (!closed && !drv_node_is_stopping(ctx)) {
        struct drv_relay_status status = {.state = DRV_RELAY_LOST};
        int rc = linked ? drv_relay_next(relay, &status, 500, NULL) : -ECONNRESET;

        if (rc == -ETIMEDOUT)
            continue;
        if (rc == 0 && status.asks)
            drv_judge(incoming, relay);
        g_mutex_lock(&incoming->lock);
        if ((rc == 0 && status.finish_ok) || drv_decision_get(incoming->decision) >= DRV_DECISION_RESUME)
            incoming->told = TRUE;
        /* Also when the relay has gone meanwhile: libvirtd may have been away when it was told. */
        if (incoming->told)
            resume_now(incoming, linked ? relay : NULL);
        if (rc != 0 || status.state == DRV_RELAY_LOST || status.state == DRV_RELAY_ENDED) {
            linked = FALSE;
            if (!incoming->closed)
                settle_orphan(incoming);
        }
        closed = incoming->closed;
        g_mutex_unlock(&incoming->lock);
        if (!closed && !linked)
            drv_node_pause(ctx, ASK_SOURCE_MS);
    }
    drv_relay_close(relay);
    drv_incoming_unref(incoming);
    drv_node_thread_ended(ctx);
    return NULL;
}

void drv_incoming_watch(drv_incoming *incoming)
{
    g_atomic_ref_count_inc(&incoming->references);
    drv_node_thread(incoming->ctx, "arrival", watch, incoming);
}

/* ---- post-copy ---- */

static gpointer tell_arrived(gpointer data)
{
    drv_incoming *incoming = data;
    drv_context *ctx = incoming->ctx;
    drv_relay *relay = NULL;

    /* First the relay, which takes the time of it; the record is for a droverd to come. */
    if (drv_relay_open(incoming->dir, &relay, NULL) == 0)
        drv_relay_tell_resumed(relay, NULL);
    drv_relay_close(relay);
    g_mutex_lock(&incoming->lock);
    note_arrived(incoming);
    g_mutex_unlock(&incoming->lock);
    drv_incoming_unref(incoming);
    drv_node_thread_ended(ctx);
    return NULL;
}

void drv_incoming_arrived(drv_context *ctx, const char *uuid)
{
    drv_incoming *incoming = drv_incoming_find_by_uuid(ctx, NULL, uuid, NULL);

    if (incoming)
        drv_node_thread(ctx, "arrived", tell_arrived, incoming);
}
