/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much may be under way, and how fast QEMU may write when it is about to stop the guest.
 *
 * Bytes that TCP holds are bytes that QEMU believes to be at the target, and that the last pages have
 * to wait for. So nothing more is read for a link as long as more is queued on it, sent but not
 * acknowledged included, than its path holds and goes in 8 ms; in 2 ms once the guest runs at the
 * target and waits for pages that it asks for. As long as the switch is far off the path may hold twice
 * what was seen: a connection that has lost packets on a long way would else hold up the others.
 *
 * QEMU takes what it could write in 100 ms for the link's bandwidth, and stops the guest when
 * what remains would go at that rate within the allowed pause. Pages that cost next to nothing on
 * the link make it believe in a link that the pages which the guest has just written, the ones that
 * remain, do not find. So from when droverd says that the switch is near until QEMU has stopped the
 * guest, the stream is read no faster than such pages would go: the link's rate times what a byte on
 * the link stands for in them.
 *
 * The link's rate is what went over it while senders were blocked for a good part of the time. If
 * they never are, there is nothing to fear, and nothing is bounded or paced.
 *
 * Threads: drv_pace_sent() is any sender's, drv_pace_near() anyone's; the rest belongs to who
 * reads the stream.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/codec/encoder.h"

/* How near the switch is. */
enum drv_pace_when {
    DRV_PACE_FAR,
    DRV_PACE_NEAR,
    DRV_PACE_HURRY, /* the guest runs at the target, and waits for pages */
};

struct drv_pace {
    _Atomic bool near;
    _Atomic bool hurry;         /* post-copy */
    _Atomic uint64_t fresh_bps; /* bytes of the channel a second that such pages would go at; 0: not known */
    _Atomic uint64_t sent_bytes, blocked_us; /* since the last look */
    _Atomic uint64_t link_bps;               /* bytes a second, of all links together; 0: not known */
    int64_t looked_us;
    int64_t due_us; /* when all that was read would have gone */
};

/** drv_pace_near() - QEMU may stop the guest soon: from now on. */
void drv_pace_near(struct drv_pace *pace);

/** drv_pace_sent() - @bytes have gone, for which the sender was blocked so long. */
void drv_pace_sent(struct drv_pace *pace, size_t bytes, uint64_t blocked_us);

/** drv_pace_look() - before a batch: how fast is the link? @senders: how many there are. */
void drv_pace_look(struct drv_pace *pace, int64_t now_us, unsigned senders, const struct drv_encoder_copy *copy);

/**
 * drv_pace_queue_us() - how long until a link may take more.
 * @link_bps:     of all links together; 0: not known
 * @queued_bytes: on this one, not acknowledged
 * @min_rtt_us:   the least round trip that it has seen
 * Return: 0: now
 */
int64_t drv_pace_queue_us(uint64_t link_bps, unsigned senders, uint64_t queued_bytes, uint32_t min_rtt_us,
                          enum drv_pace_when when);

/**
 * drv_pace_batch() - bytes that a batch should have at most, compressed; SIZE_MAX: no limit.
 */
size_t drv_pace_batch(const struct drv_pace *pace, unsigned senders);

/**
 * drv_pace_wait_us() - how long to wait before the next batch is read; 0: read it.
 * @enough: receives how many bytes make it full, but for the rest of a page; SIZE_MAX: no limit
 */
int64_t drv_pace_wait_us(const struct drv_pace *pace, int64_t now_us, bool stopped, size_t *enough);

/** drv_pace_read() - a batch of @raw bytes of the channel was read. */
void drv_pace_read(struct drv_pace *pace, int64_t now_us, size_t raw);
