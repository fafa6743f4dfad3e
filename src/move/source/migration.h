/* SPDX-License-Identifier: Apache-2.0 */
/* The source's end of a migration: from the job to its report, in a thread of its own. */
#pragma once

#include "move/job.h"
#include "node/context.h"

/** drv_outgoing_start() - begin @job, or take it up after a restart (@resumed). */
void drv_outgoing_start(drv_context *ctx, drv_job *job, gboolean resumed);

/** drv_outgoing_event() - something happened to the guest (from libvirt's event thread). */
void drv_outgoing_event(drv_outgoing *outgoing, drv_move_event event, gint64 when_us);
/**
 * drv_outgoing_reconcile() - look again at a job that needs attention, and settle it if it
 * fits by now. DRV_ERROR_CONFLICT: the VM is in another move.
 */
gboolean drv_outgoing_reconcile(drv_context *ctx, drv_job *job, GError **error);

/** drv_outgoing_would_settle() - whether that would end it. Changes nothing, asks both ends. */
gboolean drv_outgoing_would_settle(drv_context *ctx, drv_job *job);

/** drv_outgoing_wake() - there is something to look at: a cancel, or the end of droverd. */
void drv_outgoing_wake(drv_outgoing *outgoing);
