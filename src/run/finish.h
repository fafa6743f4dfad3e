/* SPDX-License-Identifier: Apache-2.0 */
/* How a migration ends at its source: both ends are asked, the verdict is carried out, the report is written. */
#pragma once

#include "relay/control.h"
#include "run/internal.h"
#include "run/progress.h"
#include "run/steer.h"

/* What outgoing.c and finish.c share: one move in the making, owned by its thread. */
struct drv_outgoing {
    drv_run *run;
    drv_job *job;
    gboolean take_up;  /* begun by an earlier droverd */
    gboolean taken_up; /* and found under way */
    char *session;
    char *dir;
    drv_steer steer;
    drv_progress progress;
    drv_job_stats stats; /* the last that libvirt's running job gave */
    gint64 began_ms;     /* real time */
    gint64 hasten_ms;    /* since when it is to come to an end: cancelled, or without a link; or 0 */
    gint64 aborted_ms;   /* when libvirt was last asked to abort, or 0 */
    gboolean relay_ended;
    GThread *listener;

    GMutex lock;         /* guards what follows */
    GCond changed;
    gboolean over;       /* libvirt's call has returned */
    gboolean call_ok;
    GError *call_error;
    struct drv_relay_status relay;
    gboolean relay_dead;
    gboolean stop_listening;
    gboolean woken;
    gint64 paused_us;    /* drv_clock_us() of the stop at the source, or 0 */
};

/** drv_outgoing_finish() - libvirt is through: settle, clean up, report. The job ends, or droverd does first. */
void drv_outgoing_finish(drv_outgoing *outgoing);

/** drv_outgoing_give_up() - nothing was copied yet: remove what was prepared at both ends. */
void drv_outgoing_give_up(drv_outgoing *outgoing, const GError *why);
