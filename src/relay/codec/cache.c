/* SPDX-License-Identifier: Apache-2.0 */
/* The pages that both ends hold: see cache.h. */
#include "relay/codec/cache.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* Straight from the kernel: what a small guest never fills is never there. */
static void *reserve(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

static size_t segments(size_t pages)
{
    return pages / DRV_CACHE_SEGMENT + 1;
}

int drv_cache_init(struct drv_cache *cache, size_t pages, struct drv_error *err)
{
    memset(cache, 0, sizeof *cache);
    if (!pages)
        return 0;
    if (pages > SIZE_MAX / DRV_PAGE_SIZE)
        return drv_error_set(err, ENOMEM, "a cache cannot have %zu pages", pages);
    cache->pages = pages;
    cache->page = reserve(pages * DRV_PAGE_SIZE);
    cache->address = reserve(pages * sizeof *cache->address);
    cache->served = reserve(segments(pages) * sizeof *cache->served);
    if (!cache->page || !cache->address || !cache->served) {
        drv_cache_done(cache);
        return drv_error_set(err, ENOMEM, "no memory for a cache of %zu pages", pages);
    }
    return 0;
}

void drv_cache_clear(struct drv_cache *cache)
{
    cache->next = cache->known = 0;
    atomic_store(&cache->shared, 0);
    atomic_store(&cache->written, 0);
    atomic_store(&cache->served_pages, 0);
    if (cache->served)
        memset(cache->served, 0, segments(cache->pages) * sizeof *cache->served);
}

/*
 * What is copied may just be overwritten. That is seen afterwards, and the copy is not used then, so a race does
 * no harm: hence no lock in the way of who adds pages, and no complaint of a sanitizer.
 */
__attribute__((no_sanitize("thread"))) static void copy_words(uint64_t *to, const uint64_t *from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

static bool holds_whole(const struct drv_cache *cache, uint64_t number)
{
    uint64_t written = atomic_load_explicit(&cache->written, memory_order_acquire);

    return written + DRV_CACHE_UNDER_WAY <= number + cache->pages - cache->known;
}

bool drv_cache_copy(const struct drv_cache *cache, uint64_t number, uint8_t *pages, uint64_t *addresses)
{
    size_t place = drv_cache_place(cache, number);

    if (!holds_whole(cache, number))
        return false;
    copy_words((uint64_t *)(void *)pages, (const uint64_t *)(const void *)(cache->page + place * DRV_PAGE_SIZE),
               (size_t)DRV_CACHE_SEGMENT * DRV_PAGE_SIZE / sizeof(uint64_t));
    copy_words(addresses, cache->address + place, DRV_CACHE_SEGMENT);
    atomic_thread_fence(memory_order_acquire);
    return holds_whole(cache, number);
}

void drv_cache_done(struct drv_cache *cache)
{
    if (cache->page)
        munmap(cache->page, cache->pages * DRV_PAGE_SIZE);
    if (cache->address)
        munmap(cache->address, cache->pages * sizeof *cache->address);
    if (cache->served)
        munmap(cache->served, segments(cache->pages) * sizeof *cache->served);
    memset(cache, 0, sizeof *cache);
}
