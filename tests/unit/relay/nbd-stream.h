/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes what an NBD client such as QEMU's mirror sends: handshake, options, writes of a whole disk,
 * then more requests of all kinds. The same seed makes the same stream. No GLib.
 */
#pragma once

#include "ram-stream.h"

struct nbd_stream {
    struct ram_stream sent;
    uint8_t *disk; /* as it was copied first */
    size_t blocks;
    struct stream_piece *block; /* whole ones in the payload of writes, in the order in which they are sent */
    size_t blocks_sent, room;
};

/**
 * nbd_stream_make() - a disk of @blocks blocks, and then @requests requests of a guest.
 * A multiple of 16 blocks.
 */
void nbd_stream_make(struct nbd_stream *stream, uint64_t seed, size_t blocks, unsigned requests);

void nbd_stream_free(struct nbd_stream *stream);
