/* SPDX-License-Identifier: Apache-2.0 */
/* One migration in the making at its source, owned by its thread. */
#pragma once

#include "base/ids.h"
#include "hyper/hyper.h"
#include "move/convergence.h"
#include "move/job.h"
#include "move/progress.h"
#include "node/context.h"
#include "relay/control/control.h"

struct drv_outgoing {
    drv_context *ctx;
    drv_job *job;
    gboolean take_up;       /* begun by an earlier droverd */
    gboolean taken_up;      /* and found under way */
    drv_session_id session; /* no text: there is none yet */
    char *dir;
    drv_ladder ladder;
    drv_progress progress;
    drv_estimate_input expected; /* what the progress is fitted to */
    drv_job_stats stats;         /* the last that libvirt's running job gave */
    gint64 began_ms;             /* real time */
    GArray *link_seen;           /* of guint64: the link's rate at each look while memory or disks went */
    gint64 copy_began_ms;        /* drv_clock_ms() at which the guest's first bytes were seen to go, or 0 */
    gint64 abort_ms;             /* since when it is to come to an end: cancelled, given up, or without a link; or 0 */
    gint64 aborted_ms;           /* when libvirt was last asked to abort, or 0 … */
    guint aborts;                /* … and how often */
    gboolean left_behind;        /* what is being prepared clears up for itself */
    gboolean restart;            /* it is aborted to begin again with post-copy */
    gint64 recovering_ms;        /* since when a recovery could have begun, drv_clock_ms() */
    gboolean stuck;              /* … and it does not */
    char *gave_up;               /* why the ladder came to its end, or NULL */
    struct drv_relay_status earlier; /* counters of the job's earlier relays, added up */
    gboolean relay_ended;            /* by this droverd */
    gboolean broken_known;           /* what follows is known: it was so before anything was given up */
    gboolean link_lost;
    gboolean relay_died;
    GThread *listener;

    GMutex lock; /* guards what follows */
    GCond changed;
    gboolean over; /* libvirt's call has returned */
    gboolean call_ok;
    GError *call_error;
    struct drv_relay_status relay;
    gint64 resumed_us; /* drv_clock_us() when the target had told that the guest runs, or 0 */
    gboolean prepared;
    GError *prepare_error;
    gboolean relay_dead;
    gboolean stop_listening;
    gboolean woken;
    gint64 paused_us; /* drv_clock_us() of the stop at the source, or 0 */
};

/** drv_outgoing_about_vm() - which VM a session is about, for drv_outgoing_call_session(). Transfer full. */
json_object *drv_outgoing_about_vm(drv_outgoing *outgoing);

/** drv_outgoing_call_session() - ask the target about this session. @body: NULL: which VM. Transfer full. */
json_object *drv_outgoing_call_session(drv_outgoing *outgoing, const char *method, const char *what, json_object *body,
                                       GError **error);
