/* SPDX-License-Identifier: Apache-2.0 */
/* The receiving half of a stream: see window.h. */
#include "relay/window.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

size_t drv_window_memory(size_t size)
{
    return size + size / 8;
}

int drv_window_init(struct drv_window *window, size_t size, struct drv_error *err)
{
    void *memory;

    if (size < 64 || (size & (size - 1)))
        return drv_error_set(err, EINVAL, "a window cannot have %zu bytes", size);
    /* Straight from the kernel: zeroed, and pages that are never needed are never there. */
    memory = mmap(NULL, drv_window_memory(size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return drv_error_set(err, ENOMEM, "no memory for a window of %zu bytes", size);
    *window = (struct drv_window){.ring = memory, .size = size};
    window->map = (uint64_t *)(void *)(window->ring + size);
    return 0;
}

void drv_window_done(struct drv_window *window)
{
    if (window->ring)
        munmap(window->ring, drv_window_memory(window->size));
    memset(window, 0, sizeof *window);
}

static uint64_t word_mask(size_t first, size_t bits)
{
    return (bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1) << first;
}

/* Marks bytes as arrived; -1 when one already was. */
static int mark(struct drv_window *window, uint64_t offset, size_t size)
{
    while (size) {
        size_t at = (size_t)(offset & (window->size - 1));
        size_t bits = 64 - at % 64;
        uint64_t mask;

        if (bits > size)
            bits = size;
        mask = word_mask(at % 64, bits);
        if (window->map[at / 64] & mask)
            return -1;
        window->map[at / 64] |= mask;
        offset += bits;
        size -= bits;
    }
    return 0;
}

/* Moves contiguous over what had arrived ahead of it, and unmarks that. */
static void absorb(struct drv_window *window)
{
    while (window->ahead) {
        size_t at = (size_t)(window->contiguous & (window->size - 1));
        uint64_t word = window->map[at / 64] >> (at % 64);
        size_t bits = word == UINT64_MAX ? 64 : (size_t)__builtin_ctzll(~word);

        if (bits > 64 - at % 64)
            bits = 64 - at % 64;
        if (!bits)
            return;
        window->map[at / 64] &= ~word_mask(at % 64, bits);
        window->contiguous += bits;
        window->ahead -= bits;
    }
}

int drv_window_reserve(struct drv_window *window, uint64_t offset, size_t size, struct drv_error *err)
{
    if (offset < window->contiguous)
        return drv_error_set(err, EPROTO, "the other relay sent the same bytes twice");
    if (offset > window->limit || size > window->limit - offset)
        return drv_error_set(err, EPROTO, "the other relay sent more than it was allowed to");
    if (offset == window->contiguous && !window->ahead) {
        window->contiguous += size;
        return 0;
    }
    if (mark(window, offset, size))
        return drv_error_set(err, EPROTO, "the other relay sent the same bytes twice");
    window->ahead += size;
    absorb(window);
    return 0;
}

void drv_window_fill(struct drv_window *window, uint64_t offset, const void *bytes, size_t size)
{
    size_t at = (size_t)(offset & (window->size - 1));
    size_t first = window->size - at < size ? window->size - at : size;

    memcpy(window->ring + at, bytes, first);
    memcpy(window->ring, (const uint8_t *)bytes + first, size - first);
}

size_t drv_window_peek(const struct drv_window *window, uint64_t from, const uint8_t **bytes)
{
    size_t at = (size_t)(from & (window->size - 1));
    uint64_t there = window->contiguous - from;

    *bytes = window->ring + at;
    return there < window->size - at ? (size_t)there : window->size - at;
}

void drv_window_take(struct drv_window *window, size_t size)
{
    window->delivered += size;
}

bool drv_window_grant(struct drv_window *window)
{
    uint64_t limit = window->delivered + window->size;

    if (limit - window->limit < window->size / 4)
        return false;
    window->limit = limit;
    return true;
}
