/* SPDX-License-Identifier: Apache-2.0 */
/* What a parser has recognised: a piece of a channel's bytes, and which piece of a guest it is. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define DRV_PAGE_SIZE 4096u

enum drv_span_kind {
    DRV_SPAN_MORE,    /* what is here may become a page: come again with @size bytes or more */
    DRV_SPAN_OPAQUE,  /* @size bytes of anything */
    DRV_SPAN_PAGE,    /* header "same block as before" and content: DRV_RAM_PAGE_SPAN bytes */
    DRV_SPAN_CONTENT, /* content whose header went before: DRV_PAGE_SIZE bytes */
    DRV_SPAN_ZERO,    /* header "same block as before" and fill byte 0: DRV_RAM_ZERO_SPAN bytes */
    DRV_SPAN_BLOCK,   /* a block of a disk, a page of a packet, no header: DRV_PAGE_SIZE bytes */
};

struct drv_span {
    enum drv_span_kind kind;
    size_t size;
    uint64_t address; /* of a page, within its block of memory; of a block, on its disk */
    uint32_t block;   /* of a page: stands for the name of its block; two names may share one */
};

/** drv_span_block() - what stands for a block's name: a hash, by which nothing is decided. */
static inline uint32_t drv_span_block(const uint8_t *name, size_t size)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ name[i]) * 16777619u;
    return hash;
}
