/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The move of a VM that is shut off.
 *
 * Theory of operation. Contents go over the session as in any move. While they are sent
 * the source keeps the definition; QEMU's locks keep the VM from being started on an image that
 * is just read, and at the end images that have changed and a VM that runs are found out. Then
 * the target gets the definition. That it has it is recorded ("defined"), and from then on the
 * way is forward: the source's definition is removed, which libvirt refuses if it has been started
 * by then, and last its images. Before that record the way is back: the target removes all.
 */
#include "move/source/send-disks.h"

#include <sys/stat.h>

#include "base/clock.h"
#include "base/fault.h"
#include "hyper/belongings.h"
#include "hyper/domain-xml.h"
#include "hyper/domain.h"
#include "move/job.h"
#include "move/source/belongings.h"
#include "move/source/image-times.h"
#include "move/source/report.h"
#include "node/relay-session.h"

#define ASK_AGAIN_MS 250
#define PATIENCE_MS 60000

static void roll_back(drv_outgoing *outgoing, const GError *why)
{
    gboolean cancelled = drv_job_cancel_requested(outgoing->job);
    g_autofree char *text =
        g_strdup_printf("%s; %s stays at %s", why->message, drv_job_vm(outgoing->job), drv_job_source(outgoing->job));
    /* A target that cannot be told asks this node how the job ended. */
    json_object *answer = drv_outgoing_call_session(outgoing, "DELETE", "", NULL, NULL);

    json_object_put(answer);
    drv_outgoing_read_counters(outgoing);
    drv_session_end_relay(outgoing->dir);
    if (cancelled)
        drv_outgoing_end(outgoing, DRV_STATE_ROLLED_BACK, "cancelled", DRV_ERROR_CANCELLED, "cancelled by the operator",
                         NULL);
    else
        drv_outgoing_end(outgoing, DRV_STATE_ROLLED_BACK, "rolled-back", why->code, text, NULL);
}

static gboolean is_shut_off(drv_outgoing *outgoing, GError **error)
{
    g_autoptr(drv_domain) domain = drv_hyper_domain(outgoing->ctx->hyper, drv_job_uuid(outgoing->job), error);

    if (domain && domain->state != DRV_DOMAIN_SHUT_OFF)
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "%s has been started meanwhile", domain->name);
    return domain && domain->state == DRV_DOMAIN_SHUT_OFF;
}

/* Everything but the removal at the source. */
static gboolean bring_over(drv_outgoing *outgoing, GError **error)
{
    json_object *step = drv_job_step(outgoing->job);
    g_autoptr(GArray) before = drv_stamps_take(step);
    g_autoptr(GArray) after = NULL;
    g_autoptr(json_object) parcel = NULL;
    g_autoptr(json_object) answer = NULL;

    if (!is_shut_off(outgoing, error) || !drv_departure_send(outgoing, TRUE, error) || !is_shut_off(outgoing, error))
        return FALSE;
    after = drv_stamps_take(step);
    if (!drv_stamps_equal(before, after)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "its disks were written to while they were copied");
        return FALSE;
    }
    parcel = drv_departure_parcel(outgoing->ctx, step, error);
    if (!parcel)
        return FALSE;
    answer = drv_outgoing_call_session(outgoing, "POST", "/define", parcel, error);
    return answer && drv_departure_is_whole(outgoing, error);
}

/* Return: FALSE, not yet. */
static gboolean hand_over(drv_outgoing *outgoing, GError **error)
{
    g_autoptr(json_object) answer = NULL;

    if (!drv_hyper_undefine(outgoing->ctx->hyper, drv_job_uuid(outgoing->job), error))
        return FALSE;
    answer = drv_outgoing_call_session(outgoing, "POST", "/finish", NULL, error);
    if (!answer)
        return FALSE;
    drv_outgoing_read_counters(outgoing);
    drv_departure_release(outgoing);
    drv_session_end_relay(outgoing->dir);
    drv_outgoing_end(outgoing, DRV_STATE_DONE, "done", 0, NULL, NULL);
    return TRUE;
}

static void finish(drv_outgoing *outgoing)
{
    gint64 began_ms = drv_clock_ms();

    drv_job_enter(outgoing->job, DRV_STATE_FINISHING);
    do {
        g_autoptr(GError) error = NULL;
        g_autofree char *why = NULL;

        if (hand_over(outgoing, &error))
            return;
        /* Started at the source after all: what the target has has never run. */
        if (error->code == DRV_ERROR_CONFLICT) {
            g_autoptr(GError) state = NULL;

            if (!is_shut_off(outgoing, &state) && state->code == DRV_ERROR_CONFLICT) {
                roll_back(outgoing, error);
                return;
            }
        }
        if (drv_clock_ms() - began_ms > PATIENCE_MS) {
            why = g_strdup_printf("%s is whole at %s; removing it at %s does not come to an end: %s. "
                                  "When both nodes answer, say 'drover reconcile'",
                                  drv_job_vm(outgoing->job), drv_job_target(outgoing->job),
                                  drv_job_source(outgoing->job), error->message);
            drv_outgoing_end(outgoing, DRV_STATE_NEEDS_ATTENTION, "needs-attention", error->code, why, NULL);
            return;
        }
    } while (drv_node_pause(outgoing->ctx, ASK_AGAIN_MS));
}

static void go_on(drv_outgoing *outgoing)
{
    g_autoptr(GError) error = NULL;

    if (!bring_over(outgoing, &error)) {
        if (!drv_node_is_stopping(outgoing->ctx))
            roll_back(outgoing, error);
        return;
    }
    if (!drv_job_set_fact(outgoing->job, "defined", TRUE)) {
        g_set_error(&error, DRV_ERROR, DRV_ERROR_FAILED, "that it is whole at %s cannot be recorded here",
                    drv_job_target(outgoing->job));
        roll_back(outgoing, error);
        return;
    }
    drv_fault("source-offline-defined");
    finish(outgoing);
}

void drv_offline_move(drv_outgoing *outgoing)
{
    drv_job_enter(outgoing->job, DRV_STATE_COPYING_DISKS);
    go_on(outgoing);
}

void drv_offline_take_up(drv_outgoing *outgoing)
{
    g_autoptr(GError) error = NULL;
    drv_state state = drv_job_state(outgoing->job);

    if (drv_job_fact(outgoing->job, "defined")) {
        finish(outgoing);
    } else if (state == DRV_STATE_COPYING_DISKS) {
        go_on(outgoing);
    } else {
        g_set_error(&error, DRV_ERROR, DRV_ERROR_FAILED,
                    "droverd was restarted before the copy began; start the move again");
        drv_job_set_fact(outgoing->job, DRV_FACT_INTERRUPTED, TRUE);
        roll_back(outgoing, error);
    }
}
