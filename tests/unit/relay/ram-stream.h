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

/**
 * ram_stream_make() - a whole stream.
 * @pages:  of the first block
 * @rounds: how often memory is sent: all of it, then some of it, changed more or less
 */
void ram_stream_make(struct ram_stream *stream, uint64_t seed, size_t pages, unsigned rounds);

void ram_stream_free(struct ram_stream *stream);

/** ram_stream_random() - the next number of the stream's generator. */
uint64_t ram_stream_random(struct ram_stream *stream);
