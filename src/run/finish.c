/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a migration ends at its source. Whatever libvirt's call returned, what counts is
 * what exists at both ends; settle.c decides, here it is carried out. While an end does
 * not answer, it is asked again.
 */
#include "run/finish.h"

#include "base/clock.h"
#include "base/log.h"
#include "run/session.h"
#include "run/settle.h"

#define ASK_AGAIN_MS 250
/* libvirtd ends the source's QEMU well within this; what stays longer needs a person. */
#define PATIENCE_MS 60000
/*
 * A source that runs is safe, and a target that stays away cleans up for itself when it is
 * back. Long enough for a droverd that is being restarted.
 */
#define PATIENCE_WITH_LOST_TARGET_MS 4000

/* ---- asking ---- */

typedef struct {
    drv_settle_facts facts;
    json_object *completed; /* libvirt's statistics at the target, or NULL */
    GError *target_error;
} findings;

static drv_presence ask_source(drv_outgoing *outgoing)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_domain) domain =
        drv_hyper_domain(outgoing->run->hyper, drv_job_uuid(outgoing->job), &error);

    if (!domain)
        return g_error_matches(error, DRV_ERROR, DRV_ERROR_NOT_FOUND) ? DRV_PRESENCE_ABSENT
                                                                      : DRV_PRESENCE_UNKNOWN;
    if (domain->busy)
        return DRV_PRESENCE_UNKNOWN;
    return drv_presence_from_state(drv_domain_state_name(domain->state));
}

static json_object *about_vm(drv_outgoing *outgoing)
{
    json_object *object = json_object_new_object();

    drv_json_set_string(object, "uuid", drv_job_uuid(outgoing->job));
    drv_json_set_string(object, "job", drv_job_id(outgoing->job));
    drv_json_set_bool(object, "was_running",
                      drv_json_bool(drv_job_step(outgoing->job), "was_running"));
    return object;
}

static json_object *call_session(drv_outgoing *outgoing, const char *method, const char *what,
                                 GError **error)
{
    g_autofree char *path = g_strdup_printf("/v1/peer/sessions/%s%s", outgoing->session, what);
    g_autoptr(json_object) body = about_vm(outgoing);

    return drv_run_call(outgoing->run, drv_job_target(outgoing->job), method, path, body,
                        DRV_RUN_PEER_TIMEOUT_MS, error);
}

static findings ask_both(drv_outgoing *outgoing)
{
    findings found = {0};
    g_autoptr(json_object) answer = NULL;

    found.facts.was_running = drv_json_bool(drv_job_step(outgoing->job), "was_running");
    found.facts.source = ask_source(outgoing);
    answer = call_session(outgoing, "POST", "/look", &found.target_error);
    if (answer && !drv_json_bool(answer, "busy"))
        found.facts.target = drv_presence_from_state(drv_json_string(answer, "domain", NULL));
    else
        found.facts.target = DRV_PRESENCE_UNKNOWN;
    found.facts.resumed = drv_json_bool(answer, "resumed");
    g_mutex_lock(&outgoing->lock);
    found.facts.finish_ok = outgoing->relay.finish_ok;
    g_mutex_unlock(&outgoing->lock);
    return found;
}

static void findings_clear(findings *found)
{
    g_clear_error(&found->target_error);
}

/* ---- the report ---- */

static void set_or_null(json_object *object, const char *key, gint64 value)
{
    drv_json_set(object, key, value >= 0 ? json_object_new_int64(value) : NULL);
}

static gint64 measured_pause_ms(drv_outgoing *outgoing, json_object *completed)
{
    gint64 pause_us;

    g_mutex_lock(&outgoing->lock);
    pause_us = outgoing->paused_us && outgoing->relay.resumed_us
                   ? outgoing->relay.resumed_us - outgoing->paused_us
                   : -1;
    g_mutex_unlock(&outgoing->lock);
    if (pause_us >= 0)
        return (pause_us + 999) / 1000;
    return drv_json_int(completed, "downtime_ms", -1);
}

static json_object *make_report(drv_outgoing *outgoing, const char *outcome, const char *why,
                                json_object *completed)
{
    json_object *report = json_object_new_object();
    g_autoptr(json_object) view = drv_job_view(outgoing->job);
    struct drv_relay_status relay;
    gint64 rounds = drv_json_int(completed, "rounds", (gint64)outgoing->stats.rounds);
    gint64 started_ms = drv_json_int(view, "started_ms", outgoing->began_ms);

    g_mutex_lock(&outgoing->lock);
    relay = outgoing->relay;
    g_mutex_unlock(&outgoing->lock);
    drv_json_set_string(report, "vm", drv_job_vm(outgoing->job));
    drv_json_set_string(report, "source", drv_job_source(outgoing->job));
    drv_json_set_string(report, "target", drv_job_target(outgoing->job));
    drv_json_set_string(report, "method", "pre-copy");
    drv_json_set_string(report, "outcome", outcome);
    set_or_null(report, "total_ms", drv_clock_real_ms() - started_ms);
    set_or_null(report, "pause_ms",
                g_str_equal(outcome, "done") ? measured_pause_ms(outgoing, completed) : -1);
    set_or_null(report, "memory_bytes", drv_json_int(drv_job_step(outgoing->job), "memory_bytes", -1));
    drv_json_set_int(report, "qemu_bytes",
                     (gint64)(relay.channel[DRV_CHANNEL_RAM].local_in_bytes +
                              relay.channel[DRV_CHANNEL_DISK].local_in_bytes));
    drv_json_set_int(report, "wire_bytes", (gint64)(relay.wire_out_bytes + relay.wire_in_bytes));
    /* What QEMU wrote for disks; libvirt's own figure is the images' size, holes included. */
    drv_json_set_int(report, "disk_bytes",
                     (gint64)relay.channel[DRV_CHANNEL_DISK].local_in_bytes);
    drv_json_set_int(report, "rounds", rounds);
    drv_json_set_string(report, "error", why);
    return report;
}

static void end_job(drv_outgoing *outgoing, drv_state state, const char *outcome, int code,
                    const char *why, json_object *completed)
{
    drv_job *job = outgoing->job;
    json_object *report = make_report(outgoing, outcome, why, completed);
    struct drv_relay_status relay;

    g_mutex_lock(&outgoing->lock);
    relay = outgoing->relay;
    g_mutex_unlock(&outgoing->lock);
    drv_job_progress(job, drv_progress_update(&outgoing->progress, state, &outgoing->stats, &relay,
                                              drv_clock_ms()));
    drv_job_end(job, state, (drv_error_code)code, why, report);
    drv_log_notice("move of %s from %s to %s: %s%s%s job=%s", drv_job_vm(job), drv_job_source(job),
                   drv_job_target(job), outcome, why ? ": " : "", why ? why : "", drv_job_id(job));
}

/* The last counters, before the relay goes. */
static void read_last_counters(drv_outgoing *outgoing)
{
    drv_relay *relay = NULL;
    struct drv_relay_status status;

    if (!outgoing->dir || drv_relay_open(outgoing->dir, &relay, NULL) < 0)
        return;
    if (drv_relay_status(relay, &status, NULL) == 0) {
        g_mutex_lock(&outgoing->lock);
        outgoing->relay = status;
        g_mutex_unlock(&outgoing->lock);
    }
    drv_relay_close(relay);
}

/* ---- the verdicts ---- */

static void release_disks(drv_outgoing *outgoing)
{
    json_object *disks = drv_json_array(drv_job_step(outgoing->job), "disks");

    for (gsize i = 0; i < drv_json_length(disks); i++) {
        json_object *disk = json_object_array_get_idx(disks, i);
        const char *path = drv_json_string(disk, "path", NULL);
        g_autoptr(GError) error = NULL;

        if (!path || !drv_run_is_copied(disk))
            continue;
        if (!drv_hyper_disk_remove(outgoing->run->hyper, path, &error))
            drv_log_warning("the source's copy of a moved disk stays behind: %s job=%s",
                            error->message, drv_job_id(outgoing->job));
    }
}

/* FALSE: not yet, look again. */
static gboolean carry_out_done(drv_outgoing *outgoing)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) answer = call_session(outgoing, "POST", "/finish", &error);

    if (!answer) {
        drv_log_warning("the target does not confirm that %s runs: %s job=%s",
                        drv_job_vm(outgoing->job), error->message, drv_job_id(outgoing->job));
        return FALSE;
    }
    read_last_counters(outgoing);
    release_disks(outgoing);
    drv_session_end_relay(outgoing->dir);
    end_job(outgoing, DRV_STATE_DONE, "done", 0, NULL, drv_json_object(answer, "completed"));
    return TRUE;
}

/* Why it did not succeed, the cause before its consequences. */
static char *why_rolled_back(drv_outgoing *outgoing, int *code)
{
    char *why;

    *code = DRV_ERROR_FAILED;
    g_mutex_lock(&outgoing->lock);
    if (outgoing->relay.state == DRV_RELAY_LOST && outgoing->relay.error[0]) {
        *code = DRV_ERROR_UNREACHABLE;
        why = g_strdup_printf("the connection with %s is lost: %s; %s goes on at %s",
                              drv_job_target(outgoing->job), outgoing->relay.error,
                              drv_job_vm(outgoing->job), drv_job_source(outgoing->job));
    } else if (outgoing->relay_dead && !outgoing->relay_ended) {
        why = g_strdup_printf("this node's relay died; %s goes on at %s", drv_job_vm(outgoing->job),
                              drv_job_source(outgoing->job));
    } else if (outgoing->call_error) {
        *code = outgoing->call_error->code;
        why = g_strdup_printf("%s; %s goes on at %s", outgoing->call_error->message,
                              drv_job_vm(outgoing->job), drv_job_source(outgoing->job));
    } else {
        why = g_strdup_printf("libvirt gave the move up while droverd was restarted; %s goes on at %s",
                              drv_job_vm(outgoing->job), drv_job_source(outgoing->job));
    }
    g_mutex_unlock(&outgoing->lock);
    return why;
}

/* FALSE: the target has changed its mind, look again. */
static gboolean carry_out_roll_back(drv_outgoing *outgoing, drv_presence source,
                                    gboolean target_answers)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) answer = NULL;
    g_autofree char *why = NULL;
    gboolean was_running = drv_json_bool(drv_job_step(outgoing->job), "was_running");
    gboolean cancelled = drv_job_cancel_requested(outgoing->job);
    int code;

    read_last_counters(outgoing);
    if (target_answers)
        answer = call_session(outgoing, "DELETE", "", &error);
    if (!answer && target_answers) {
        drv_log_warning("the target does not give up its copy of %s: %s job=%s",
                        drv_job_vm(outgoing->job), error->message, drv_job_id(outgoing->job));
        return FALSE;
    }
    if (source == DRV_PRESENCE_PAUSED && was_running) {
        g_clear_error(&error);
        if (!drv_hyper_resume(outgoing->run->hyper, drv_job_uuid(outgoing->job), &error)) {
            drv_log_warning("cannot resume %s: %s job=%s", drv_job_vm(outgoing->job),
                            error->message, drv_job_id(outgoing->job));
            return FALSE;
        }
    }
    why = why_rolled_back(outgoing, &code);
    drv_session_end_relay(outgoing->dir);
    if (cancelled)
        end_job(outgoing, DRV_STATE_ROLLED_BACK, "cancelled", DRV_ERROR_CANCELLED,
                "cancelled by the operator", NULL);
    else
        end_job(outgoing, DRV_STATE_ROLLED_BACK, "rolled-back", code, why, NULL);
    return TRUE;
}

static gboolean is_active(drv_presence presence)
{
    return presence == DRV_PRESENCE_RUNNING || presence == DRV_PRESENCE_PAUSED;
}

/* What a person can do who knows which of the two is the right one. Transfer full. */
static char *remedy(const drv_settle_facts *facts, const char *uuid, const char *source,
                    const char *target)
{
    if (is_active(facts->source) && is_active(facts->target))
        return g_strdup_printf("To keep %s's: 'virsh destroy %s' on %s, then 'virsh resume %s' on "
                               "%s. To keep %s's: the same the other way round",
                               target, uuid, source, uuid, target, source);
    if (facts->target == DRV_PRESENCE_OFF)
        return g_strdup_printf("It ended by itself: 'virsh start %s' on %s", uuid, target);
    if (facts->source == DRV_PRESENCE_ABSENT && facts->target == DRV_PRESENCE_ABSENT)
        return g_strdup_printf("Somebody has removed it while it moved: define it anew where the "
                               "images of its disks are, %s's being the newest",
                               target);
    return g_strdup_printf("See what 'virsh list --all' says on %s and on %s, and bring to an end "
                           "what hangs there",
                           source, target);
}

static void ask_for_attention(drv_outgoing *outgoing, const findings *found)
{
    const char *vm = drv_job_vm(outgoing->job);
    const char *source = drv_job_source(outgoing->job);
    const char *target = drv_job_target(outgoing->job);
    g_autofree char *advice =
        remedy(&found->facts, drv_job_uuid(outgoing->job), source, target);
    g_autofree char *why = g_strdup_printf(
        "%s is %s on %s and %s on %s%s%s%s. Drover has touched neither. %s", vm,
        drv_presence_name(found->facts.source), source, drv_presence_name(found->facts.target),
        target, found->facts.resumed ? " (it has run there)" : "",
        found->target_error ? ", which says: " : "",
        found->target_error ? found->target_error->message : "", advice);

    read_last_counters(outgoing);
    end_job(outgoing, DRV_STATE_NEEDS_ATTENTION, "needs-attention", DRV_ERROR_FAILED, why, NULL);
}

/* Whether asking again has gone on for too long. */
static gboolean patience_is_over(const drv_settle_facts *facts, gint64 waited_ms)
{
    if (facts->source == DRV_PRESENCE_UNKNOWN)
        return FALSE;
    return waited_ms > PATIENCE_MS;
}

void drv_outgoing_finish(drv_outgoing *outgoing)
{
    gint64 began_ms = drv_clock_ms();

    drv_job_enter(outgoing->job, DRV_STATE_FINISHING);
    do {
        findings found = ask_both(outgoing);
        drv_verdict verdict = drv_settle_decide(&found.facts);
        gint64 waited_ms = drv_clock_ms() - began_ms;
        gboolean lost = found.facts.target == DRV_PRESENCE_UNKNOWN && found.target_error;
        gboolean ended = FALSE;

        if (verdict == DRV_VERDICT_WAIT && lost && found.facts.source == DRV_PRESENCE_RUNNING &&
            waited_ms > PATIENCE_WITH_LOST_TARGET_MS)
            verdict = DRV_VERDICT_ROLL_BACK;
        else if (verdict == DRV_VERDICT_WAIT && patience_is_over(&found.facts, waited_ms))
            verdict = DRV_VERDICT_ATTENTION;

        switch (verdict) {
        case DRV_VERDICT_DONE:
            ended = carry_out_done(outgoing);
            break;
        case DRV_VERDICT_ROLL_BACK:
            ended = carry_out_roll_back(outgoing, found.facts.source, !lost);
            break;
        case DRV_VERDICT_ATTENTION:
            ask_for_attention(outgoing, &found);
            ended = TRUE;
            break;
        case DRV_VERDICT_WAIT:
            break;
        }
        if (!ended && waited_ms > PATIENCE_MS && verdict != DRV_VERDICT_WAIT) {
            ask_for_attention(outgoing, &found);
            ended = TRUE;
        }
        findings_clear(&found);
        if (ended)
            return;
    } while (drv_run_pause(outgoing->run, ASK_AGAIN_MS));
}

void drv_outgoing_give_up(drv_outgoing *outgoing, const GError *why)
{
    gboolean cancelled = drv_job_cancel_requested(outgoing->job);
    g_autoptr(json_object) answer = NULL;

    if (outgoing->session) {
        /* One that it never had is no error; one that it cannot be told of it finds out itself. */
        answer = call_session(outgoing, "DELETE", "", NULL);
        read_last_counters(outgoing);
        drv_session_end_relay(outgoing->dir);
    }
    if (cancelled)
        end_job(outgoing, DRV_STATE_ROLLED_BACK, "cancelled", DRV_ERROR_CANCELLED,
                "cancelled by the operator", NULL);
    else
        end_job(outgoing, DRV_STATE_FAILED, "failed", why->code, why->message, NULL);
}
