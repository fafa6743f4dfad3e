/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The format of an encoded stream: records, each of which stands for some bytes of the
 * channel; docs/codec.rst is the specification. Nothing of a record is delivered
 * before its check was found right.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cursor.h"
#include "base/error.h"
#include "relay/codec/span.h"

#define DRV_RECORD_HEADER_SIZE 28u
#define DRV_RECORD_BODY_MAX (240u * 1024u)
#define DRV_RECORD_MAX (DRV_RECORD_HEADER_SIZE + DRV_RECORD_BODY_MAX)
#define DRV_RECORD_RAW_MAX (512u * 1024u) /* bytes of the channel in a record */
#define DRV_RECORD_OPS_MAX (72u * 1024u)
#define DRV_RECORD_LITERALS_MAX (160u * 1024u)
#define DRV_LANES_MAX 4u  /* of a stream: what is compressed with knowledge of what went before */
#define DRV_CODERS_MAX 5u /* that may refer to each other: their numbers are less */

enum drv_record_method {
    DRV_RECORD_PLAIN,   /* the body is the channel's bytes; no page is remembered */
    DRV_RECORD_STORED,  /* the body is ops, then literals */
    DRV_RECORD_BEGUN,   /* the body is that, compressed by zstd, with which its lane begins anew */
    DRV_RECORD_GOES_ON, /* the same, going on with what the lane had before */
    DRV_RECORD_METHODS
};

struct drv_record {
    uint8_t method;
    uint8_t lane;      /* compressed: which one; else 0 */
    uint32_t body;     /* bytes that follow the header */
    uint32_t raw;      /* bytes of the channel */
    uint32_t ops;      /* bytes of ops */
    uint32_t expanded; /* bytes of ops and literals */
    uint64_t check;    /* hash of the channel's bytes; PLAIN: 0 */
};

/*
 * An op is a byte, kind in the upper 4 bits and a count in the lower 4: 0 … 14 is 1 … 15,
 * and 15 means that the count is 16 more than the varint that follows. Where there is no count
 * the lower bits are 0.
 */
enum drv_op {
    DRV_OP_BYTES, /* count bytes of the literals, as they are */
    DRV_OP_AT,    /* 8 bytes: the address of the next page, whose header went before */
    DRV_OP_JUMP,  /* 8 bytes: the address of the next page, to be written before it */
    DRV_OP_SKIP,  /* count pages are left out */
    DRV_OP_ZEROS, /* count zero pages, with headers */
    DRV_OP_PAGES, /* count pages from the literals, with headers, and remembered */
    DRV_OP_SAME,  /* varint back: count pages that followed each other in the cache, with headers */
    DRV_OP_DELTA, /* varint back: a page, count bytes of literals, with header, and remembered */
    DRV_OP_BARE,  /* from here on pages have no headers: they are blocks of a disk */
    DRV_OP_OTHER, /* varint coder, varint number: count pages that another stream has brought */
    DRV_OP_OLDER, /* varint number: count blocks of the older image from that one on, and remembered */
};

#define DRV_OP_COUNT_BITS 4u
#define DRV_OP_COUNT_MANY 15u

/** drv_record_encode() - write the header. */
void drv_record_encode(uint8_t out[DRV_RECORD_HEADER_SIZE], const struct drv_record *record);

/**
 * drv_record_decode() - read and check a header: after it every length is within its limit.
 * Return: 0 or -EPROTO.
 */
int drv_record_decode(struct drv_record *record, const uint8_t in[DRV_RECORD_HEADER_SIZE], struct drv_error *err);

/** drv_write_varint() - 7 bits a byte, the lowest first. */
void drv_write_varint(struct drv_writer *writer, uint64_t value);

/** drv_read_varint() - at most 9 bytes, or the reader is bad. */
uint64_t drv_read_varint(struct drv_reader *reader);
