/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pages that both ends of a stream hold: a ring of fixed size. A page that was sent as
 * a literal or as a delta takes the next place and the oldest one makes room, at both ends by
 * the same rule, so that a page's number means the same content at both.
 *
 * It may begin with pages of earlier sessions, which both ends have agreed on: the first
 * `known` numbers. They stay, and what is new goes round in the rest: a guest comes in the order of its
 * addresses, and if its earlier pages could be pushed out, those of one that is larger than the ring all would be,
 * each just before its turn. How often they served is counted by segment.
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
    size_t pages;                  /* places; 0: it holds nothing */
    uint64_t next;                 /* number of the next page */
    uint64_t *address;             /* of each place: where the page was, without its block; for later sessions */
    uint64_t known;                /* pages below this number are of earlier sessions; fewer than `pages` */
    uint32_t *served;              /* by number / DRV_CACHE_SEGMENT: how often a page below `known` was used */
    _Atomic uint64_t served_pages; /* in all; any thread may read it */
    bool kept;                     /* a page that is there stays there */
    /* Kept: pages below it may be referred to by other streams; it never goes back. */
    _Atomic uint64_t shared;
    /* Pages below it are written, those that follow are being written: for drv_cache_copy(). */
    _Atomic uint64_t written;
};

#define DRV_CACHE_SEGMENT 256u
#define DRV_CACHE_UNDER_WAY 256u /* pages that are added at most between two drv_cache_publish() */

/** drv_cache_publish() - all pages that were added are written. Who writes them. */
static inline void drv_cache_publish(struct drv_cache *cache)
{
    atomic_store_explicit(&cache->written, cache->next, memory_order_release);
}

/**
 * drv_cache_copy() - a segment of pages that were published, while others are being added. Any thread.
 * @number:    of its first page, a multiple of DRV_CACHE_SEGMENT
 * @pages:     receives DRV_CACHE_SEGMENT of them
 * @addresses: receives as many
 * Return: false: it made room for others, and what was copied is worthless.
 */
bool drv_cache_copy(const struct drv_cache *cache, uint64_t number, uint8_t *pages, uint64_t *addresses);

/** drv_cache_init() - @pages may be 0. Return: 0 or -ENOMEM. */
int drv_cache_init(struct drv_cache *cache, size_t pages, struct drv_error *err);

/** drv_cache_memory() - bytes of a cache of so many pages. */
static inline uint64_t drv_cache_memory(size_t pages)
{
    return (uint64_t)pages * (DRV_PAGE_SIZE + sizeof(uint64_t)) +
           (uint64_t)pages / DRV_CACHE_SEGMENT * sizeof(uint32_t);
}

/** drv_cache_clear() - begin anew: it holds nothing, whatever was written to its places. */
void drv_cache_clear(struct drv_cache *cache);

/** drv_cache_done() - free; a zeroed cache is allowed. */
void drv_cache_done(struct drv_cache *cache);

/** drv_cache_holds() - is page @number there, which has been added? */
static inline bool drv_cache_holds(const struct drv_cache *cache, uint64_t number)
{
    return number < cache->known || cache->next - number <= cache->pages - cache->known;
}

/** drv_cache_place() - where page @number is, if it is there. */
static inline size_t drv_cache_place(const struct drv_cache *cache, uint64_t number)
{
    if (number < cache->known)
        return (size_t)number;
    return (size_t)(cache->known + (number - cache->known) % (cache->pages - cache->known));
}

/** drv_cache_get() - the page that was added @back pages before the last one, or NULL. */
static inline const uint8_t *drv_cache_get(const struct drv_cache *cache, uint64_t back)
{
    uint64_t number = cache->next - 1 - back;

    if (back >= cache->next || !drv_cache_holds(cache, number))
        return NULL;
    return cache->page + drv_cache_place(cache, number) * DRV_PAGE_SIZE;
}

/** drv_cache_shared() - a kept page that other streams may refer to, or NULL. Any thread. */
static inline const uint8_t *drv_cache_shared(const struct drv_cache *cache, uint64_t number)
{
    if (number >= atomic_load_explicit(&cache->shared, memory_order_acquire))
        return NULL;
    return cache->page + (size_t)number * DRV_PAGE_SIZE;
}

/** drv_cache_count() - the page that was added @back pages before the last one is used. */
static inline void drv_cache_count(struct drv_cache *cache, uint64_t back)
{
    uint64_t number = cache->next - 1 - back;

    if (number >= cache->known)
        return;
    cache->served[number / DRV_CACHE_SEGMENT]++;
    atomic_fetch_add_explicit(&cache->served_pages, 1, memory_order_relaxed);
}

/**
 * drv_cache_add() - the place of the next page, to be written by the caller; NULL: there is none.
 * @address: of the page within its block
 * A page that drv_cache_get() has returned may be the one that makes room.
 */
static inline uint8_t *drv_cache_add(struct drv_cache *cache, uint64_t address)
{
    size_t place;

    if (cache->pages <= cache->known || (cache->kept && cache->next >= cache->pages))
        return NULL;
    place = drv_cache_place(cache, cache->next++);
    cache->address[place] = address;
    return cache->page + place * DRV_PAGE_SIZE;
}
