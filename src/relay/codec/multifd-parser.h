/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recognises guest pages in what one of QEMU's additional channels carries ("multifd", packets of
 * version 1, as QEMU 7.2 writes them): a hello, then packets, each with the addresses of its pages first and
 * their contents after it. Contents that QEMU has compressed itself are skipped by their length. It
 * changes no byte and refuses none: from what it does not understand on everything is opaque,
 * for good. It resumes after any byte and keeps no more than a packet's header and addresses.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/codec/span.h"

#define DRV_MULTIFD_HELLO_SIZE 64u
#define DRV_MULTIFD_HEADER_SIZE 320u
#define DRV_MULTIFD_PAGES 128u /* of a packet, at most: QEMU's are 512 KiB */

struct drv_multifd_parser {
    int state;
    uint64_t need, have; /* bytes of the field at hand */
    uint8_t field[DRV_MULTIFD_PAGES * sizeof(uint64_t)]; /* a header, or addresses */
    uint32_t block; /* stands for the name of the packet's block */
    uint32_t pages, compressed_bytes; /* that follow the addresses: the one or the other */
    uint64_t address[DRV_MULTIFD_PAGES];
};

/** drv_multifd_parser_init() - at the first byte of a channel. */
void drv_multifd_parser_init(struct drv_multifd_parser *parser);

/** drv_multifd_parser_next() - what the next bytes are: as drv_ram_parser_next(). Pages are DRV_SPAN_BLOCK. */
struct drv_span drv_multifd_parser_next(struct drv_multifd_parser *parser, const uint8_t *bytes,
                                        size_t size, bool all);

/** drv_multifd_parser_is_opaque() - it has given up. */
bool drv_multifd_parser_is_opaque(const struct drv_multifd_parser *parser);
