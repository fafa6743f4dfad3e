/* SPDX-License-Identifier: Apache-2.0 */
/* Progress for people: see progress.h. */
#include "move/progress.h"

#include "plan/remaining.h"

/* Weight of the newest sample of the rate. */
#define NEWEST 0.3
/* Before that much has gone a rate says nothing: handshakes, headers. */
#define TELLING_BYTES (G_GUINT64_CONSTANT(4) << 20)
/* A rate that is younger than this says nothing about the rest. */
#define LEAST_OBSERVED_MS 1000
/* Farther ahead nobody can see: the link stalls. */
#define FORESEEABLE_MS (24.0 * 3600 * 1000)
/* A new mind about the end is half taken on after so long. */
#define NEW_MIND_MS 1000.0
/* The last hundredth belongs to the hand-over. */
#define MOST_WHILE_COPYING 99.0

static void update_rate(drv_progress *progress, const struct drv_relay_status *relay, gint64 now_ms)
{
    guint64 bytes = relay->channel[DRV_CHANNEL_RAM].local_in_bytes + relay->channel[DRV_CHANNEL_DISK].local_in_bytes;
    gint64 passed_ms = now_ms - progress->seen_ms;

    if (progress->seen_ms && passed_ms > 0 && bytes >= progress->seen_bytes) {
        double sample = (double)(bytes - progress->seen_bytes) * 1000.0 / (double)passed_ms;

        progress->rate_bps = progress->rate_bps > 0 && progress->seen_bytes >= TELLING_BYTES
                                 ? (1 - NEWEST) * progress->rate_bps + NEWEST * sample
                                 : sample;
    }
    progress->seen_bytes = bytes;
    progress->seen_ms = now_ms;
}

static void update_percent(drv_progress *progress, const drv_job_stats *stats, guint64 memory_total,
                           guint64 memory_left)
{
    double all = (double)(stats->disk_total_bytes + memory_total);
    double left = (double)(stats->disk_remaining_bytes + memory_left);
    double percent = all > 0 && left <= all ? (all - left) / all * 100.0 : 0;

    progress->percent = MAX(progress->percent, MIN(percent, MOST_WHILE_COPYING));
}

/*
 * What is left at the rate at which it shrinks: disks at the rate, memory at the rate
 * less what the guest dirties meanwhile. -1: it does not shrink, or nothing is known.
 */
static gint64 simple_ms(const drv_progress *progress, const drv_job_stats *stats, guint64 memory_left)
{
    double shrink_bps = progress->rate_bps - (double)stats->dirty_rate_bps;
    double ms;

    if (progress->seen_bytes < TELLING_BYTES || progress->rate_bps <= 0 || (memory_left && shrink_bps <= 0))
        return -1;
    ms = ((double)stats->disk_remaining_bytes / progress->rate_bps +
          (memory_left ? (double)memory_left / shrink_bps : 0)) *
         1000.0;
    return ms <= FORESEEABLE_MS ? (gint64)ms : -1;
}

static void note_round(drv_progress *progress, const drv_job_stats *stats, const struct drv_relay_status *relay,
                       gint64 now_ms)
{
    const struct drv_relay_channel_counters *ram = &relay->channel[DRV_CHANNEL_RAM];

    if (!progress->wire_ms && ram->local_in_bytes >= TELLING_BYTES / 16) {
        progress->wire_ms = now_ms;
        progress->wire_bytes = ram->coded_bytes;
    }
    if (stats->rounds > progress->rounds || !progress->round_ms) {
        progress->rounds = stats->rounds;
        progress->round_ms = now_ms;
    }
}

/* The estimate, fitted to what the move has shown so far. */
static gint64 fitted_ms(const drv_progress *progress, const drv_job_stats *stats, const struct drv_relay_status *relay,
                        gint64 now_ms)
{
    drv_estimate_input in = *progress->expected;
    const struct drv_relay_channel_counters *ram = &relay->channel[DRV_CHANNEL_RAM];
    const drv_estimate_now now = {.round_s = (double)(now_ms - progress->round_ms) / 1000,
                                  .rounds = (guint)progress->rounds,
                                  .left_bytes = stats->memory_total_bytes ? stats->memory_remaining_bytes
                                                                          : progress->memory_bytes,
                                  .disk_left_bytes = stats->disk_remaining_bytes,
                                  .memory_total_bytes = stats->memory_total_bytes,
                                  .wire_bytes = ram->coded_bytes,
                                  .timed_bytes = ram->coded_bytes - MIN(progress->wire_bytes, ram->coded_bytes),
                                  .timed_s = progress->wire_ms ? (double)(now_ms - progress->wire_ms) / 1000 : 0,
                                  .link_bps = relay->link_bps,
                                  .throttle_percent = stats->throttle_percent};

    /* What QEMU counts over a round is a window like the others, and a newer one. */
    if (stats->dirty_rate_bps && in.window_count < DRV_ESTIMATE_WINDOWS)
        in.windows[in.window_count++] = (drv_dirty_window){.seconds = 1, .bytes = stats->dirty_rate_bps};
    return drv_plan_remaining_ms(&in, &now);
}

/*
 * What is shown: the end comes nearer as time passes; a new mind about it is taken on bit by bit, so that
 * one odd sample makes nothing jump.
 */
static gint64 remaining_ms(drv_progress *progress, const drv_job_stats *stats, const struct drv_relay_status *relay,
                           guint64 memory_left, gint64 now_ms)
{
    gint64 left_ms =
        progress->expected ? fitted_ms(progress, stats, relay, now_ms) : simple_ms(progress, stats, memory_left);
    double passed_ms = (double)(now_ms - progress->fitted_ms);
    gint64 end_ms = now_ms + left_ms;

    if (left_ms < 0 || left_ms > FORESEEABLE_MS) {
        progress->end_ms = 0;
        return -1;
    }
    if (progress->expected && progress->end_ms)
        end_ms =
            progress->end_ms + (gint64)(passed_ms / (passed_ms + NEW_MIND_MS) * (double)(end_ms - progress->end_ms));
    progress->end_ms = end_ms;
    progress->fitted_ms = now_ms;
    return MAX(end_ms - now_ms, 0);
}

json_object *drv_progress_update(drv_progress *progress, drv_state state, const drv_job_stats *stats,
                                 const struct drv_relay_status *relay, gint64 now_ms)
{
    json_object *object = json_object_new_object();
    guint64 memory_total = stats->memory_total_bytes ? stats->memory_total_bytes : progress->memory_bytes;
    guint64 memory_left = stats->memory_total_bytes ? stats->memory_remaining_bytes : memory_total;
    gint64 left_ms;

    /* Disks are read, memory is at hand: a rate of one phase says nothing about the next. */
    if (progress->phase != state || !progress->phase_ms) {
        progress->phase = state;
        progress->phase_ms = now_ms;
        progress->rate_bps = 0;
    }
    update_rate(progress, relay, now_ms);
    if (state == DRV_STATE_DONE)
        progress->percent = 100;
    else if (stats->active)
        update_percent(progress, stats, memory_total, memory_left);
    note_round(progress, stats, relay, now_ms);
    left_ms = remaining_ms(progress, stats, relay, memory_left, now_ms);

    drv_json_set_string(object, "phase", drv_state_get(state)->phase);
    drv_json_set(object, "percent", json_object_new_double((int)(progress->percent * 10) / 10.0));
    drv_json_set_int(object, "rate_bps", (gint64)progress->rate_bps);
    drv_json_set_int(object, "dirty_rate_bps", (gint64)stats->dirty_rate_bps);
    if (!stats->active || drv_state_get(state)->ended)
        left_ms = -1;
    drv_json_set(object, "remaining_ms", left_ms >= 0 ? json_object_new_int64(left_ms) : NULL);
    drv_json_set_int(object, "memory_remaining_bytes", (gint64)memory_left);
    drv_json_set_int(object, "disk_remaining_bytes", (gint64)stats->disk_remaining_bytes);
    drv_json_set_int(object, "rounds", (gint64)stats->rounds);
    drv_json_set_int(object, "wire_bytes", (gint64)(relay->wire_out_bytes + relay->wire_in_bytes));
    return object;
}
