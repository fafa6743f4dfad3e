/* SPDX-License-Identifier: Apache-2.0 */
/* How much longer a move will take, seen from its middle: the estimate, fitted again to what it does. Pure. */
#pragma once

#include "plan/estimate.h"

/** What is known of a move under way; bytes of memory are those of the guest, not of the wire. */
typedef struct {
    double round_s;     /* since this round began */
    guint rounds;       /* that have begun: the first is 1 */
    guint64 left_bytes; /* of memory, in this round */
    guint64 disk_left_bytes;
    guint64 memory_total_bytes;
    guint64 wire_bytes;  /* of memory, so far … */
    guint64 timed_bytes; /* … and of these those of the last … */
    double timed_s;      /* … so many seconds */
    guint64 link_bps;    /* as the relay has seen it; 0: not known */
    guint64 dirty_bps;   /* as QEMU says, over the last round; 0: not known yet */
    guint throttle_percent;
} drv_estimate_now;

/** drv_plan_remaining_ms() - until the job ends, its end included; -1: it does not end like this. */
gint64 drv_plan_remaining_ms(const drv_estimate_input *in, const drv_estimate_now *now);
