/* SPDX-License-Identifier: Apache-2.0 */
/* What has to go so that the store keeps within its caps: a pure function. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct drv_evict_item {
    uint64_t bytes;
    int64_t used_ms; /* real time of the last use; a pack is used when it is made, too */
    int64_t created_ms;
    bool keep; /* room for it was promised: it counts, but it stays */
    bool goes; /* receives the verdict */
};

/**
 * drv_evict() - what has not been used for longer than @age_ms goes, and then what was used longest
 * ago, the older first, until no more than @most_bytes are left.
 * Return: bytes that are left.
 */
uint64_t drv_evict(struct drv_evict_item *item, size_t count, uint64_t most_bytes, int64_t age_ms, int64_t now_ms);
