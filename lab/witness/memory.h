/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory whose every byte is known: a pattern of prime length with a generation in it, so
 * that neither a lost page, nor a stale one, nor one put at another place goes unseen.
 *
 * Page p at generation g begins with p and g; then comes the compressible part, the pattern
 * 0..250 in phase with the byte's offset in the whole memory, changed by g; then the
 * incompressible part, random numbers seeded with p and g.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WITNESS_PAGE = 4096, WITNESS_PRIME = 251, WITNESS_HEADER = 16 };

struct witness_memory {
    uint8_t *bytes;
    uint64_t pages;
    uint32_t *generation;  /* of each page */
    uint64_t writes;       /* the sum of all generations, kept on a page of its own */
    unsigned compressible; /* bytes of a page that are pattern, header included; 8 divides it */
    uint8_t pattern[WITNESS_PRIME + WITNESS_PAGE + 8];
};

struct witness_fault {
    uint64_t offset; /* of the first wrong byte in the memory */
    uint8_t expected, found;
};

/**
 * witness_memory_init() - takes memory into use; all its pages are at generation 0, not yet
 * written: write each once before checking.
 * @bytes: @pages * WITNESS_PAGE bytes, 8-aligned. Stays the caller's.
 * @generation: @pages numbers. Stays the caller's.
 * @compressible_percent: how much of a page is pattern, 0 to 100; the rest is random
 */
void witness_memory_init(struct witness_memory *m, uint8_t *bytes, uint32_t *generation, uint64_t pages,
                         unsigned compressible_percent);

/** witness_memory_write() - writes the page's next generation. */
void witness_memory_write(struct witness_memory *m, uint64_t page);

/** witness_memory_check() - true if each byte of the page is as it must be, else says which. */
bool witness_memory_check(const struct witness_memory *m, uint64_t page, struct witness_fault *fault);

/** witness_memory_check_sum() - true if the pages' generations still sum up to the writes. */
bool witness_memory_check_sum(const struct witness_memory *m);
