/* SPDX-License-Identifier: Apache-2.0 */
/* How fast QEMU may write when it is about to stop the guest: see pace.h. */
#include "relay/pace.h"

#define LOOK_US 100000
/* What may be queued beyond what the path holds; all senders' batches together. */
#define QUEUE_US 8000
#define QUEUE_MIN ((uint64_t)32 * 1024)
#define HELD_US 8000
/* Both, when the guest waits for pages. */
#define HURRY_US 2000
#define HURRY_MIN ((uint64_t)8 * 1024)
/* Senders that were blocked for so much of the time had a link that was full. */
#define FULL_SHARE 4
/* What may come at once: QEMU's socket holds more. And what a batch may have. */
#define AHEAD_US 10000
#define BATCH_US 5000
#define BATCH_MIN ((size_t)32 * 1024)

void drv_pace_near(struct drv_pace *pace)
{
    atomic_store(&pace->near, true);
}

void drv_pace_sent(struct drv_pace *pace, size_t bytes, uint64_t blocked_us)
{
    atomic_fetch_add(&pace->sent_bytes, bytes);
    atomic_fetch_add(&pace->blocked_us, blocked_us);
}

static void look_at_link(struct drv_pace *pace, uint64_t passed_us, unsigned senders)
{
    uint64_t bps = atomic_exchange(&pace->sent_bytes, 0) * 1000000 / passed_us;
    uint64_t blocked_us = atomic_exchange(&pace->blocked_us, 0);
    uint64_t before = atomic_load(&pace->link_bps);

    if (blocked_us >= passed_us * senders / FULL_SHARE)
        atomic_store(&pace->link_bps, before ? (before + bps) / 2 : bps);
    else if (before && bps > before)
        atomic_store(&pace->link_bps, bps);
}

void drv_pace_look(struct drv_pace *pace, int64_t now_us, unsigned senders, const struct drv_encoder_copy *copy)
{
    int64_t passed_us = now_us - pace->looked_us;
    uint64_t fresh_bps = 0, link_bps;

    if (passed_us < LOOK_US)
        return;
    if (pace->looked_us)
        look_at_link(pace, (uint64_t)passed_us, senders);
    pace->looked_us = now_us;
    link_bps = atomic_load(&pace->link_bps);
    if (link_bps && copy->fresh_encoded_bytes)
        fresh_bps = (uint64_t)((double)link_bps * (double)copy->fresh_bytes / (double)copy->fresh_encoded_bytes);
    atomic_store(&pace->fresh_bps, fresh_bps);
}

int64_t drv_pace_queue_us(uint64_t link_bps, unsigned senders, uint64_t queued_bytes, uint32_t min_rtt_us,
                          enum drv_pace_when when)
{
    bool hurry = when == DRV_PACE_HURRY;
    uint64_t share_bps = link_bps / senders, least = hurry ? HURRY_MIN : QUEUE_MIN;
    uint64_t beyond_us = hurry ? HURRY_US : QUEUE_US;
    /* More than the path was seen to hold: else it would never be seen to hold more. */
    uint64_t path_us = (uint64_t)min_rtt_us * (when == DRV_PACE_FAR ? 8 : 5) / 4;
    uint64_t most = share_bps * (beyond_us + path_us) / 1000000;

    if (most < least)
        most = least;
    if (!share_bps || queued_bytes <= most)
        return 0;
    return (int64_t)((queued_bytes - most) * 1000000 / share_bps) + 1;
}

size_t drv_pace_batch(const struct drv_pace *pace, unsigned senders)
{
    uint64_t link_bps = atomic_load(&pace->link_bps);

    uint64_t held_us = atomic_load(&pace->hurry) ? HURRY_US : HELD_US;

    return link_bps ? (size_t)(link_bps * held_us / 1000000 / senders) : SIZE_MAX;
}

int64_t drv_pace_wait_us(const struct drv_pace *pace, int64_t now_us, bool stopped, size_t *enough)
{
    uint64_t bps = atomic_load(&pace->fresh_bps);
    size_t batch = (size_t)(bps * BATCH_US / 1000000);

    *enough = SIZE_MAX;
    if (!bps || stopped || !atomic_load(&pace->near))
        return 0;
    *enough = batch > BATCH_MIN ? batch : BATCH_MIN;
    return pace->due_us > now_us + AHEAD_US ? pace->due_us - now_us - AHEAD_US : 0;
}

void drv_pace_read(struct drv_pace *pace, int64_t now_us, size_t raw)
{
    uint64_t bps = atomic_load(&pace->fresh_bps);

    if (!bps || !atomic_load(&pace->near))
        return;
    if (pace->due_us < now_us)
        pace->due_us = now_us;
    pace->due_us += (int64_t)(raw * UINT64_C(1000000) / bps);
}
