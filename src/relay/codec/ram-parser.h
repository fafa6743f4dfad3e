/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recognises guest pages in QEMU's migration stream (version 3, one connection, as QEMU 7.2
 * writes it), and nothing else. It changes no byte and refuses none: from what it does not
 * understand on, everything is opaque, for good. It resumes after any byte and keeps no more
 * than a field of 255 bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/codec/span.h"

#define DRV_RAM_HEADER_SIZE 8u
#define DRV_RAM_PAGE_SPAN (DRV_RAM_HEADER_SIZE + DRV_PAGE_SIZE)
#define DRV_RAM_ZERO_SPAN (DRV_RAM_HEADER_SIZE + 1u)

/* The low bits of a page's header, which is its address otherwise. */
#define DRV_RAM_FLAGS UINT64_C(0xfff)
#define DRV_RAM_ZERO 0x02u
#define DRV_RAM_MEM_SIZE 0x04u
#define DRV_RAM_PAGE 0x08u
#define DRV_RAM_EOS 0x10u
#define DRV_RAM_CONTINUE 0x20u

#define DRV_RAM_BLOCKS 64u /* of which a round's beginning is told; a guest has a dozen */

struct drv_ram_parser {
    int state;
    uint64_t need, have; /* bytes of the field at hand */
    uint8_t field[256];
    bool keep; /* the field's bytes are wanted */
    bool has_ram;
    uint32_t ram_section;
    uint64_t blocks_left; /* bytes of memory not yet in the list of blocks */
    uint32_t block;
    uint64_t address;
    bool content_is_zero; /* the page at hand is a fill byte */
    bool postcopy;        /* the guest has begun to run at the target */
    bool stopped;         /* the last round: QEMU has stopped the guest to send the rest */

    /* Rounds: in one of them no page comes twice, blocks come one after the other, pages in order. */
    unsigned rounds;                  /* that have begun */
    uint32_t visited[DRV_RAM_BLOCKS]; /* blocks of this round; the last one is at hand */
    unsigned visits;
    uint64_t last_address;
};

/** drv_ram_parser_init() - at the first byte of a stream. */
void drv_ram_parser_init(struct drv_ram_parser *parser);

/**
 * drv_ram_parser_next() - what the next bytes are.
 * @bytes: what follows the span before
 * @size:  at least 1
 * @all:   no more is to come for now: what could become a page is opaque, too
 *
 * Return: a span at @bytes, which counts as consumed unless it is DRV_SPAN_MORE.
 */
struct drv_span drv_ram_parser_next(struct drv_ram_parser *parser, const uint8_t *bytes, size_t size, bool all);

/** drv_ram_parser_is_opaque() - it has given up. */
bool drv_ram_parser_is_opaque(const struct drv_ram_parser *parser);
