/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The receiving half of a stream: a ring of fixed size that takes pieces in any order
 * and gives the bytes back in order. What may arrive is bounded by the credit that was
 * granted, and the credit never exceeds the ring, so nothing is ever allocated or lost.
 *
 *     delivered ≤ contiguous ≤ limit ≤ delivered + size
 *
 * [delivered, contiguous) is there; beyond it a bitmap (a bit a byte) says what is.
 * No locks, no I/O: the owner of the stream locks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct drv_window {
    uint8_t *ring;
    uint64_t *map;       /* size / 64 words */
    size_t size;         /* a power of two, at least 64 */
    uint64_t delivered;  /* given back so far */
    uint64_t contiguous; /* arrived without a gap so far */
    uint64_t limit;      /* may arrive: exclusive */
    uint64_t ahead;      /* bytes that have arrived beyond contiguous */
};

/** drv_window_init() - @size bytes. Return: 0, -EINVAL or -ENOMEM. */
int drv_window_init(struct drv_window *window, size_t size, struct drv_error *err);

/** drv_window_done() - free; a zeroed window is allowed. */
void drv_window_done(struct drv_window *window);

/** drv_window_memory() - bytes that a window of this size takes. */
size_t drv_window_memory(size_t size);

/**
 * drv_window_reserve() - [offset, offset + size) arrives now.
 *
 * Return: 0, or -EPROTO when it is beyond the credit or has been sent before. The
 * bytes count as arrived: the caller either writes them into the ring with
 * drv_window_fill() or, when they are the next to be delivered, elsewhere.
 */
int drv_window_reserve(struct drv_window *window, uint64_t offset, size_t size, struct drv_error *err);

/** drv_window_fill() - copy reserved bytes into the ring. */
void drv_window_fill(struct drv_window *window, uint64_t offset, const void *bytes, size_t size);

/** drv_window_peek() - the next bytes to deliver, as many as lie in one piece from @from on. */
size_t drv_window_peek(const struct drv_window *window, uint64_t from, const uint8_t **bytes);

/** drv_window_take() - @size bytes have been delivered. */
void drv_window_take(struct drv_window *window, size_t size);

/** drv_window_grant() - raise the limit. Return: is it worth telling the other side? */
bool drv_window_grant(struct drv_window *window);
