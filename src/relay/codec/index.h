/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a hash to numbers of pages in the cache, at the encoder only: of contents, and of what
 * was last sent for an address. It is a hint: it may forget, and what it finds is compared
 * byte for byte before it is used. Its size is fixed; the oldest entry of a bucket makes room.
 * One thread adds; others may look meanwhile.
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define DRV_INDEX_WAYS 8u

/*
 * An entry: a tag in the upper half; in the lower one the page's number, cut, + 1, so that 0 is an
 * empty entry but once in 2^32.
 */
typedef _Atomic uint64_t drv_index_entry;

struct drv_index {
    drv_index_entry *entry;
    size_t buckets; /* a power of two, or 0 */
};

/** drv_index_init() - for about @pages pages. Return: 0 or -ENOMEM. */
int drv_index_init(struct drv_index *index, size_t pages, struct drv_error *err);

/** drv_index_done() - free; a zeroed index is allowed. */
void drv_index_done(struct drv_index *index);

/** drv_index_clear() - forget all. */
void drv_index_clear(struct drv_index *index);

/** drv_index_memory() - bytes that an index for @pages pages takes. */
size_t drv_index_memory(size_t pages);

/**
 * drv_index_add() - @hash is page @number.
 * @next:  number of the next page of the cache
 * @known: pages below this number stay in the cache, and so in a bucket that has any others
 */
void drv_index_add(struct drv_index *index, uint64_t hash, uint64_t number, uint64_t next, uint64_t known);

/**
 * drv_index_find() - candidates: how many pages before the last one each was added.
 * Return: how many of @back were filled in; not all of them need be in the cache.
 */
unsigned drv_index_find(const struct drv_index *index, uint64_t hash, uint64_t next, uint32_t back[DRV_INDEX_WAYS]);
