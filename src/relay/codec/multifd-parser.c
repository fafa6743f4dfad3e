/* SPDX-License-Identifier: Apache-2.0 */
/* Recognises guest pages in one of QEMU's additional channels: see multifd-parser.h. */
#include "relay/codec/multifd-parser.h"

#include <string.h>

#include "base/cursor.h"

#define MAGIC 0x11223344u
#define VERSION 1u
#define NAME_AT (DRV_MULTIFD_HEADER_SIZE - 256u)
#define FLAG_SYNC 1u
#define FLAGS_COMPRESSION 6u /* zlib or zstd */
#define COMPRESSED_MAX (64u << 20)

enum state {
    AT_HELLO,     /* magic, version, UUID, number */
    AT_HEADER,    /* of a packet */
    AT_ADDRESSES, /* as many as a packet may have, whether used or not */
    AT_PAGES,
    AT_COMPRESSED,
    OPAQUE,
};

static void expect(struct drv_multifd_parser *parser, enum state state, uint64_t need)
{
    parser->state = state;
    parser->have = 0;
    parser->need = need;
}

void drv_multifd_parser_init(struct drv_multifd_parser *parser)
{
    memset(parser, 0, sizeof *parser);
    expect(parser, AT_HELLO, DRV_MULTIFD_HELLO_SIZE);
}

bool drv_multifd_parser_is_opaque(const struct drv_multifd_parser *parser)
{
    return parser->state == OPAQUE;
}

static void on_header(struct drv_multifd_parser *parser, struct drv_reader *field)
{
    uint32_t magic = drv_read_u32(field);
    uint32_t version = drv_read_u32(field);
    uint32_t flags = drv_read_u32(field);
    uint32_t most = drv_read_u32(field);
    uint32_t pages = drv_read_u32(field);
    uint32_t size = drv_read_u32(field);
    bool compressed = flags & FLAGS_COMPRESSION;
    const uint8_t *name = parser->field + NAME_AT;

    if (magic != MAGIC || version != VERSION || flags & ~(FLAG_SYNC | FLAGS_COMPRESSION) ||
        !most || most > DRV_MULTIFD_PAGES || pages > most || size > COMPRESSED_MAX ||
        (pages && !compressed && size != pages * DRV_PAGE_SIZE)) {
        expect(parser, OPAQUE, 0);
        return;
    }
    /* Without pages nothing follows, whatever the size is. */
    parser->pages = compressed ? 0 : pages;
    parser->compressed_bytes = compressed && pages ? size : 0;
    parser->block =
        drv_span_block(name, strnlen((const char *)name, DRV_MULTIFD_HEADER_SIZE - NAME_AT));
    expect(parser, AT_ADDRESSES, most * sizeof(uint64_t));
}

/* The field at hand is complete. */
static void step(struct drv_multifd_parser *parser)
{
    struct drv_reader field = drv_reader_over(parser->field, sizeof parser->field);
    uint32_t magic, version;

    switch ((enum state)parser->state) {
    case AT_HELLO:
        magic = drv_read_u32(&field);
        version = drv_read_u32(&field);
        if (magic == MAGIC && version == VERSION)
            expect(parser, AT_HEADER, DRV_MULTIFD_HEADER_SIZE);
        else
            expect(parser, OPAQUE, 0);
        break;
    case AT_HEADER:
        on_header(parser, &field);
        break;
    case AT_ADDRESSES:
        for (uint32_t i = 0; i < parser->pages; i++)
            parser->address[i] = drv_read_u64(&field);
        if (parser->pages)
            expect(parser, AT_PAGES, (uint64_t)parser->pages * DRV_PAGE_SIZE);
        else if (parser->compressed_bytes)
            expect(parser, AT_COMPRESSED, parser->compressed_bytes);
        else
            expect(parser, AT_HEADER, DRV_MULTIFD_HEADER_SIZE);
        break;
    case AT_PAGES:
    case AT_COMPRESSED:
        expect(parser, AT_HEADER, DRV_MULTIFD_HEADER_SIZE);
        break;
    case OPAQUE:
        break;
    }
}

/* Takes up to the end of the field at hand, or of the page that was begun. */
static size_t take_field(struct drv_multifd_parser *parser, const uint8_t *bytes, size_t size)
{
    uint64_t left = parser->need - parser->have;
    size_t taken;

    if (parser->state == AT_PAGES)
        left = DRV_PAGE_SIZE - parser->have % DRV_PAGE_SIZE;
    taken = left < size ? (size_t)left : size;
    if (parser->state != AT_PAGES && parser->state != AT_COMPRESSED)
        memcpy(parser->field + parser->have, bytes, taken);
    parser->have += taken;
    if (parser->have == parser->need)
        step(parser);
    return taken;
}

struct drv_span drv_multifd_parser_next(struct drv_multifd_parser *parser, const uint8_t *bytes,
                                        size_t size, bool all)
{
    struct drv_span span = {.kind = DRV_SPAN_OPAQUE};

    while (span.size < size) {
        bool at_page = parser->state == AT_PAGES && parser->have % DRV_PAGE_SIZE == 0;

        if (parser->state == OPAQUE) {
            span.size = size;
            break;
        }
        if (at_page && (!all || size - span.size >= DRV_PAGE_SIZE)) {
            if (span.size)
                break; /* first what is before it */
            span.address = parser->address[parser->have / DRV_PAGE_SIZE];
            span.block = parser->block;
            span.kind = size < DRV_PAGE_SIZE ? DRV_SPAN_MORE : DRV_SPAN_BLOCK;
            span.size = DRV_PAGE_SIZE;
            if (span.kind == DRV_SPAN_BLOCK)
                (void)take_field(parser, bytes, DRV_PAGE_SIZE);
            break;
        }
        span.size += take_field(parser, bytes + span.size, size - span.size);
    }
    return span;
}
