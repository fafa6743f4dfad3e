/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pages that both ends of a stream hold: a ring of fixed size. A page that was sent as
 * a literal or as a delta takes the next place and the oldest one makes room, at both ends by
 * the same rule, so that a page's number means the same content at both.
 *
 * A ring that is *kept* is one that other streams may refer to: nothing in it makes room, and when it
 * is full nothing more is remembered. Then a page that is there stays, and is never written again, so that
 * other threads may read those below `shared` without a lock.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "relay/codec/span.h"

struct drv_cache {
    uint8_t *page;
    size_t pages;  /* places; 0: it holds nothing */
    uint64_t next; /* number of the next page */
    bool kept;     /* a page that is there stays there */
    /* Kept: pages below it may be referred to by other streams; it never goes back. */
    _Atomic uint64_t shared;
};

/** drv_cache_init() - @pages may be 0. Return: 0 or -ENOMEM. */
int drv_cache_init(struct drv_cache *cache, size_t pages, struct drv_error *err);

/** drv_cache_clear() - forget all. */
void drv_cache_clear(struct drv_cache *cache);

/** drv_cache_done() - free; a zeroed cache is allowed. */
void drv_cache_done(struct drv_cache *cache);

/** drv_cache_get() - the page that was added @back pages before the last one, or NULL. */
static inline const uint8_t *drv_cache_get(const struct drv_cache *cache, uint64_t back)
{
    if (back >= cache->pages || back >= cache->next)
        return NULL;
    return cache->page + (size_t)((cache->next - 1 - back) % cache->pages) * DRV_PAGE_SIZE;
}

/** drv_cache_shared() - a kept page that other streams may refer to, or NULL. Any thread. */
static inline const uint8_t *drv_cache_shared(const struct drv_cache *cache, uint64_t number)
{
    if (number >= atomic_load_explicit(&cache->shared, memory_order_acquire))
        return NULL;
    return cache->page + (size_t)number * DRV_PAGE_SIZE;
}

/**
 * drv_cache_add() - the place of the next page, to be written by the caller; NULL: there is none.
 * A page that drv_cache_get() has returned may be the one that makes room.
 */
static inline uint8_t *drv_cache_add(struct drv_cache *cache)
{
    if (!cache->pages || (cache->kept && cache->next >= cache->pages))
        return NULL;
    return cache->page + (size_t)(cache->next++ % cache->pages) * DRV_PAGE_SIZE;
}
