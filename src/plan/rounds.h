/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rounds of a pre-copy, gone through without a guest: what QEMU 7.2 does, with the relay behind
 * it and the ladder (move/convergence.h) above it. Pure; docs/estimate.rst has the formulas.
 */
#pragma once

#include "plan/estimate.h"

/** All known; rates in bytes a second, and none of them 0. */
typedef struct drv_rounds_input {
    double memory_bytes;
    double filled_bytes;   /* not zero: what QEMU writes in the first round … */
    double unfilled_bytes; /* … and what it only looks at */
    double first_wire;     /* what that is on the wire */
    double again_ratio;    /* bytes on the wire for a byte of a page that goes again */
    drv_dirty_curve dirty;
    double link_bps;
    double qemu_bps; /* what QEMU and the relays get through, of pages that are filled … */
    double scan_bps; /* … and of those that are not */
    double max_pause_s;
    double max_time_s; /* from the start of the first round; 0: no limit */
    gboolean may_post_copy;
    gboolean post_copy; /* handed over after one pass */
    /* Seen from the middle of a move: */
    double begun_s; /* the round that runs has lasted so long already */
    guint rounds;   /* were over before it */
    guint throttle_percent;
} drv_rounds_input;

typedef enum {
    DRV_ROUNDS_END,      /* it converges */
    DRV_ROUNDS_TIME,     /* it is called off: the time is up … */
    DRV_ROUNDS_STALL,    /* … or nothing shrinks any more */
    DRV_ROUNDS_HANDOVER, /* by post-copy */
} drv_rounds_end;

typedef struct {
    drv_rounds_end end;
    double seconds;    /* from now to the pause, or to when it was called off */
    double wire_bytes; /* the pause's included */
    double pause_s;    /* of sending what remains, alone */
    double left_bytes; /* of memory, on the wire, that the last round or post-copy sends */
    double allowed_s;  /* the pause that the ladder would have allowed */
    guint rounds;
    guint throttle_percent;
} drv_rounds;

/** drv_rounds_simulate() - at most some hundred steps. */
void drv_rounds_simulate(const drv_rounds_input *in, drv_rounds *out);
