/* SPDX-License-Identifier: Apache-2.0 */
/* How far a move is, for people: a percentage that never falls, a rate, an honest remaining time. Pure. */
#pragma once

#include "hyper/hyper.h"
#include "model/json.h"
#include "move/state.h"
#include "plan/estimate.h"
#include "relay/control/control.h"

typedef struct {
    guint64 memory_bytes; /* of the guest: libvirt says nothing of it while it copies disks */
    double percent;       /* the most ever shown */
    double rate_bps;      /* smoothed, bytes a second that QEMU writes */
    guint64 seen_bytes;
    gint64 seen_ms;
    drv_state phase;                    /* of the last update … */
    gint64 phase_ms;                    /* … and when it began */
    const drv_estimate_input *expected; /* what the move was thought to be, or NULL */
    guint64 rounds;                     /* of pre-copy, that have begun … */
    gint64 round_ms;                    /* … and since when the last one runs */
    gint64 wire_ms;                     /* since when memory goes, or 0 … */
    guint64 wire_bytes;                 /* … and what had gone before */
    gint64 end_ms;                      /* when it was last expected to end, on the same clock; 0: not known … */
    gint64 fitted_ms;                   /* … and when that was */
} drv_progress;

/**
 * drv_progress_update() - the "progress" object of docs/rest.rst. Transfer full.
 * @now_ms: on any monotonic clock
 */
json_object *drv_progress_update(drv_progress *progress, drv_state state, const drv_job_stats *stats,
                                 const struct drv_relay_status *relay, gint64 now_ms);
