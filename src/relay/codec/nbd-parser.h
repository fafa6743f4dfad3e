/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recognises blocks of a disk in what an NBD client sends: in the payload of its writes. The
 * handshake, options and requests in the format of 28 bytes are followed; what the server answers
 * is not seen, and need not be: what comes next shows it. It changes no byte and refuses none:
 * from what it does not understand on (TLS, extended headers, unknown requests) everything is
 * opaque, for good. It resumes after any byte and keeps no more than a header.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/codec/span.h"

#define DRV_NBD_REQUEST_SIZE 28u
#define DRV_NBD_NAME_MAX 63u

struct drv_nbd_parser {
    int state;
    uint64_t need, have; /* bytes of the field at hand */
    uint8_t field[DRV_NBD_REQUEST_SIZE];
    uint64_t offset;                    /* on the disk, of the next byte of the payload at hand */
    uint64_t reached;                   /* on the disk: what was written, or made zeros, furthest behind */
    uint32_t option;                    /* at hand */
    uint8_t data[4 + DRV_NBD_NAME_MAX]; /* the beginning of its data */
    char name[DRV_NBD_NAME_MAX + 1];    /* of the export that was asked for last, if not longer */
    bool named;                         /* there was one */
};

/** drv_nbd_parser_init() - at the first byte of a connection. */
void drv_nbd_parser_init(struct drv_nbd_parser *parser);

/**
 * drv_nbd_parser_next() - what the next bytes are: as drv_ram_parser_next().
 * Blocks lie at multiples of DRV_PAGE_SIZE on the disk.
 */
struct drv_span drv_nbd_parser_next(struct drv_nbd_parser *parser, const uint8_t *bytes, size_t size, bool all);

/** drv_nbd_parser_is_opaque() - it has given up. */
bool drv_nbd_parser_is_opaque(const struct drv_nbd_parser *parser);
