/* SPDX-License-Identifier: Apache-2.0 */
/* Makes what one of QEMU's additional channels carries: see multifd-stream.h. */
#include "multifd-stream.h"

#include <stdlib.h>
#include <string.h>

#define PAGE 4096u
#define MOST 128u /* pages of a packet */

enum { SYNC = 1, ZSTD = 4 };

static void put_zeros(struct ram_stream *sent, size_t size)
{
    static const uint8_t zeros[256];

    for (; size > sizeof zeros; size -= sizeof zeros)
        ram_stream_put(sent, zeros, sizeof zeros);
    ram_stream_put(sent, zeros, size);
}

static void put_header(struct multifd_stream *stream, uint32_t flags, size_t pages, size_t bytes)
{
    ram_stream_put_number(&stream->sent, 0x11223344, 4);
    ram_stream_put_number(&stream->sent, 1, 4);
    ram_stream_put_number(&stream->sent, flags, 4);
    ram_stream_put_number(&stream->sent, MOST, 4);
    ram_stream_put_number(&stream->sent, pages, 4);
    ram_stream_put_number(&stream->sent, bytes, 4);
    ram_stream_put_number(&stream->sent, ram_stream_random(&stream->sent) % 1000, 8);
    put_zeros(&stream->sent, 32);
    ram_stream_put(&stream->sent, "pc.ram", 6);
    put_zeros(&stream->sent, 250);
}

static void put_packet(struct multifd_stream *stream, const uint8_t *memory, size_t first,
                       size_t pages)
{
    put_header(stream, 0, pages, pages * PAGE);
    for (size_t i = 0; i < pages; i++)
        ram_stream_put_number(&stream->sent, (uint64_t)(first + i) * PAGE, 8);
    put_zeros(&stream->sent, (MOST - pages) * 8);
    for (size_t i = 0; i < pages; i++) {
        if (stream->pages == stream->room) {
            stream->room = 2 * stream->room + 64;
            stream->page = realloc(stream->page, stream->room * sizeof *stream->page);
            if (!stream->page)
                abort();
        }
        stream->page[stream->pages++] =
            (struct stream_piece){stream->sent.size, (uint64_t)(first + i) * PAGE};
        ram_stream_put(&stream->sent, memory + (first + i) * PAGE, PAGE);
    }
}

/* Nothing to say, though it has a size; and contents that only QEMU can read. */
static void put_others(struct multifd_stream *stream)
{
    uint8_t page[PAGE];

    put_header(stream, SYNC, 0, 3 * PAGE);
    put_zeros(&stream->sent, (size_t)MOST * 8);
    ram_stream_fill(&stream->sent, page);
    put_header(stream, ZSTD, 7, 1234);
    put_zeros(&stream->sent, (size_t)MOST * 8);
    ram_stream_put(&stream->sent, page, 1234);
}

void multifd_stream_make(struct multifd_stream *stream, uint64_t seed, size_t pages)
{
    uint8_t *memory = calloc(pages, PAGE);

    *stream = (struct multifd_stream){.sent.random = seed * 2 + 1};
    if (!memory)
        abort();
    for (size_t i = 0; i < pages; i++) {
        if (ram_stream_random(&stream->sent) % 8)
            ram_stream_fill(&stream->sent, memory + i * PAGE);
        else if (i >= 8)
            memcpy(memory + i * PAGE, memory + (i - 8) * PAGE, PAGE);
    }
    ram_stream_put_number(&stream->sent, 0x11223344, 4);
    ram_stream_put_number(&stream->sent, 1, 4);
    put_zeros(&stream->sent, 16 + 1 + 7 + 32);
    for (unsigned round = 0; round < 2; round++) {
        for (size_t i = 0, count; i < pages; i += count) {
            count = ram_stream_random(&stream->sent) % MOST + 1;
            if (count > pages - i)
                count = pages - i;
            put_packet(stream, memory, i, count);
        }
        put_others(stream);
        for (size_t i = 0; i < pages; i += 3)
            memory[i * PAGE + ram_stream_random(&stream->sent) % PAGE]++;
    }
    free(memory);
}

void multifd_stream_free(struct multifd_stream *stream)
{
    ram_stream_free(&stream->sent);
    free(stream->page);
    *stream = (struct multifd_stream){0};
}
