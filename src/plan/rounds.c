/* SPDX-License-Identifier: Apache-2.0 */
/* Rounds of pre-copy: see rounds.h. The constants are those of move/convergence.c and of QEMU. */
#include "plan/rounds.h"

#include <math.h>

#define MOST_ROUNDS 2000
#define SETTLED_ROUNDS 3
#define NEAR_ROUNDS 8
#define NEAR_S 1.0
#define PACED_S 0.25
#define START_PAUSE_S 0.020
#define LEAST_INTERVAL_S 0.3
#define SHRINKS 0.8
#define MARGIN 1.2
#define NOTICEABLE 0.96
#define STALL_S 40.0
#define STALL_BEFORE_POST_COPY_S 4.0
/* QEMU looks at what a guest dirties at most once a second, and throttles at the second time (hyper/migrate.c). */
#define THROTTLE_PERIOD_S 1.0
#define THROTTLE_FIRST 1
#define THROTTLE_MORE 10
#define THROTTLE_MOST 99
/* Even an empty round costs a synchronisation of the bitmap. */
#define LEAST_ROUND_S 0.002

typedef struct {
    double allowed_s;
    gboolean near;
    gboolean paced; /* near for long enough: QEMU may use allowed_s */
    double near_at_s;
    double changed_at_s;
    double last_bytes; /* what the round before began with */
    double least_bytes;
    double least_at_s;
    guint rounds_since;
    double period_s, period_dirty, period_sent;
    guint high;
} ladder;

static double dirtied(const drv_rounds_input *in, const drv_rounds *out, double seconds, double *mean)
{
    double awake = seconds * (1 - out->throttle_percent / 100.0);

    *mean = drv_dirty_curve_mean(&in->dirty, awake);
    return MIN(drv_dirty_curve_bytes(&in->dirty, awake), in->memory_bytes);
}

static double fresh_bps(const drv_rounds_input *in)
{
    return MIN(in->link_bps / MAX(in->again_ratio, 1e-4), in->qemu_bps);
}

static void throttle(ladder *it, drv_rounds *out, double seconds, double dirty, double sent)
{
    it->period_s += seconds;
    it->period_dirty += dirty;
    it->period_sent += sent;
    if (it->period_s < THROTTLE_PERIOD_S)
        return;
    if (it->period_dirty > it->period_sent / 2 && ++it->high >= 2) {
        it->high = 0;
        out->throttle_percent =
            out->throttle_percent ? MIN(out->throttle_percent + THROTTLE_MORE, THROTTLE_MOST) : THROTTLE_FIRST;
    }
    it->period_s = it->period_dirty = it->period_sent = 0;
}

/* What the ladder does when a round begins with @bytes to send, which would take @needed_s. */
static void climb(const drv_rounds_input *in, ladder *it, const drv_rounds *out, double bytes, double needed_s)
{
    gboolean shrinks = it->last_bytes > 0 && bytes < SHRINKS * it->last_bytes;

    if (!it->near) {
        it->near = needed_s <= NEAR_S || (out->rounds > SETTLED_ROUNDS && !shrinks) || out->rounds >= NEAR_ROUNDS;
        it->near_at_s = out->seconds;
    } else if (!it->paced) {
        it->paced = out->seconds - it->near_at_s >= PACED_S;
        it->changed_at_s = out->seconds;
    } else if (out->rounds >= SETTLED_ROUNDS && out->seconds - it->changed_at_s >= LEAST_INTERVAL_S) {
        double wider_s = it->allowed_s * 1.5;

        if (!shrinks)
            wider_s = MAX(wider_s, MARGIN * needed_s);
        it->allowed_s = MIN(wider_s, in->max_pause_s);
        it->changed_at_s = out->seconds;
    }
    if (out->rounds >= SETTLED_ROUNDS) {
        it->rounds_since++;
        if (it->least_bytes <= 0 || bytes < NOTICEABLE * it->least_bytes) {
            it->least_at_s = out->seconds;
            it->rounds_since = 0;
            it->least_bytes = bytes;
        }
    }
    it->last_bytes = bytes;
}

static gboolean is_stalled(const drv_rounds_input *in, const ladder *it, const drv_rounds *out)
{
    double patience_s = in->may_post_copy ? STALL_BEFORE_POST_COPY_S : STALL_S;

    return it->allowed_s >= in->max_pause_s && it->rounds_since >= SETTLED_ROUNDS &&
           out->seconds - it->least_at_s >= patience_s;
}

static void finish(drv_rounds *out, const ladder *it, drv_rounds_end end, double left)
{
    out->end = end;
    out->left_bytes = left;
    out->allowed_s = it->allowed_s;
}

void drv_rounds_simulate(const drv_rounds_input *in, drv_rounds *out)
{
    ladder it = {.allowed_s = MIN(START_PAUSE_S, in->max_pause_s)};
    double limit_s = in->max_time_s > 0 && in->may_post_copy ? in->max_time_s / 2 : in->max_time_s;
    double sent = in->filled_bytes;
    double wire = in->first_wire;
    double round_s = MAX(wire / in->link_bps, sent / in->qemu_bps + in->unfilled_bytes / in->scan_bps);
    double begun_s = in->begun_s;

    *out = (drv_rounds){.end = DRV_ROUNDS_STALL, .rounds = in->rounds, .throttle_percent = in->throttle_percent};
    while (out->rounds < MOST_ROUNDS) {
        double mean, dirty, left, needed_s;

        out->rounds++;
        out->seconds += round_s;
        out->wire_bytes += wire;
        dirty = dirtied(in, out, round_s + begun_s, &mean);
        begun_s = 0;
        throttle(&it, out, round_s, dirty, sent);
        /* Pages that were written before they were sent go again unchanged, as references. */
        left = mean * in->again_ratio;
        needed_s = dirty / fresh_bps(in);
        if (in->post_copy) {
            finish(out, &it, DRV_ROUNDS_HANDOVER, left);
            return;
        }
        climb(in, &it, out, dirty, needed_s);
        if (needed_s <= (it.paced ? it.allowed_s : 0.001)) {
            finish(out, &it, DRV_ROUNDS_END, left);
            out->pause_s = MAX(left / in->link_bps, dirty / in->qemu_bps);
            out->wire_bytes += left;
            return;
        }
        if (limit_s > 0 && out->seconds >= limit_s) {
            finish(out, &it, DRV_ROUNDS_TIME, left);
            return;
        }
        if (is_stalled(in, &it, out))
            break;
        sent = dirty;
        wire = left;
        round_s = MAX(MAX(wire / in->link_bps, sent / (it.near ? fresh_bps(in) : in->qemu_bps)), LEAST_ROUND_S);
    }
    finish(out, &it, DRV_ROUNDS_STALL, 0);
}
