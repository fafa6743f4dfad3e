/* SPDX-License-Identifier: Apache-2.0 */
/* What has to go: see evict.h. */
#include "pack/evict.h"

static bool goes_before(const struct drv_evict_item *one, const struct drv_evict_item *other)
{
    if (one->used_ms != other->used_ms)
        return one->used_ms < other->used_ms;
    return one->created_ms < other->created_ms;
}

uint64_t drv_evict(struct drv_evict_item *item, size_t count, uint64_t most_bytes, int64_t age_ms, int64_t now_ms)
{
    uint64_t left = 0;

    for (size_t i = 0; i < count; i++) {
        item[i].goes = !item[i].keep && now_ms - item[i].used_ms > age_ms;
        left += item[i].goes ? 0 : item[i].bytes;
    }
    while (left > most_bytes) {
        struct drv_evict_item *first = NULL;

        for (size_t i = 0; i < count; i++)
            if (!item[i].keep && !item[i].goes && (!first || goes_before(&item[i], first)))
                first = &item[i];
        if (!first)
            break;
        first->goes = true;
        left -= first->bytes;
    }
    return left;
}
