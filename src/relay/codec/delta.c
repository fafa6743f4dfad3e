/* SPDX-License-Identifier: Apache-2.0 */
/* A page as what differs from another: see delta.h. */
#include "relay/codec/delta.h"

#include <string.h>

#include "relay/codec/record.h"

#define GAP 4u /* fewer equal bytes than this do not end a run: they cost as much */

static size_t varint_size(size_t value)
{
    return value < 0x80 ? 1 : 2; /* nothing here exceeds a page */
}

static size_t equal_from(const uint8_t *page, const uint8_t *base, size_t at)
{
    while (at + 8 <= DRV_PAGE_SIZE) {
        uint64_t left, right;

        memcpy(&left, page + at, 8);
        memcpy(&right, base + at, 8);
        if (left != right)
            break;
        at += 8;
    }
    while (at < DRV_PAGE_SIZE && page[at] == base[at])
        at++;
    return at;
}

/* Where a run of different bytes ends that begins at @at. */
static size_t run_from(const uint8_t *page, const uint8_t *base, size_t at)
{
    size_t end = at + 1;

    for (size_t i = end; i < DRV_PAGE_SIZE && i - end < GAP; i++)
        if (page[i] != base[i])
            end = i + 1;
    return end;
}

size_t drv_delta_encode(uint8_t *out, size_t most, const uint8_t *page, const uint8_t *base)
{
    struct drv_writer writer = drv_writer_over(out, most);
    size_t at = 0;

    for (;;) {
        size_t from = equal_from(page, base, at);
        size_t end;

        if (from == DRV_PAGE_SIZE)
            break;
        end = run_from(page, base, from);
        if ((size_t)(writer.end - writer.at) < varint_size(from - at) + varint_size(end - from) + (end - from))
            return 0;
        drv_write_varint(&writer, from - at);
        drv_write_varint(&writer, end - from);
        drv_write_bytes(&writer, page + from, end - from);
        at = end;
    }
    return writer.bad ? 0 : drv_writer_used(&writer);
}

int drv_delta_decode(uint8_t *page, const uint8_t *delta, size_t size)
{
    struct drv_reader reader = drv_reader_over(delta, size);
    size_t at = 0;

    while (drv_reader_left(&reader)) {
        uint64_t equal = drv_read_varint(&reader);
        uint64_t length = drv_read_varint(&reader);
        const uint8_t *bytes;

        if (reader.bad || equal > DRV_PAGE_SIZE - at || length > DRV_PAGE_SIZE - at - equal)
            return -1;
        bytes = drv_read_bytes(&reader, (size_t)length);
        if (reader.bad)
            return -1;
        memcpy(page + at + equal, bytes, (size_t)length);
        at += (size_t)(equal + length);
    }
    return 0;
}
