/* SPDX-License-Identifier: Apache-2.0 */
/* From a hash to numbers of pages: see index.h. */
#include "relay/codec/index.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* Twice as many entries as pages, so that a bucket hardly ever runs over. */
static size_t bucket_count(size_t pages)
{
    size_t buckets = 1;

    while (buckets < pages / (DRV_INDEX_WAYS / 2))
        buckets *= 2;
    return buckets;
}

static size_t size_bytes(size_t buckets)
{
    return buckets * DRV_INDEX_WAYS * sizeof(drv_index_entry);
}

size_t drv_index_memory(size_t pages)
{
    return pages ? size_bytes(bucket_count(pages)) : 0;
}

int drv_index_init(struct drv_index *index, size_t pages, struct drv_error *err)
{
    void *memory;

    *index = (struct drv_index){0};
    if (!pages)
        return 0;
    memory =
        mmap(NULL, drv_index_memory(pages), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return drv_error_set(err, ENOMEM, "no memory for an index of %zu pages", pages);
    index->entry = memory;
    index->buckets = bucket_count(pages);
    return 0;
}

void drv_index_done(struct drv_index *index)
{
    if (index->entry)
        munmap(index->entry, size_bytes(index->buckets));
    *index = (struct drv_index){0};
}

void drv_index_clear(struct drv_index *index)
{
    if (index->entry)
        (void)madvise(index->entry, size_bytes(index->buckets), MADV_DONTNEED);
}

static drv_index_entry *bucket_of(const struct drv_index *index, uint64_t hash)
{
    return index->entry + (size_t)((hash >> 32) & (index->buckets - 1)) * DRV_INDEX_WAYS;
}

static uint64_t load(const drv_index_entry *entry)
{
    return atomic_load_explicit(entry, memory_order_relaxed);
}

void drv_index_add(struct drv_index *index, uint64_t hash, uint64_t number, uint64_t next, uint64_t known)
{
    drv_index_entry *bucket, *place;
    uint32_t oldest = 0;

    if (!index->buckets)
        return;
    bucket = place = bucket_of(index, hash);
    for (size_t i = 0; i < DRV_INDEX_WAYS; i++) {
        uint64_t entry = load(&bucket[i]);
        uint32_t age = (uint32_t)next - ((uint32_t)entry - 1);

        if ((uint32_t)entry == 0)
            age = UINT32_MAX;
        else if ((uint32_t)entry - 1 < known)
            age = 0;
        if ((uint32_t)entry && entry >> 32 == (uint32_t)hash) {
            place = &bucket[i];
            break;
        }
        if (age > oldest) {
            oldest = age;
            place = &bucket[i];
        }
    }
    atomic_store_explicit(place, hash << 32 | ((uint32_t)number + 1), memory_order_relaxed);
}

unsigned drv_index_find(const struct drv_index *index, uint64_t hash, uint64_t next, uint32_t back[DRV_INDEX_WAYS])
{
    const drv_index_entry *bucket;
    unsigned found = 0;

    if (!index->buckets)
        return 0;
    bucket = bucket_of(index, hash);
    for (size_t i = 0; i < DRV_INDEX_WAYS; i++) {
        uint64_t entry = load(&bucket[i]);

        if ((uint32_t)entry && entry >> 32 == (uint32_t)hash)
            back[found++] = (uint32_t)next - (uint32_t)entry;
    }
    return found;
}
