/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of the pages that the guest is writing: how many bytes of the channel a byte of
 * records stands for. Pages that were sent before and have changed since count; as long as there
 * are none, all that were sent as they are. In the stopped guest's last round it is they that decide
 * how long the pause is. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct drv_fresh {
    bool rewritten;               /* there was a page that has changed since it was sent */
    uint64_t raw, encoded;        /* bytes of the channel, and of records; older ones count less */
    size_t batch_raw, batch_body; /* of the batch at hand: the latter before zstd */
};

/** drv_fresh_page() - a page with new content became @size bytes. @first_round: none came twice yet. */
void drv_fresh_page(struct drv_fresh *fresh, bool first_round, size_t size);

/**
 * drv_fresh_take() - the batch is closed.
 * @raw, @body: receive what it has of such pages: bytes of the channel, and of its record before zstd
 */
void drv_fresh_take(struct drv_fresh *fresh, size_t *raw, size_t *body);

/** drv_fresh_add() - such pages of a batch, @raw bytes of the channel, became @encoded bytes. */
void drv_fresh_add(struct drv_fresh *fresh, uint64_t raw, uint64_t encoded);
