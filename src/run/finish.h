/* SPDX-License-Identifier: Apache-2.0 */
/* How a migration ends at its source: both ends are asked, the verdict is carried out. */
#pragma once

#include "relay/control.h"
#include "run/internal.h"
#include "run/ladder.h"
#include "run/progress.h"
#include "run/report.h"

/* What outgoing.c and finish.c share: one move in the making, owned by its thread. */
struct drv_outgoing {
    drv_run *run;
    drv_job *job;
    gboolean take_up;  /* begun by an earlier droverd */
    gboolean taken_up; /* and found under way */
    drv_session_id session; /* no text: there is none yet */
    char *dir;
    drv_ladder ladder;
    drv_progress progress;
    drv_estimate_input expected; /* what the progress is fitted to */
    drv_job_stats stats; /* the last that libvirt's running job gave */
    gint64 began_ms;     /* real time */
    GArray *link_seen;   /* of guint64: the link's rate at each look while memory or disks went */
    gint64 copy_began_ms; /* drv_clock_ms() at which the guest's first bytes were seen to go, or 0 */
    gint64 abort_ms;     /* since when it is to come to an end: cancelled, given up, or without a link; or 0 */
    gint64 aborted_ms;   /* when libvirt was last asked to abort, or 0 … */
    guint aborts;        /* … and how often */
    gboolean left_behind; /* what is being prepared clears up for itself */
    gboolean restart;    /* it is aborted to begin again with post-copy */
    gint64 recovering_ms; /* since when a recovery could have begun, drv_clock_ms() */
    gboolean stuck;      /* … and it does not */
    char *gave_up;       /* why the ladder came to its end, or NULL */
    struct drv_relay_status earlier; /* counters of the job's earlier relays, added up */
    gboolean relay_ended; /* by this droverd */
    gboolean broken_known; /* what follows is known: it was so before anything was given up */
    gboolean link_lost;
    gboolean relay_died;
    GThread *listener;

    GMutex lock;         /* guards what follows */
    GCond changed;
    gboolean over;       /* libvirt's call has returned */
    gboolean call_ok;
    GError *call_error;
    struct drv_relay_status relay;
    gint64 resumed_us;   /* drv_clock_us() when the target had told that the guest runs, or 0 */
    gboolean prepared;
    GError *prepare_error;
    gboolean relay_dead;
    gboolean stop_listening;
    gboolean woken;
    gint64 paused_us;    /* drv_clock_us() of the stop at the source, or 0 */
};

typedef enum {
    DRV_END_ENDED,   /* the job is over */
    DRV_END_STOPPED, /* droverd ends first */
    DRV_END_AGAIN,   /* rolled back, to begin again with post-copy */
    DRV_END_RECOVER, /* a broken post-copy, to be gone on with over a new session */
} drv_end;

/** drv_outgoing_finish() - libvirt is through: settle, clean up, report. */
drv_end drv_outgoing_finish(drv_outgoing *outgoing);

/** drv_outgoing_look() - whether a look at both ends would end a job that needs attention. Changes nothing. */
gboolean drv_outgoing_look(drv_outgoing *outgoing);

/** drv_outgoing_give_up() - nothing was copied yet: remove what was prepared at both ends. */
void drv_outgoing_give_up(drv_outgoing *outgoing, const GError *why);

/** drv_outgoing_call_session() - ask the target about this session. @body: NULL: which VM. Transfer full. */
json_object *drv_outgoing_call_session(drv_outgoing *outgoing, const char *method, const char *what,
                                       json_object *body, GError **error);
