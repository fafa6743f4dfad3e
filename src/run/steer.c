/* SPDX-License-Identifier: Apache-2.0 */
/* Widening the allowed pause: see steer.h. */
#include "run/steer.h"

/* The first pass and the one after it say nothing about convergence. */
#define SETTLED_ROUNDS 3
/* QEMU looks every 100 ms whether it may switch: give a new limit the time to be tried. */
#define LEAST_INTERVAL_MS 300

guint drv_steer_begin(drv_steer *steer, guint limit_ms, gint64 now_ms)
{
    *steer = (drv_steer){.limit_ms = limit_ms,
                         .allowed_ms = MIN(limit_ms, DRV_STEER_START_MS),
                         .changed_ms = now_ms};
    return steer->allowed_ms;
}

guint drv_steer_next(drv_steer *steer, const drv_job_stats *stats, gint64 now_ms)
{
    if (steer->allowed_ms >= steer->limit_ms || stats->rounds < SETTLED_ROUNDS ||
        stats->rounds <= steer->rounds || now_ms - steer->changed_ms < LEAST_INTERVAL_MS)
        return 0;
    steer->allowed_ms = MIN(steer->allowed_ms + (steer->allowed_ms + 1) / 2, steer->limit_ms);
    steer->rounds = stats->rounds;
    steer->changed_ms = now_ms;
    return steer->allowed_ms;
}
