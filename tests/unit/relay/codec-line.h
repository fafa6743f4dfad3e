/* SPDX-License-Identifier: Apache-2.0 */
/* An encoder and its decoder back to back, which compare every byte: for tests of the codec. */
#pragma once

#include <glib.h>

#include "relay/codec/decoder.h"
#include "relay/codec/encoder.h"

#define LINE_LANES 3u /* by turns */
#define LINE_SEED UINT64_C(0x1234567890abcdef)

/* An encoder, its decoder, and what the bytes ought to be. */
struct line {
    drv_encoder *encoder;
    drv_decoder *decoder;
    const uint8_t *expected;
    size_t fed, came;
    unsigned lane;
    uint8_t record[DRV_RECORD_MAX]; /* the last one */
    GRand *random;                  /* NULL: all is done in one piece */
    uint64_t encoded;
};

/** line_begin() - @tricks: enum drv_codec_trick. Ends with line_end(). */
void line_begin(struct line *line, size_t cache_pages, unsigned tricks);
void line_end(struct line *line);

/** line_again() - another stream, of which these are the bytes. */
void line_again(struct line *line, const uint8_t *expected);

/** line_feed() - the next bytes; batches are closed when they are full. */
void line_feed(struct line *line, const uint8_t *bytes, size_t size);

/** line_flush() - close the batch and bring its record to the other end. */
void line_flush(struct line *line);

/** line_whole() - all of a stream. */
void line_whole(struct line *line, const uint8_t *bytes, size_t size);
