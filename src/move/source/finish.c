/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a migration ends at its source. Whatever libvirt's call returned, what counts is
 * what exists at both ends; move/outcome.c decides, here it is carried out. While an end does
 * not answer, it is asked again.
 */
#include "move/source/finish.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "hyper/domain-xml.h"
#include "hyper/domain.h"
#include "hyper/flush.h"
#include "hyper/job.h"
#include "hyper/qemu-log.h"
#include "move/first-cause.h"
#include "move/job.h"
#include "move/outcome.h"
#include "move/source/attention.h"
#include "move/source/belongings.h"
#include "move/source/report.h"
#include "node/relay-session.h"

#define ASK_AGAIN_MS 250
/* libvirtd ends the source's QEMU well within this; what stays longer needs a person. */
#define PATIENCE_MS 60000
/*
 * A source that runs is safe, and a target that stays away cleans up for itself when it is
 * back. Long enough for a droverd that is being restarted.
 */
#define PATIENCE_WITH_LOST_TARGET_MS 4000
/* The same for who has cancelled and waits. */
#define PATIENCE_WHEN_CANCELLED_MS 800
/* A wait that is shorter is nobody's business. */
#define SAY_WAITING_MS 2000
/* What has not changed for so long is not in the middle of changing. */
#define STEADY_MS 3000

/* Kept with the job for the one who takes it up. */
#define FACT_CONFIRMED "confirmed"   /* the target has said that it has the VM for good */
#define FACT_INCOMPLETE "incomplete" /* no image is removed: the target lacks something that is here */
#define FACT_BOTH_RAN "both_ran"     /* no image is removed: which one is right is for a person to say */

/* ---- asking ---- */

typedef struct {
    drv_settle_facts facts;
    json_object *completed; /* libvirt's statistics at the target, or NULL */
    GError *target_error;
} findings;

/* libvirt's words for it; the state of a broken one is its job still, which nobody works at. */
static gboolean is_split(const char *reason)
{
    return reason && g_str_has_prefix(reason, "postcopy");
}

static gboolean is_broken(const char *reason)
{
    return reason && g_str_equal(reason, "postcopy-failed");
}

static drv_presence ask_source(drv_outgoing *outgoing, drv_settle_facts *facts)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_domain) domain = drv_hyper_domain(outgoing->ctx->hyper, drv_job_uuid(outgoing->job), &error);

    if (!domain)
        return g_error_matches(error, DRV_ERROR, DRV_ERROR_NOT_FOUND) ? DRV_PRESENCE_ABSENT : DRV_PRESENCE_UNKNOWN;
    facts->source_split = domain->state == DRV_DOMAIN_PAUSED && is_split(domain->reason);
    facts->source_broken = facts->source_split && is_broken(domain->reason);
    if (domain->busy && !facts->source_split)
        return DRV_PRESENCE_UNKNOWN;
    return drv_presence_from_state(drv_domain_state_name(domain->state));
}

/* Who has cancelled does not wait for a link that has stalled: see PATIENCE_WHEN_CANCELLED_MS. */
static json_object *call_session(drv_outgoing *outgoing, const char *method, const char *what, GError **error)
{
    g_autofree char *path = g_strdup_printf("/v1/peer/sessions/%s%s", outgoing->session.text, what);
    g_autoptr(json_object) body = drv_outgoing_about_vm(outgoing);
    guint timeout_ms = drv_job_cancel_requested(outgoing->job) ? PATIENCE_WHEN_CANCELLED_MS : DRV_NODE_PEER_TIMEOUT_MS;

    return drv_node_call(outgoing->ctx, drv_job_target(outgoing->job), method, path, body, timeout_ms, error);
}

static findings ask_both(drv_outgoing *outgoing)
{
    findings found = {0};
    g_autoptr(json_object) answer = NULL;

    found.facts.was_running = drv_json_bool(drv_job_step(outgoing->job), "was_running");
    found.facts.source = ask_source(outgoing, &found.facts);
    answer = call_session(outgoing, "POST", "/look", &found.target_error);
    found.facts.target_split = is_split(drv_json_string(answer, "reason", NULL)) &&
                               g_str_equal(drv_json_string(answer, "domain", ""), "running");
    if (answer && (!drv_json_bool(answer, "busy") || found.facts.target_split))
        found.facts.target = drv_presence_from_state(drv_json_string(answer, "domain", NULL));
    else
        found.facts.target = DRV_PRESENCE_UNKNOWN;
    found.facts.resumed = drv_json_bool(answer, "resumed");
    g_mutex_lock(&outgoing->lock);
    /* The source's relay may have died since, with its host: the target's knows it as well. */
    found.facts.finish_ok = outgoing->relay.finish_ok || drv_json_bool(answer, "finish_delivered");
    g_mutex_unlock(&outgoing->lock);
    if (found.facts.finish_ok && !drv_job_fact(outgoing->job, DRV_FACT_FINISH_OK))
        drv_job_set_fact(outgoing->job, DRV_FACT_FINISH_OK, TRUE);
    found.facts.finish_ok = drv_job_fact(outgoing->job, DRV_FACT_FINISH_OK);
    /* Its session may be closed by then, whether we have heard it or not, and cannot tell. */
    found.facts.resumed |= drv_job_fact(outgoing->job, DRV_FACT_HANDED_OVER);
    /*
     * By post-copy the guest starts at the target by itself. One that has ended here after that
     * may not have been the last to run, whatever the target's session (perhaps a new one) knows.
     */
    if (found.facts.source == DRV_PRESENCE_OFF || found.facts.source == DRV_PRESENCE_ABSENT)
        found.facts.resumed |= drv_job_fact(outgoing->job, DRV_FACT_HAND_OVER);
    return found;
}

static gboolean same_facts(const drv_settle_facts *one, const drv_settle_facts *other)
{
    return one->source == other->source && one->target == other->target && one->resumed == other->resumed &&
           one->finish_ok == other->finish_ok && one->source_split == other->source_split &&
           one->target_split == other->target_split;
}

static void findings_clear(findings *found)
{
    g_clear_error(&found->target_error);
}

/* ---- the verdicts ---- */

/*
 * A definition that stayed behind, because libvirtd or the host died before it undefined the
 * VM, could be started again: it goes. One that runs is none of ours to end.
 */
static gboolean remove_definition(drv_outgoing *outgoing)
{
    g_autoptr(GError) error = NULL;
    drv_presence source = ask_source(outgoing, &(drv_settle_facts){0});

    if (source != DRV_PRESENCE_ABSENT && source != DRV_PRESENCE_OFF)
        return FALSE;
    /* libvirt has removed it: it must not be back after a power loss, beside the target's. */
    if (source == DRV_PRESENCE_ABSENT
            ? drv_hyper_flush_definition(drv_job_vm(outgoing->job), &error)
            : drv_hyper_destroy(outgoing->ctx->hyper, drv_job_uuid(outgoing->job), TRUE, &error))
        return TRUE;
    drv_log_warning("the source's definition of %s stays behind: %s job=%s", drv_job_vm(outgoing->job), error->message,
                    drv_job_id(outgoing->job));
    return FALSE;
}

/* The target has the VM for good; all of it may be done again after a crash in its middle. */
static gboolean leave(drv_outgoing *outgoing, json_object *completed)
{
    if (!remove_definition(outgoing))
        return FALSE;
    drv_fault("source-definition-removed");
    drv_outgoing_read_counters(outgoing);
    if (drv_job_fact(outgoing->job, FACT_BOTH_RAN))
        drv_log_notice("the disks of %s are left here: it ran at both ends for a while job=%s",
                       drv_job_vm(outgoing->job), drv_job_id(outgoing->job));
    else if (!drv_job_fact(outgoing->job, FACT_INCOMPLETE))
        drv_departure_release(outgoing);
    drv_fault("source-disks-released");
    drv_session_end_relay(outgoing->dir);
    drv_fault("source-relay-ended");
    drv_outgoing_end(outgoing, DRV_STATE_DONE, "done", 0, NULL, completed);
    return TRUE;
}

/* From before the call on the target's copy may have run, whatever becomes of the answer. */
static json_object *hand_over(drv_outgoing *outgoing, GError **error)
{
    if (!drv_job_fact(outgoing->job, DRV_FACT_HANDED_OVER))
        drv_job_set_fact(outgoing->job, DRV_FACT_HANDED_OVER, TRUE);
    drv_fault("source-before-finish");
    return call_session(outgoing, "POST", "/finish", error);
}

/* FALSE: not yet, look again. */
static gboolean carry_out_done(drv_outgoing *outgoing)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) answer = hand_over(outgoing, &error);

    if (!answer) {
        drv_log_warning("the target does not confirm that %s runs: %s job=%s", drv_job_vm(outgoing->job),
                        error->message, drv_job_id(outgoing->job));
        return FALSE;
    }
    drv_fault("source-target-finished");
    if (!drv_departure_is_whole(outgoing, &error)) {
        if (error->code != DRV_ERROR_CONFLICT)
            return FALSE;
        drv_job_set_fact(outgoing->job, FACT_INCOMPLETE, TRUE);
        drv_outgoing_note_stay(outgoing, "all of its disks", error->message);
    }
    /* From here on the target's session is closed: what it became there is no longer this job's. */
    drv_job_set_fact(outgoing->job, FACT_CONFIRMED, TRUE);
    drv_fault("source-confirmed");
    return leave(outgoing, drv_json_object(answer, "completed"));
}

/* FALSE always: what came of it is seen at the next look. */
static gboolean carry_out_complete(drv_outgoing *outgoing)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) answer = hand_over(outgoing, &error);

    if (answer)
        drv_job_set_fact(outgoing->job, FACT_CONFIRMED, TRUE);
    drv_fault("source-before-completing");
    if (answer && ask_source(outgoing, &(drv_settle_facts){0}) == DRV_PRESENCE_PAUSED &&
        drv_hyper_destroy(outgoing->ctx->hyper, drv_job_uuid(outgoing->job), TRUE, &error))
        drv_log_notice("ended the source's paused copy of %s, which libvirtd had left behind job=%s",
                       drv_job_vm(outgoing->job), drv_job_id(outgoing->job));
    if (error)
        drv_log_warning("cannot complete the move of %s: %s job=%s", drv_job_vm(outgoing->job), error->message,
                        drv_job_id(outgoing->job));
    return FALSE;
}

/* What was broken before this end gives anything up: behind that everything is, see move/first-cause.c. */
static void note_broken(drv_outgoing *outgoing)
{
    if (outgoing->broken_known)
        return;
    outgoing->broken_known = TRUE;
    g_mutex_lock(&outgoing->lock);
    outgoing->link_lost = outgoing->relay.state == DRV_RELAY_LOST && outgoing->relay.error[0];
    outgoing->relay_died = outgoing->relay_dead && !outgoing->relay_ended;
    g_mutex_unlock(&outgoing->lock);
}

/* @answer: of the target, when it gave its copy up; may be NULL. Transfer full. */
static char *why_rolled_back(drv_outgoing *outgoing, drv_presence source, json_object *answer, int *code)
{
    g_autofree char *words = drv_qemu_log_clean(drv_json_string(answer, "qemu_words", NULL));
    gboolean restart;
    char *why;

    g_mutex_lock(&outgoing->lock);
    {
        const drv_cause cause = {.vm = drv_job_vm(outgoing->job),
                                 .source = drv_job_source(outgoing->job),
                                 .target = drv_job_target(outgoing->job),
                                 .shut_off = source == DRV_PRESENCE_OFF,
                                 .gave_up = outgoing->gave_up,
                                 .link_lost = outgoing->link_lost,
                                 .relay_dead = outgoing->relay_died,
                                 .relay_error = outgoing->relay.error,
                                 .call_error = outgoing->call_error,
                                 .qemu_words = words};

        why = drv_cause_text(&cause, code);
        restart = drv_cause_is_restart(&cause);
    }
    g_mutex_unlock(&outgoing->lock);
    if (restart)
        drv_job_set_fact(outgoing->job, DRV_FACT_INTERRUPTED, TRUE);
    return why;
}

/* FALSE: the target has changed its mind, look again. */
static gboolean carry_out_roll_back(drv_outgoing *outgoing, drv_presence source, gboolean target_answers)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) answer = NULL;
    g_autofree char *why = NULL;
    gboolean was_running = drv_json_bool(drv_job_step(outgoing->job), "was_running");
    gboolean cancelled = drv_job_cancel_requested(outgoing->job);
    int code;

    drv_outgoing_read_counters(outgoing);
    note_broken(outgoing);
    drv_fault("source-before-abandon");
    if (target_answers)
        answer = call_session(outgoing, "DELETE", "", &error);
    drv_fault("source-abandoned");
    if (!answer && target_answers) {
        drv_log_warning("the target does not give up its copy of %s: %s job=%s", drv_job_vm(outgoing->job),
                        error->message, drv_job_id(outgoing->job));
        return FALSE;
    }
    if (source == DRV_PRESENCE_PAUSED && was_running) {
        g_clear_error(&error);
        if (!drv_hyper_resume(outgoing->ctx->hyper, drv_job_uuid(outgoing->job), &error)) {
            drv_log_warning("cannot resume %s: %s job=%s", drv_job_vm(outgoing->job), error->message,
                            drv_job_id(outgoing->job));
            return FALSE;
        }
    }
    drv_fault("source-resumed");
    drv_session_end_relay(outgoing->dir);
    /* It may have ended meanwhile, and that it runs nowhere must be said. */
    if (!drv_hyper_answers(outgoing->ctx->hyper, drv_job_uuid(outgoing->job)) &&
        ask_source(outgoing, &(drv_settle_facts){0}) == DRV_PRESENCE_OFF)
        source = DRV_PRESENCE_OFF;
    why = why_rolled_back(outgoing, source, answer, &code);
    if (outgoing->restart && !cancelled && answer && source == DRV_PRESENCE_RUNNING)
        return TRUE; /* not ended: it begins again */
    if (cancelled && source != DRV_PRESENCE_OFF)
        drv_outgoing_end(outgoing, DRV_STATE_ROLLED_BACK, "cancelled", DRV_ERROR_CANCELLED, "cancelled by the operator",
                         NULL);
    else
        drv_outgoing_end(outgoing, DRV_STATE_ROLLED_BACK, "rolled-back", code, why, NULL);
    return TRUE;
}

static void need_attention(drv_outgoing *outgoing, const findings *found)
{
    if (found->facts.source == DRV_PRESENCE_RUNNING)
        drv_job_set_fact(outgoing->job, FACT_BOTH_RAN, TRUE);
    drv_outgoing_need_attention(outgoing, &found->facts, found->target_error);
}

/* Whether asking again has gone on for too long. */
static gboolean patience_is_over(const drv_settle_facts *facts, gint64 waited_ms)
{
    /* A broken post-copy waits for as long as it takes. */
    if (facts->source == DRV_PRESENCE_UNKNOWN || facts->source_split)
        return FALSE;
    return waited_ms > PATIENCE_MS;
}

static gint64 patience_with_lost_target_ms(drv_outgoing *outgoing)
{
    return drv_job_cancel_requested(outgoing->job) ? PATIENCE_WHEN_CANCELLED_MS : PATIENCE_WITH_LOST_TARGET_MS;
}

gboolean drv_outgoing_look(drv_outgoing *outgoing)
{
    findings found = ask_both(outgoing);
    drv_verdict verdict;

    found.facts.steady = TRUE;
    verdict = drv_settle_decide(&found.facts);
    findings_clear(&found);
    return verdict == DRV_VERDICT_DONE || verdict == DRV_VERDICT_ROLL_BACK || verdict == DRV_VERDICT_COMPLETE ||
           verdict == DRV_VERDICT_RECOVER;
}

/* Also while the target does not answer; but not when it has said that it has all of it. */
static gboolean is_to_recover(drv_outgoing *outgoing, const drv_settle_facts *facts, drv_verdict verdict)
{
    gboolean silent = verdict == DRV_VERDICT_WAIT && facts->source_broken && facts->target == DRV_PRESENCE_UNKNOWN;

    return (verdict == DRV_VERDICT_RECOVER || silent) && !drv_job_fact(outgoing->job, FACT_CONFIRMED);
}

/* Has it ended? */
static gboolean carry_out(drv_outgoing *outgoing, drv_verdict verdict, const findings *found, gboolean lost)
{
    switch (verdict) {
    case DRV_VERDICT_DONE:
        return carry_out_done(outgoing);
    case DRV_VERDICT_COMPLETE:
        return carry_out_complete(outgoing);
    case DRV_VERDICT_ROLL_BACK:
        return carry_out_roll_back(outgoing, found->facts.source, !lost);
    case DRV_VERDICT_ATTENTION:
        need_attention(outgoing, found);
        return TRUE;
    case DRV_VERDICT_RECOVER: /* the caller's */
    case DRV_VERDICT_WAIT:
        break;
    }
    return FALSE;
}

/* What it waits for, when that is not over at once: with the job, for whoever looks at it. @said: what was noted. */
static void note_waiting(drv_outgoing *outgoing, const GError *why, gint64 waited_ms, char **said)
{
    const char *now = why && waited_ms >= SAY_WAITING_MS ? why->message : NULL;

    if (g_strcmp0(now, *said) == 0)
        return;
    g_free(*said);
    *said = g_strdup(now);
    drv_job_set_note(outgoing->job, "waits_for", now ? json_object_new_string(now) : NULL);
}

drv_end drv_outgoing_finish(drv_outgoing *outgoing)
{
    gint64 began_ms = drv_clock_ms();
    gint64 since_ms = began_ms;
    drv_settle_facts before = {.source = DRV_PRESENCE_UNKNOWN, .target = DRV_PRESENCE_UNKNOWN};
    g_autofree char *said = NULL;
    gboolean ended = FALSE;

    /* A broken post-copy is only through when the ends say so. */
    if (drv_job_state(outgoing->job) != DRV_STATE_POST_COPY && drv_job_state(outgoing->job) != DRV_STATE_RECOVERING)
        drv_job_enter(outgoing->job, DRV_STATE_FINISHING);
    do {
        findings found = {0};
        drv_verdict verdict;
        gint64 now_ms;
        gboolean lost;

        if (drv_job_fact(outgoing->job, FACT_CONFIRMED) &&
            (ended = ask_source(outgoing, &(drv_settle_facts){0}) != DRV_PRESENCE_PAUSED && leave(outgoing, NULL)))
            break;
        found = ask_both(outgoing);
        now_ms = drv_clock_ms();
        if (!same_facts(&found.facts, &before))
            since_ms = now_ms;
        before = found.facts;
        found.facts.steady = now_ms - since_ms >= STEADY_MS;
        verdict = drv_settle_decide(&found.facts);
        lost = found.facts.target == DRV_PRESENCE_UNKNOWN && found.target_error;
        if (verdict == DRV_VERDICT_WAIT && lost && found.facts.source == DRV_PRESENCE_RUNNING &&
            now_ms - began_ms >= patience_with_lost_target_ms(outgoing))
            verdict = DRV_VERDICT_ROLL_BACK;
        else if (verdict == DRV_VERDICT_WAIT && patience_is_over(&found.facts, now_ms - began_ms))
            verdict = DRV_VERDICT_ATTENTION;

        if (outgoing->stuck && found.facts.source_split &&
            (verdict == DRV_VERDICT_RECOVER || verdict == DRV_VERDICT_WAIT))
            verdict = DRV_VERDICT_ATTENTION;
        if (is_to_recover(outgoing, &found.facts, verdict)) {
            findings_clear(&found);
            return DRV_END_RECOVER;
        }
        if (verdict != DRV_VERDICT_WAIT && verdict != DRV_VERDICT_RECOVER)
            drv_job_enter(outgoing->job, DRV_STATE_FINISHING);
        note_waiting(outgoing, verdict == DRV_VERDICT_WAIT ? found.target_error : NULL, now_ms - began_ms, &said);
        ended = carry_out(outgoing, verdict, &found, lost);
        if (!ended && now_ms - began_ms > PATIENCE_MS && verdict != DRV_VERDICT_WAIT) {
            need_attention(outgoing, &found);
            ended = TRUE;
        }
        findings_clear(&found);
    } while (!ended && drv_node_pause(outgoing->ctx, ASK_AGAIN_MS));
    if (!ended)
        return DRV_END_STOPPED;
    return drv_job_ended(outgoing->job) ? DRV_END_ENDED : DRV_END_AGAIN;
}

void drv_outgoing_give_up(drv_outgoing *outgoing, const GError *why)
{
    gboolean cancelled = drv_job_cancel_requested(outgoing->job);
    g_autoptr(json_object) answer = NULL;

    if (*outgoing->session.text && !outgoing->left_behind) {
        /* One that it never had is no error; one that it cannot be told of it finds out itself. */
        answer = call_session(outgoing, "DELETE", "", NULL);
        drv_outgoing_read_counters(outgoing);
        drv_session_end_relay(outgoing->dir);
    }
    if (cancelled)
        drv_outgoing_end(outgoing, DRV_STATE_ROLLED_BACK, "cancelled", DRV_ERROR_CANCELLED, "cancelled by the operator",
                         NULL);
    else
        drv_outgoing_end(outgoing, DRV_STATE_FAILED, "failed", why->code, why->message, NULL);
}
