/* SPDX-License-Identifier: Apache-2.0 */
/* Makes streams such as QEMU's migration writes: see ram-stream.h. */
#include "ram-stream.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096u

uint64_t ram_stream_random(struct ram_stream *stream)
{
    stream->random ^= stream->random << 13;
    stream->random ^= stream->random >> 7;
    stream->random ^= stream->random << 17;
    return stream->random;
}

void ram_stream_put(struct ram_stream *stream, const void *bytes, size_t size)
{
    if (stream->room - stream->size < size) {
        stream->room = 2 * stream->room + size;
        stream->bytes = realloc(stream->bytes, stream->room);
        if (!stream->bytes)
            abort();
    }
    memcpy(stream->bytes + stream->size, bytes, size);
    stream->size += size;
}

void ram_stream_put_number(struct ram_stream *stream, uint64_t value, size_t size)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> 8 * (size - 1 - i));
    ram_stream_put(stream, bytes, size);
}

static void put_name(struct ram_stream *stream, const char *name)
{
    ram_stream_put_number(stream, strlen(name), 1);
    ram_stream_put(stream, name, strlen(name));
}

/* One of a page's kinds of content: text, pointers, few values, random. */
void ram_stream_fill(struct ram_stream *stream, uint8_t *page)
{
    static const char *const words[] = {"the relay ", "never ", "sends ", "content ", "twice\n"};
    uint64_t kind = ram_stream_random(stream) % 10;
    size_t at = 0;

    while (at < PAGE) {
        uint64_t value = ram_stream_random(stream);
        const void *piece = &value;
        size_t size = sizeof value;

        if (kind < 4) {
            piece = words[value % 5];
            size = strlen(piece);
        } else if (kind < 7) {
            value = UINT64_C(0xffff888000000000) | (value & 0xfffff8);
        } else if (kind < 9) {
            value &= 0xff;
        }
        if (size > PAGE - at)
            size = PAGE - at;
        memcpy(page + at, piece, size);
        at += size;
    }
}

static void put_page(struct ram_stream *stream, uint64_t address, const char *block, const uint8_t *page)
{
    static const uint8_t zero[PAGE];
    bool is_zero = !memcmp(page, zero, PAGE);

    ram_stream_put_number(stream, address | (block ? 0 : 0x20) | (is_zero ? 0x02 : 0x08), 8);
    if (block)
        put_name(stream, block);
    ram_stream_put(stream, page, is_zero ? 1 : PAGE);
}

/* The guest goes on: some pages change a little, some altogether, some become others or nothing. */
static void work(struct ram_stream *stream, uint8_t *memory, size_t pages, uint8_t *dirty)
{
    for (size_t i = 0; i < pages; i++) {
        uint64_t what = ram_stream_random(stream) % 20;

        dirty[i] = what < 9;
        if (what < 5) {
            for (uint64_t n = ram_stream_random(stream) % 60; n > 0; n--)
                memory[i * PAGE + ram_stream_random(stream) % PAGE]++;
        } else if (what == 5) {
            ram_stream_fill(stream, memory + i * PAGE);
        } else if (what == 6) {
            memset(memory + i * PAGE, 0, PAGE);
        } else if (what == 7) {
            memmove(memory + i * PAGE, memory + ram_stream_random(stream) % pages * PAGE, PAGE);
        }
    }
}

static void put_round(struct ram_stream *stream, const uint8_t *memory, size_t pages, const uint8_t *dirty)
{
    const char *block = "pc.ram";

    for (size_t i = 0; i < pages; i++) {
        if (dirty && !dirty[i])
            continue;
        put_page(stream, (uint64_t)i * PAGE, block, memory + i * PAGE);
        block = NULL;
    }
    put_page(stream, PAGE, "vga.vram", memory);
    put_page(stream, 2 * PAGE, NULL, memory + (pages - 1) * PAGE);
    ram_stream_put_number(stream, 0x10, 8);
    ram_stream_put_number(stream, 0x7e, 1);
    ram_stream_put_number(stream, 2, 4);
}

void ram_stream_make_of(struct ram_stream *stream, uint64_t seed, size_t pages, unsigned rounds, const uint8_t *file,
                        size_t file_pages)
{
    uint8_t *memory = calloc(pages, PAGE), *dirty = calloc(pages, 1);

    if (!memory || !dirty)
        abort();
    *stream = (struct ram_stream){.random = seed * 2 + 1};
    for (size_t i = 0; i < pages; i++) {
        uint64_t what = ram_stream_random(stream) % 10;

        if (what < 6)
            ram_stream_fill(stream, memory + i * PAGE);
        else if (what < 8 && i >= 8) /* a file that is there twice */
            memcpy(memory + i * PAGE, memory + (i - 8) * PAGE, PAGE);
    }
    for (size_t i = 0; i < file_pages && i < pages; i++)
        if (i / 16 % 2) /* read from its disk, in pieces */
            memcpy(memory + i * PAGE, file + i * PAGE, PAGE);
    ram_stream_put(stream, "QEVM", 4);
    ram_stream_put_number(stream, 3, 4);
    ram_stream_put_number(stream, 7, 1);
    ram_stream_put_number(stream, 9, 4);
    ram_stream_put(stream, "pc-q35-72", 9);
    ram_stream_put_number(stream, 8, 1); /* a command */
    ram_stream_put_number(stream, 1, 2);
    ram_stream_put_number(stream, 0, 2);
    ram_stream_put_number(stream, 1, 1); /* a section begins */
    ram_stream_put_number(stream, 2, 4);
    put_name(stream, "ram");
    ram_stream_put_number(stream, 0, 4);
    ram_stream_put_number(stream, 4, 4);
    ram_stream_put_number(stream, (pages + 8) * PAGE | 0x04, 8);
    put_name(stream, "pc.ram");
    ram_stream_put_number(stream, pages * PAGE, 8);
    put_name(stream, "vga.vram");
    ram_stream_put_number(stream, 8 * PAGE, 8);
    ram_stream_put_number(stream, 0x10, 8);
    ram_stream_put_number(stream, 0x7e, 1);
    ram_stream_put_number(stream, 2, 4);
    for (unsigned i = 0; i < rounds; i++) {
        ram_stream_put_number(stream, i + 1 == rounds ? 3 : 2, 1);
        ram_stream_put_number(stream, 2, 4);
        put_round(stream, memory, pages, i ? dirty : NULL);
        work(stream, memory, pages, dirty);
    }
    ram_stream_put_number(stream, 4, 1); /* device state: opaque */
    for (size_t i = 0; i < 300; i++)
        ram_stream_put_number(stream, ram_stream_random(stream) & 0xff00ff00ff, 8);
    ram_stream_put_number(stream, 0, 1);
    free(memory);
    free(dirty);
}

void ram_stream_make(struct ram_stream *stream, uint64_t seed, size_t pages, unsigned rounds)
{
    ram_stream_make_of(stream, seed, pages, rounds, NULL, 0);
}

void ram_stream_free(struct ram_stream *stream)
{
    free(stream->bytes);
    *stream = (struct ram_stream){0};
}
