/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frames that two relays exchange inside TLS: a fixed header of 24 bytes,
 * big-endian, then a payload. docs/wire.rst is the specification.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/paths.h"

#define DRV_FRAME_HEADER_SIZE 24u
#define DRV_FRAME_PAYLOAD_MAX (256u * 1024u)
#define DRV_FRAME_TEXT_MAX 200u /* the reason in a BYE */
#define DRV_FRAME_OFFSET_MAX (UINT64_C(1) << 62)
#define DRV_FRAME_HELLO_SIZE 32u

#define DRV_WIRE_VERSION 1u
#define DRV_WIRE_FEATURES 0u /* mandatory ones that this build knows */
#define DRV_WIRE_CODEC 4u    /* version of the codec; 0: none */
#define DRV_CODERS 4u        /* encoded streams of a session */

enum drv_frame_type {
    DRV_FRAME_HELLO = 1, /* first on every link, both ways */
    DRV_FRAME_OPEN,      /* source: a new stream of a channel; link 0 */
    DRV_FRAME_DATA,      /* bytes of a stream, from `offset` on; any link */
    DRV_FRAME_CREDIT,    /* the stream may be sent up to `offset`; link 0 */
    DRV_FRAME_FIN,       /* the stream ends at `offset`; link 0 */
    DRV_FRAME_RESET,     /* the stream is aborted, both ways; link 0 */
    DRV_FRAME_MARK,      /* `offset` is one of drv_frame_mark; link 0 */
    DRV_FRAME_PING,      /* nothing else was sent for a second; any link */
    DRV_FRAME_BYE,       /* the sender ends the session; the payload says why; link 0 */
    DRV_FRAME_CONTENT,   /* what this end could open of known content; link 0, once */
    DRV_FRAME_SHARED,    /* target: it remembers `offset` pages of the stream; link 0 */
    DRV_FRAME_OLDER,     /* source: digests of an older image are wanted, from `offset` on; link 0 */
    DRV_FRAME_DIGESTS,   /* target: they are the payload; link 0 */
    DRV_FRAME_TYPES
};

enum drv_frame_mark {
    DRV_MARK_FINISH_OK = 1, /* the source's libvirtd has read a Finish reply of success */
    DRV_MARK_FINISH_FAILED, /* ... of failure */
    DRV_MARK_RESUMED,       /* the target's guest runs */
    DRV_MARKS
};

struct drv_frame {
    uint8_t type;
    uint8_t channel;     /* enum drv_relay_channel, where there is a stream */
    uint8_t encoding;    /* OPEN: number of the coder that makes the stream's bytes; 0: none; OLDER: of the image */
    uint32_t stream;     /* 1 … in order of opening; 0 where there is none */
    uint32_t length;     /* bytes of payload */
    uint32_t raw_length; /* DATA: bytes of the stream that it stands for */
    uint64_t offset;
};

struct drv_hello {
    uint16_t version;
    uint32_t features;
    uint8_t session[DRV_SESSION_ID_SIZE];
    uint16_t codec;     /* version of the codec that the sender speaks; 0: none */
    uint16_t cache_mib; /* most that the codec may remember */
    uint8_t index;      /* of this link */
    uint8_t links;      /* how many there are */
};

/** drv_frame_encode() - write the header. */
void drv_frame_encode(uint8_t out[DRV_FRAME_HEADER_SIZE], const struct drv_frame *frame);

/**
 * drv_frame_decode() - read and check a header: after it every field is within its limits
 * and offset + raw_length cannot overflow.
 * Return: 0, or -EPROTO.
 */
int drv_frame_decode(struct drv_frame *frame, const uint8_t in[DRV_FRAME_HEADER_SIZE], struct drv_error *err);

/** drv_hello_encode() - the payload of a HELLO. */
void drv_hello_encode(uint8_t out[DRV_FRAME_HELLO_SIZE], const struct drv_hello *hello);

/** drv_hello_decode() - read a HELLO; magic, version and mandatory features are checked here. */
int drv_hello_decode(struct drv_hello *hello, const uint8_t *in, size_t size, struct drv_error *err);

/** drv_frame_type_name() - for messages; "?" when unknown. */
const char *drv_frame_type_name(unsigned type);
