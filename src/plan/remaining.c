/* SPDX-License-Identifier: Apache-2.0 */
/* From the middle of a move: see remaining.h. */
#include "plan/remaining.h"

#include "plan/rounds.h"

/* Of what happens before and after the copy, this comes after it. */
#define FIXED_AFTER 0.4
/* What was seen for so long counts for half, beside what was expected. */
#define HALF_SEEN_S 1.5

/* What the wire takes: what the relay saw, else what went so far if that is slower than was thought. */
static double rate(const drv_estimate_input *in, const drv_estimate_now *now, double expected)
{
    double seen = now->timed_s > 0 ? (double)now->timed_bytes / now->timed_s : 0;
    double weight = now->timed_s / (now->timed_s + HALF_SEEN_S);

    if (now->link_bps)
        return (double)now->link_bps;
    if (!in->link_bps && seen > 0)
        return seen;
    /* Slower than the link only because there was nothing to send says nothing about it. */
    return seen > expected ? weight * seen + (1 - weight) * expected : expected;
}

/* What a byte of memory is on the wire in the first pass: as it was so far, more and more. */
static double first_ratio(const drv_rounds_input *memory, const drv_estimate_now *now)
{
    double done = (double)now->memory_total_bytes - (double)now->left_bytes;
    double expected = memory->memory_bytes > 0 ? memory->first_wire / memory->memory_bytes : 0;
    double weight = now->memory_total_bytes ? done / (double)now->memory_total_bytes : 0;

    return done > 0 ? weight * (double)now->wire_bytes / done + (1 - weight) * expected : expected;
}

gint64 drv_plan_remaining_ms(const drv_estimate_input *in, const drv_estimate_now *now)
{
    drv_rounds_input memory;
    drv_rounds rounds;
    double rest_s, fixed_ms, left = (double)now->left_bytes;

    drv_plan_rounds_input(in, &memory, &fixed_ms);
    memory.link_bps = MAX(rate(in, now, memory.link_bps), 1);
    rest_s = (double)now->disk_left_bytes * drv_estimate_disk_ratio(in, 1) / memory.link_bps;
    memory.throttle_percent = now->throttle_percent;
    memory.begun_s = now->rounds ? now->round_s : 0;
    memory.rounds = now->rounds ? now->rounds - 1 : 0;
    if (now->rounds <= 1) {
        double ratio = first_ratio(&memory, now);
        double share = now->memory_total_bytes ? left / (double)now->memory_total_bytes : 1;

        memory.first_wire = now->memory_total_bytes ? left * ratio : memory.first_wire;
        memory.filled_bytes *= share;
        memory.unfilled_bytes *= share;
    } else {
        double mean = drv_dirty_curve_mean(&memory.dirty, now->round_s);
        double all = drv_dirty_curve_bytes(&memory.dirty, now->round_s);

        memory.filled_bytes = left;
        memory.unfilled_bytes = 0;
        memory.first_wire = left * memory.again_ratio * (all > 0 ? mean / all : 1);
    }
    drv_rounds_simulate(&memory, &rounds);
    if (rounds.end == DRV_ROUNDS_HANDOVER)
        rest_s += rounds.left_bytes / memory.link_bps;
    else if (rounds.end != DRV_ROUNDS_END)
        return -1;
    return (gint64)drv_estimate_whole(1000 * (rest_s + rounds.seconds + rounds.pause_s) + FIXED_AFTER * fixed_ms);
}
