/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How hard the encoder of a stream tries, so that the slower one of link and processor has the least
 * to do: docs/codec.rst, "How hard it tries", has the law.
 *
 * It knows what a byte costs by now: to look for pages, to compress at each effort, to encrypt and
 * send; how much each effort leaves of it; and how fast the link is. An effort's speed is the lower
 * one of what the processors make and what the link takes. The best speed wins. What was not seen
 * yet, or not for long, is taken from a table, in proportion to what is seen now.
 *
 * It computes and has no clock. One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "relay/codec/encoder.h"

/* What some full batches, all made at the present effort, have cost in all. */
struct drv_effort_look {
    uint64_t raw_bytes;     /* of the channel */
    uint64_t content_bytes; /* what zstd had of it; 0 at a plain copy */
    uint64_t encoded_bytes; /* records */
    uint64_t alone_us;      /* read and searched: by one thread at a time */
    uint64_t press_us;      /* compressed: of processor time */
    uint64_t pressed_us;    /* the same by the clock */
    uint64_t send_us;       /* encrypted and given to TCP, without waiting for it */
    uint64_t blocked_us;    /* that senders waited for the link */
};

struct drv_effort {
    unsigned now;
    /* nanoseconds, and bytes that are left, of a byte of … */
    double alone_ns;              /* the channel */
    double content;               /* the channel */
    double press_ns[DRV_EFFORTS]; /* content */
    double left[DRV_EFFORTS];     /* content */
    double send_ns;               /* records */
    double crowd;                 /* time by the clock for a moment of processor time: what else runs here */
    bool seen[DRV_EFFORTS];
    bool known;     /* there was a look */
    unsigned easy;  /* looks in a row at which the link could have taken more */
    unsigned trial; /* looks left in which one step less shows whether it does */
    unsigned next_trial;
    uint64_t trial_bps; /* the link's before it */
    unsigned blind;     /* looks in a row that said nothing of compression, and the link was slow */
    unsigned since_up;  /* looks since it was raised */
    unsigned below;     /* not this effort nor more … */
    unsigned hold;      /* … for so many looks */
    unsigned next_hold;
    uint64_t link_bps; /* of the last look */
};

/** drv_effort_init() - begin with DRV_EFFORT_FIRST. */
void drv_effort_init(struct drv_effort *effort);

/**
 * drv_effort_look() - what became of the batches since the last look.
 * @senders:  threads that may send batches at the same time
 * @link_bps: bytes a second that all links take together; 0: they were never seen to be full
 * @least:    not less than this effort
 * @near:     the switch is: pages must not become slower than QEMU has seen them go. Quicker they must,
 *            if they are too slow for the guest: nothing else would ever end that
 * Return: the effort from now on
 */
unsigned drv_effort_look(struct drv_effort *effort, const struct drv_effort_look *look, unsigned senders,
                         uint64_t link_bps, unsigned least, bool near);
