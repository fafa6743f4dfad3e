/* SPDX-License-Identifier: Apache-2.0 */
/* The pages that both ends hold: see cache.h. */
#include "relay/codec/cache.h"

#include <errno.h>
#include <sys/mman.h>

int drv_cache_init(struct drv_cache *cache, size_t pages, struct drv_error *err)
{
    void *memory;

    *cache = (struct drv_cache){0};
    if (!pages)
        return 0;
    if (pages > SIZE_MAX / DRV_PAGE_SIZE)
        return drv_error_set(err, ENOMEM, "a cache cannot have %zu pages", pages);
    /* Straight from the kernel: what a small guest never fills is never there. */
    memory = mmap(NULL, pages * DRV_PAGE_SIZE, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return drv_error_set(err, ENOMEM, "no memory for a cache of %zu pages", pages);
    cache->page = memory;
    cache->pages = pages;
    return 0;
}

void drv_cache_clear(struct drv_cache *cache)
{
    cache->next = 0;
    atomic_store(&cache->shared, 0);
}

void drv_cache_done(struct drv_cache *cache)
{
    if (cache->page)
        munmap(cache->page, cache->pages * DRV_PAGE_SIZE);
    *cache = (struct drv_cache){0};
}
