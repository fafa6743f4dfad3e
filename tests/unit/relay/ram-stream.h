/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes streams such as QEMU's migration writes, for tests of the codec: two blocks of memory,
 * rounds of pages, then device state. The same seed makes the same stream. No GLib.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct ram_stream {
    uint8_t *bytes;
    size_t size, room;
    uint64_t random;
};

/* A whole page or block in a stream. */
struct stream_piece {
    size_t at;        /* of its content in the stream */
    uint64_t address; /* within its block of memory, or on its disk */
};

/**
 * ram_stream_make() - a whole stream.
 * @pages:  of the first block
 * @rounds: how often memory is sent: all of it, then some of it, changed more or less
 */
void ram_stream_make(struct ram_stream *stream, uint64_t seed, size_t pages, unsigned rounds);

/** ram_stream_make_of() - memory holds half of the pages of a file, at the same places. */
void ram_stream_make_of(struct ram_stream *stream, uint64_t seed, size_t pages, unsigned rounds, const uint8_t *file,
                        size_t file_pages);

void ram_stream_free(struct ram_stream *stream);

/** ram_stream_random() - the next number of the stream's generator. */
uint64_t ram_stream_random(struct ram_stream *stream);

/* What streams are made of. */
void ram_stream_put(struct ram_stream *stream, const void *bytes, size_t size);
void ram_stream_put_number(struct ram_stream *stream, uint64_t value, size_t size);

/** ram_stream_fill() - a page of content: text, pointers, few values, random. */
void ram_stream_fill(struct ram_stream *stream, uint8_t *page);
