/* SPDX-License-Identifier: Apache-2.0 */
/* The pages that both ends hold: see cache.h. */
#include "relay/codec/cache.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* Straight from the kernel: what a small guest never fills is never there. */
static void *reserve(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

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
    atomic_store(&cache->served_pages, 0);
    if (cache->served)
        memset(cache->served, 0, segments(cache->pages) * sizeof *cache->served);
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
