/* SPDX-License-Identifier: Apache-2.0 */
/* The source's end of a migration: from the job to its report, in a thread of its own. */
#pragma once

#include "run/internal.h"

/** drv_outgoing_start() - begin @job, or take it up after a restart (@resumed). */
void drv_outgoing_start(drv_run *run, drv_job *job, gboolean resumed);

/** drv_outgoing_paused() - the guest was stopped for the switch (from libvirt's event thread). */
void drv_outgoing_paused(drv_outgoing *outgoing, gint64 when_us);

/** drv_outgoing_wake() - there is something to look at: a cancel, or the end of droverd. */
void drv_outgoing_wake(drv_outgoing *outgoing);
