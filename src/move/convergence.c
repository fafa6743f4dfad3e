/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The convergence ladder: see convergence.h.
 *
 * What tells whether a move converges is what remains when a round begins. Between, it falls
 * to almost nothing and says nothing; dirty rate over bandwidth does not tell either, since
 * writing the same page again does not make another page dirty.
 */
#include "move/convergence.h"

#include <stdarg.h>

/* The first pass and the one after it say nothing about convergence. */
#define SETTLED_ROUNDS 3
/* QEMU looks every 100 ms whether it may switch: give a new limit the time to be tried. */
#define LEAST_INTERVAL_MS 300
/* The switch is near when a round begins with less than what goes in so long, or is one of these. */
#define NEAR_MS 1000
#define NEAR_ROUNDS 8
/* Until QEMU, which looks back 100 ms, has seen the pace. */
#define PACED_MS 250
/* A round that begins with less than this of the last one's is on a good way. */
#define SHRINKS 0.8
/* "Has not fallen": not below 96 % of the least so far … */
#define NOTICEABLE 0.96
/* … for so long. Where post-copy is allowed waiting is worth less. */
#define STALL_MS 40000
#define STALL_BEFORE_POST_COPY_MS 4000
#define STALL_ROUNDS 3
/* A guest that is throttled more than this does not get much done any more. */
#define HOPEFUL_PERCENT 80
/* The pass with post-copy needs its share of the time. */
#define POST_COPY_SHARE 2
/* A round that begins with so many times what the whole pause would take is not near its end. */
#define FAR 2.0
/* What QEMU expects to need leaves out device state: a little more. */
#define MARGIN 1.2
/* QEMU is allowed at most so many times what it may take, for what it reckons too low. */
#define MOST_CORRECTED 4.0
/* Less is no correction. */
#define CORRECTS 1.25

static const char *const method_names[] = {
    [DRV_METHOD_AUTO] = "auto",
    [DRV_METHOD_PRE_COPY] = "pre-copy",
    [DRV_METHOD_POST_COPY] = "post-copy",
    [DRV_METHOD_HYBRID] = "hybrid",
};
G_STATIC_ASSERT(G_N_ELEMENTS(method_names) == DRV_METHODS);

static const char *const rung_names[] = {
    [DRV_RUNG_NONE] = "none",          [DRV_RUNG_NEAR] = "near",         [DRV_RUNG_ALLOW] = "allow",
    [DRV_RUNG_PAUSE] = "pause",        [DRV_RUNG_THROTTLE] = "throttle", [DRV_RUNG_RESTART] = "restart",
    [DRV_RUNG_HANDOVER] = "post-copy", [DRV_RUNG_END] = "end",
};
G_STATIC_ASSERT(G_N_ELEMENTS(rung_names) == DRV_RUNGS);

drv_method drv_method_from_name(const char *name)
{
    guint method = 0;

    while (method < DRV_METHODS && g_strcmp0(name, method_names[method]) != 0)
        method++;
    return (drv_method)method;
}

const char *drv_rung_name(drv_rung rung)
{
    return rung_names[rung];
}

static drv_rung say(drv_ladder *ladder, drv_rung rung, const char *fmt, ...) G_GNUC_PRINTF(3, 4);

static drv_rung say(drv_ladder *ladder, drv_rung rung, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    g_vsnprintf(ladder->why, sizeof ladder->why, fmt, args);
    va_end(args);
    ladder->over |= rung == DRV_RUNG_RESTART || rung == DRV_RUNG_HANDOVER || rung == DRV_RUNG_END;
    return rung;
}

static double mib(guint64 bytes)
{
    return (double)bytes / (1 << 20);
}

void drv_ladder_begin(drv_ladder *ladder, const drv_ladder_goals *goals, gint64 began_ms, gint64 now_ms)
{
    *ladder = (drv_ladder){.goals = *goals,
                           .began_ms = began_ms,
                           .allowed_ms = MIN(goals->max_pause_ms, DRV_LADDER_START_MS),
                           .set_ms = MIN(goals->max_pause_ms, DRV_LADDER_AFAR_MS),
                           .changed_ms = now_ms,
                           .least_ms = now_ms,
                           .post_copy = goals->method == DRV_METHOD_POST_COPY || goals->method == DRV_METHOD_HYBRID};
}

void drv_ladder_again(drv_ladder *ladder, gint64 now_ms)
{
    drv_ladder_goals goals = ladder->goals;
    gint64 began_ms = ladder->began_ms;

    goals.method = DRV_METHOD_HYBRID;
    drv_ladder_begin(ladder, &goals, began_ms, now_ms);
}

void drv_ladder_retry(drv_ladder *ladder)
{
    ladder->over = FALSE;
}

/* A round has begun: is what remains still falling? */
static void note_round(drv_ladder *ladder, const drv_job_stats *stats, gint64 now_ms)
{
    guint64 bytes = stats->memory_remaining_bytes;

    if (!ladder->least_bytes || (double)bytes < NOTICEABLE * (double)ladder->least_bytes) {
        ladder->least_ms = now_ms;
        ladder->rounds_since = 0;
    } else {
        ladder->rounds_since += stats->rounds - ladder->rounds;
    }
    if (!ladder->least_bytes || bytes < ladder->least_bytes)
        ladder->least_bytes = bytes;
}

/* Bytes a second at which the last pages would go. */
static guint64 last_bps(const drv_ladder *ladder, const drv_job_stats *stats)
{
    return ladder->fresh_bps ? ladder->fresh_bps : stats->memory_bps;
}

static gboolean shrinks(const drv_ladder *ladder)
{
    return ladder->last_bytes && (double)ladder->round_bytes < SHRINKS * (double)ladder->last_bytes;
}

/* Could QEMU switch if it were allowed to? Pacing costs time as long as it could not. */
static gboolean is_near(const drv_ladder *ladder, const drv_job_stats *stats)
{
    double second = (double)last_bps(ladder, stats);

    if (stats->rounds < SETTLED_ROUNDS - 1)
        return FALSE;
    return (double)ladder->round_bytes * 1000 <= second * NEAR_MS ||
           (stats->rounds > SETTLED_ROUNDS && !shrinks(ladder)) || stats->rounds >= NEAR_ROUNDS;
}

/* First the relay is to pace QEMU, then QEMU may use the pause. */
static drv_rung approach(drv_ladder *ladder, const drv_job_stats *stats, gint64 now_ms)
{
    if (!ladder->near) {
        if (!is_near(ladder, stats))
            return DRV_RUNG_NONE;
        ladder->near = TRUE;
        ladder->near_ms = now_ms;
        return say(ladder, DRV_RUNG_NEAR,
                   "round %" G_GUINT64_FORMAT " began with %.1f MiB to send, of which %.1f MiB/s go", stats->rounds,
                   mib(ladder->round_bytes), mib(last_bps(ladder, stats)));
    }
    if (now_ms - ladder->near_ms < PACED_MS)
        return DRV_RUNG_NONE;
    ladder->set_ms = ladder->allowed_ms;
    ladder->changed_ms = now_ms;
    if (!ladder->last_bytes || shrinks(ladder)) /* else it will not do anyway */
        ladder->widened_rounds = stats->rounds;
    return say(ladder, DRV_RUNG_ALLOW, "%u ms allowed", ladder->allowed_ms);
}

/*
 * Bytes a second that would go if there were enough to send. Where a move never fills its link, as that of a VM
 * which the target knows does, the relay cannot say; then as many as the link is known for, if
 * so many have gone in this move.
 */
static guint64 going_bps(const drv_ladder *ladder)
{
    return ladder->fresh_bps ? ladder->fresh_bps : MIN(ladder->link_bps, ladder->peak_bps);
}

/*
 * In short rounds QEMU hardly sends, and takes the little that went in its last 100 ms for all that goes:
 * it expects a long pause where what remains would go in a short one, and makes round after round. It
 * is allowed so much more as it is wrong by.
 */
static drv_rung correct(drv_ladder *ladder, const drv_job_stats *stats, gint64 now_ms)
{
    double fresh = (double)going_bps(ladder), seen = (double)stats->memory_bps;
    double most_ms = (double)ladder->goals.max_pause_ms, wanted_ms;

    if (!seen || (double)ladder->round_bytes * 1000 > fresh * ladder->allowed_ms)
        return DRV_RUNG_NONE;
    wanted_ms = MIN(ladder->allowed_ms * MIN(fresh / seen, MOST_CORRECTED), most_ms);
    if (wanted_ms < CORRECTS * ladder->set_ms)
        return DRV_RUNG_NONE;
    ladder->set_ms = (guint)wanted_ms;
    ladder->changed_ms = now_ms;
    return say(ladder, DRV_RUNG_ALLOW,
               "round %" G_GUINT64_FORMAT " began with %.1f MiB to send, of which %.1f MiB/s go; QEMU "
               "reckons with %.1f: for %u ms it is allowed %u",
               stats->rounds, mib(ladder->round_bytes), mib(going_bps(ladder)), mib(stats->memory_bps),
               ladder->allowed_ms, ladder->set_ms);
}

/* It shrinks, but not even the whole pause would be enough yet: a longer one now would only be used up. */
static gboolean is_far(const drv_ladder *ladder, const drv_job_stats *stats)
{
    double most_bytes = (double)last_bps(ladder, stats) * (double)ladder->goals.max_pause_ms / 1000.0;

    return shrinks(ladder) && (double)ladder->round_bytes > FAR * most_bytes;
}

/* Half as much again while it shrinks; else what it would need, since rounds alone will not do. */
static drv_rung widen(drv_ladder *ladder, const drv_job_stats *stats, gint64 now_ms)
{
    guint64 bytes = ladder->round_bytes;
    guint allowed_ms = ladder->allowed_ms + (ladder->allowed_ms + 1) / 2;
    guint64 bps = last_bps(ladder, stats);

    if (!shrinks(ladder) && bps) {
        double needed_ms = MARGIN * 1000.0 * (double)bytes / (double)bps;

        allowed_ms = MAX(allowed_ms, (guint)MIN(needed_ms, (double)ladder->goals.max_pause_ms));
    }
    ladder->allowed_ms = MIN(allowed_ms, ladder->goals.max_pause_ms);
    ladder->set_ms = MAX(ladder->set_ms, ladder->allowed_ms);
    ladder->changed_ms = now_ms;
    ladder->widened_rounds = stats->rounds;
    return say(ladder, DRV_RUNG_PAUSE,
               "round %" G_GUINT64_FORMAT " began with %.1f MiB to send at %.1f MiB/s, while the "
               "guest dirties %.1f MiB/s: %u ms allowed",
               stats->rounds, mib(bytes), mib(bps), mib(stats->dirty_rate_bps), ladder->allowed_ms);
}

static drv_rung give_up(drv_ladder *ladder, const drv_job_stats *stats, const char *because)
{
    if (ladder->goals.may_post_copy)
        return say(ladder, DRV_RUNG_RESTART,
                   "%s: the guest dirties %.1f MiB/s and %.1f MiB/s are sent; post-copy is allowed, "
                   "so the copy begins again with it",
                   because, mib(stats->dirty_rate_bps), mib(stats->memory_bps));
    return say(ladder, DRV_RUNG_END, "%s: the guest dirties %.1f MiB/s and %.1f MiB/s are sent", because,
               mib(stats->dirty_rate_bps), mib(stats->memory_bps));
}

/* With post-copy: the end is only a matter of when to hand over. */
static drv_rung hand_over(drv_ladder *ladder, const drv_job_stats *stats, gint64 now_ms)
{
    guint64 max_time_ms = ladder->goals.max_time_ms;

    if (!stats->memory_total_bytes)
        return DRV_RUNG_NONE; /* disks first */
    if (ladder->goals.method == DRV_METHOD_POST_COPY)
        return say(ladder, DRV_RUNG_HANDOVER, "asked for: handed over at once");
    if (stats->rounds >= 2)
        return say(ladder, DRV_RUNG_HANDOVER, "one pass is through: handed over");
    if (max_time_ms && now_ms - ladder->began_ms >= (gint64)max_time_ms)
        return say(ladder, DRV_RUNG_HANDOVER, "the time allowed is up: handed over now");
    return DRV_RUNG_NONE;
}

static drv_rung check_time(drv_ladder *ladder, const drv_job_stats *stats, gint64 now_ms)
{
    guint64 limit_ms = ladder->goals.max_time_ms;
    char because[80];

    if (ladder->goals.may_post_copy)
        limit_ms /= POST_COPY_SHARE;
    if (!limit_ms || now_ms - ladder->began_ms < (gint64)limit_ms)
        return DRV_RUNG_NONE;
    g_snprintf(because, sizeof because, "%s of the %.1f s allowed %s over",
               ladder->goals.may_post_copy ? "half" : "all", (double)ladder->goals.max_time_ms / 1000.0,
               ladder->goals.may_post_copy ? "is" : "are");
    return give_up(ladder, stats, because);
}

static drv_rung check_stall(drv_ladder *ladder, const drv_job_stats *stats, gint64 now_ms)
{
    gint64 patience_ms = ladder->goals.may_post_copy ? STALL_BEFORE_POST_COPY_MS : STALL_MS;
    char because[120];

    if (ladder->allowed_ms < ladder->goals.max_pause_ms || ladder->rounds_since < STALL_ROUNDS ||
        now_ms - ladder->least_ms < patience_ms)
        return DRV_RUNG_NONE;
    g_snprintf(because, sizeof because,
               "what remains has not fallen below %.1f MiB for %" G_GINT64_FORMAT " s (throttled by %u %%)",
               mib(ladder->least_bytes), (now_ms - ladder->least_ms) / 1000, stats->throttle_percent);
    return give_up(ladder, stats, because);
}

drv_rung drv_ladder_next(drv_ladder *ladder, const drv_job_stats *stats, gint64 now_ms)
{
    drv_rung rung;

    if (ladder->over || !stats->active || stats->switching || stats->post_copy)
        return DRV_RUNG_NONE;
    ladder->peak_bps = MAX(ladder->peak_bps, stats->memory_bps);
    if (ladder->post_copy)
        return hand_over(ladder, stats, now_ms);

    rung = check_time(ladder, stats, now_ms);
    if (rung)
        return rung;
    if (stats->rounds > ladder->rounds) {
        ladder->last_bytes = ladder->round_bytes;
        ladder->round_bytes = stats->memory_remaining_bytes;
        if (stats->rounds >= SETTLED_ROUNDS)
            note_round(ladder, stats, now_ms);
        ladder->rounds = stats->rounds;
    }
    if (ladder->set_ms < ladder->allowed_ms) {
        rung = approach(ladder, stats, now_ms);
        if (rung)
            return rung;
    } else if (ladder->near) {
        rung = correct(ladder, stats, now_ms);
        if (rung)
            return rung;
    }
    /* One that comes too soon after a change is looked at again. */
    if (stats->rounds >= SETTLED_ROUNDS && stats->rounds > ladder->widened_rounds &&
        ladder->set_ms >= ladder->allowed_ms && ladder->allowed_ms < ladder->goals.max_pause_ms &&
        now_ms - ladder->changed_ms >= LEAST_INTERVAL_MS && !is_far(ladder, stats))
        return widen(ladder, stats, now_ms);
    if (stats->throttle_percent > ladder->throttle_percent) {
        ladder->throttle_percent = stats->throttle_percent;
        /* While QEMU throttles harder and harder there is hope; with post-copy it is not waited for. */
        if (!ladder->goals.may_post_copy && stats->throttle_percent <= HOPEFUL_PERCENT) {
            ladder->least_ms = now_ms;
            ladder->rounds_since = 0;
        }
        return say(ladder, DRV_RUNG_THROTTLE,
                   "the guest dirtied more than half of what two rounds sent: it is kept from "
                   "running for %u %% of its time",
                   stats->throttle_percent);
    }
    return check_stall(ladder, stats, now_ms);
}
