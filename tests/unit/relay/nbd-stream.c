/* SPDX-License-Identifier: Apache-2.0 */
/* Makes what an NBD client sends: see nbd-stream.h. */
#include "nbd-stream.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK 4096u
#define CHUNK 16u /* blocks that the mirror writes at once */

enum { READ, WRITE, DISCONNECT, FLUSH, TRIM, CACHE, WRITE_ZEROES, BLOCK_STATUS };

static void put_option(struct nbd_stream *stream, uint32_t option, const char *data, size_t size)
{
    ram_stream_put(&stream->sent, "IHAVEOPT", 8);
    ram_stream_put_number(&stream->sent, option, 4);
    ram_stream_put_number(&stream->sent, size, 4);
    ram_stream_put(&stream->sent, data, size);
}

static void put_request(struct nbd_stream *stream, unsigned type, uint64_t offset, size_t size)
{
    ram_stream_put_number(&stream->sent, 0x25609513, 4);
    ram_stream_put_number(&stream->sent, 0, 2);
    ram_stream_put_number(&stream->sent, type, 2);
    ram_stream_put_number(&stream->sent, ram_stream_random(&stream->sent), 8);
    ram_stream_put_number(&stream->sent, offset, 8);
    ram_stream_put_number(&stream->sent, size, 4);
}

static void note(struct nbd_stream *stream, uint64_t offset)
{
    if (stream->blocks_sent == stream->room) {
        stream->room = 2 * stream->room + 64;
        stream->block = realloc(stream->block, stream->room * sizeof *stream->block);
        if (!stream->block)
            abort();
    }
    stream->block[stream->blocks_sent++] = (struct stream_piece){stream->sent.size, offset};
}

static void put_write(struct nbd_stream *stream, const uint8_t *disk, uint64_t offset, size_t size)
{
    put_request(stream, WRITE, offset, size);
    for (uint64_t at = offset, end = offset + size; at < end;) {
        size_t part = BLOCK - at % BLOCK;

        if (part > end - at)
            part = (size_t)(end - at);
        if (part == BLOCK)
            note(stream, at);
        ram_stream_put(&stream->sent, disk + at, part);
        at += part;
    }
}

/* The guest goes on: it changes a little or a lot, and not all requests are aligned. */
static void put_work(struct nbd_stream *stream, uint8_t *disk, size_t bytes)
{
    uint64_t random = ram_stream_random(&stream->sent);
    uint64_t offset = random >> 8 & ~UINT64_C(511);
    size_t size = (size_t)(random % 40 + 1) * 512;

    offset %= bytes - 40 * 512;
    switch (random >> 4 & 15) {
    case 0:
        put_request(stream, READ, offset, size);
        break;
    case 1:
        put_request(stream, FLUSH, 0, 0);
        break;
    case 2:
        put_request(stream, TRIM, offset, size);
        break;
    case 3:
        put_request(stream, WRITE_ZEROES, offset, (size_t)1 << 30);
        break;
    case 4:
        put_request(stream, BLOCK_STATUS, 0, bytes);
        break;
    case 5:
        put_request(stream, WRITE, offset, 0);
        break;
    case 6:
        put_write(stream, disk, offset + 7, size - 13);
        break;
    default:
        for (unsigned i = 0; i < 9; i++)
            disk[offset + ram_stream_random(&stream->sent) % size]++;
        put_write(stream, disk, offset - offset % BLOCK, CHUNK / 4 * BLOCK);
    }
}

void nbd_stream_make(struct nbd_stream *stream, uint64_t seed, size_t blocks, unsigned requests)
{
    static const char name[] = "\0\0\0\x12"
                               "drive-virtio-disk0\0\1\0\3";
    uint8_t *disk = calloc(blocks, BLOCK);

    *stream = (struct nbd_stream){.sent.random = seed * 2 + 1, .blocks = blocks};
    stream->disk = malloc(blocks * BLOCK);
    if (!disk || !stream->disk)
        abort();
    for (size_t i = 0; i < blocks; i++) {
        uint64_t what = ram_stream_random(&stream->sent) % 10;

        if (what < 7)
            ram_stream_fill(&stream->sent, disk + i * BLOCK);
        else if (what == 7 && i >= 8) /* a file that is there twice */
            memcpy(disk + i * BLOCK, disk + (i - 8) * BLOCK, BLOCK);
    }
    memcpy(stream->disk, disk, blocks * BLOCK);
    ram_stream_put_number(&stream->sent, 3, 4);
    put_option(stream, 8, "", 0); /* structured replies */
    put_option(stream, 10,
               "\0\0\0\0\0\0\0\1\0\0\0\xf"
               "base:allocation",
               27);
    put_option(stream, 7, name, sizeof name - 1);
    put_request(stream, BLOCK_STATUS, 0, blocks * BLOCK);
    for (size_t i = 0; i + CHUNK <= blocks; i += CHUNK)
        put_write(stream, disk, (uint64_t)i * BLOCK, CHUNK * BLOCK);
    for (unsigned i = 0; i < requests; i++)
        put_work(stream, disk, blocks * BLOCK);
    put_request(stream, DISCONNECT, 0, 0);
    free(disk);
}

void nbd_stream_free(struct nbd_stream *stream)
{
    ram_stream_free(&stream->sent);
    free(stream->disk);
    free(stream->block);
    *stream = (struct nbd_stream){0};
}
