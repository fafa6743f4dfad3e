/* SPDX-License-Identifier: Apache-2.0 */
/* Recognises guest pages in QEMU's migration stream: see ram-parser.h. */
#include "relay/codec/ram-parser.h"

#include <string.h>

#include "base/cursor.h"

#define VERSION 3u
#define COMMAND_PACKAGED 8u

enum section { EOF_MARK, START, PART, END, FULL, CONFIGURATION = 7, COMMAND = 8, FOOTER = 0x7e };

enum state {
    AT_MAGIC,         /* magic, version */
    AT_TYPE,          /* of the next section */
    AT_CONFIGURATION, /* its length */
    AT_COMMAND,       /* command, length */
    AT_PACKAGE,       /* length of a package */
    AT_SKIP,          /* bytes of no interest, then a type */
    AT_START,         /* id, length of the name */
    AT_NAME,
    AT_INSTANCE,     /* instance, version */
    AT_PART,         /* id */
    AT_FOOTER,       /* id */
    AT_HEADER,       /* of a page */
    AT_BLOCK_LENGTH, /* list of blocks: length of the name */
    AT_BLOCK_NAME,
    AT_BLOCK_SIZE,
    AT_PAGE_LENGTH, /* length of the name of the page's block */
    AT_PAGE_NAME,
    AT_CONTENT,
    AT_FILL,
    OPAQUE,
};

static void expect(struct drv_ram_parser *parser, enum state state, uint64_t need)
{
    parser->state = state;
    parser->need = need;
    parser->have = 0;
    parser->keep = state != AT_SKIP && state != AT_CONTENT;
}

/* A length of 0 would be a field that never ends: nothing that QEMU writes has one. */
static void expect_some(struct drv_ram_parser *parser, enum state state, uint64_t need)
{
    expect(parser, need ? state : OPAQUE, need);
}

void drv_ram_parser_init(struct drv_ram_parser *parser)
{
    memset(parser, 0, sizeof *parser);
    expect(parser, AT_MAGIC, 8);
}

bool drv_ram_parser_is_opaque(const struct drv_ram_parser *parser)
{
    return parser->state == OPAQUE;
}

/* A page is there: is it the first one of a round? */
static void note_page(struct drv_ram_parser *parser, uint64_t address)
{
    bool again = !parser->visits;

    if (parser->visits && parser->visited[parser->visits - 1] == parser->block) {
        again = address <= parser->last_address;
    } else {
        for (unsigned i = 0; i < parser->visits; i++)
            again = again || parser->visited[i] == parser->block;
        if (parser->visits < DRV_RAM_BLOCKS)
            parser->visits++;
        parser->visited[parser->visits - 1] = parser->block;
    }
    if (again) {
        parser->rounds++;
        parser->visited[0] = parser->block;
        parser->visits = 1;
    }
    parser->last_address = address;
}

static void on_type(struct drv_ram_parser *parser, uint8_t type)
{
    switch (type) {
    case START:
        expect(parser, AT_START, 5);
        break;
    case PART:
    case END:
        parser->stopped = parser->stopped || type == END;
        expect(parser, AT_PART, 4);
        break;
    case CONFIGURATION:
        expect(parser, AT_CONFIGURATION, 4);
        break;
    case COMMAND:
        expect(parser, AT_COMMAND, 4);
        break;
    case FOOTER:
        expect(parser, AT_FOOTER, 4);
        break;
    default: /* device state, which does not say where it ends, or the end */
        expect(parser, OPAQUE, 0);
    }
}

static void on_header(struct drv_ram_parser *parser, uint64_t header)
{
    uint64_t flags = header & DRV_RAM_FLAGS;
    bool same_block = flags & DRV_RAM_CONTINUE;

    parser->address = header & ~DRV_RAM_FLAGS;
    flags &= ~(uint64_t)DRV_RAM_CONTINUE;
    if (flags == DRV_RAM_PAGE || flags == DRV_RAM_ZERO) {
        parser->content_is_zero = flags == DRV_RAM_ZERO;
        if (same_block)
            note_page(parser, parser->address);
        if (!same_block)
            expect(parser, AT_PAGE_LENGTH, 1);
        else if (parser->content_is_zero)
            expect(parser, AT_FILL, 1);
        else
            expect(parser, AT_CONTENT, DRV_PAGE_SIZE);
    } else if (flags == DRV_RAM_MEM_SIZE && !same_block && parser->address) {
        parser->blocks_left = parser->address;
        expect(parser, AT_BLOCK_LENGTH, 1);
    } else if (header == DRV_RAM_EOS) {
        expect(parser, AT_TYPE, 1);
    } else {
        expect(parser, OPAQUE, 0);
    }
}

static void on_block_size(struct drv_ram_parser *parser, uint64_t size)
{
    if (size > parser->blocks_left || !size) {
        expect(parser, OPAQUE, 0);
        return;
    }
    parser->blocks_left -= size;
    if (parser->blocks_left)
        expect(parser, AT_BLOCK_LENGTH, 1);
    else
        expect(parser, AT_HEADER, DRV_RAM_HEADER_SIZE);
}

/* The field at hand is complete. */
static void step(struct drv_ram_parser *parser)
{
    struct drv_reader field = drv_reader_over(parser->field, parser->keep ? parser->need : 0);
    uint16_t command;
    uint32_t number;

    switch ((enum state)parser->state) {
    case AT_MAGIC:
        if (memcmp(parser->field, "QEVM\0\0\0", 7) != 0 || parser->field[7] != VERSION)
            expect(parser, OPAQUE, 0);
        else
            expect(parser, AT_TYPE, 1);
        break;
    case AT_TYPE:
        on_type(parser, parser->field[0]);
        break;
    case AT_CONFIGURATION:
        expect_some(parser, AT_SKIP, drv_read_u32(&field));
        break;
    case AT_COMMAND:
        command = drv_read_u16(&field);
        number = drv_read_u16(&field);
        if (command == COMMAND_PACKAGED && number == 4)
            expect(parser, AT_PACKAGE, 4);
        else if (command == COMMAND_PACKAGED)
            expect(parser, OPAQUE, 0);
        else if (number)
            expect(parser, AT_SKIP, number);
        else
            expect(parser, AT_TYPE, 1);
        break;
    case AT_PACKAGE:
        parser->postcopy = true;
        expect_some(parser, AT_SKIP, drv_read_u32(&field));
        break;
    case AT_SKIP:
    case AT_FOOTER:
        expect(parser, AT_TYPE, 1);
        break;
    case AT_START:
        parser->ram_section = drv_read_u32(&field);
        expect_some(parser, AT_NAME, drv_read_u8(&field));
        break;
    case AT_NAME:
        if (parser->has_ram || parser->need != 3 || memcmp(parser->field, "ram", 3) != 0) {
            expect(parser, OPAQUE, 0);
        } else {
            parser->has_ram = true;
            expect(parser, AT_INSTANCE, 8);
        }
        break;
    case AT_INSTANCE:
        expect(parser, AT_HEADER, DRV_RAM_HEADER_SIZE);
        break;
    case AT_PART:
        if (!parser->has_ram || drv_read_u32(&field) != parser->ram_section)
            expect(parser, OPAQUE, 0);
        else
            expect(parser, AT_HEADER, DRV_RAM_HEADER_SIZE);
        break;
    case AT_HEADER:
        on_header(parser, drv_read_u64(&field));
        break;
    case AT_BLOCK_LENGTH:
        expect_some(parser, AT_BLOCK_NAME, drv_read_u8(&field));
        break;
    case AT_BLOCK_NAME:
        expect(parser, AT_BLOCK_SIZE, 8);
        break;
    case AT_BLOCK_SIZE:
        on_block_size(parser, drv_read_u64(&field));
        break;
    case AT_PAGE_LENGTH:
        expect_some(parser, AT_PAGE_NAME, drv_read_u8(&field));
        break;
    case AT_PAGE_NAME:
        parser->block = drv_span_block(parser->field, parser->need);
        note_page(parser, parser->address);
        if (parser->content_is_zero)
            expect(parser, AT_FILL, 1);
        else
            expect(parser, AT_CONTENT, DRV_PAGE_SIZE);
        break;
    case AT_CONTENT:
    case AT_FILL:
        expect(parser, AT_HEADER, DRV_RAM_HEADER_SIZE);
        break;
    case OPAQUE:
        break;
    }
}

/* What the bytes at a header or a content are as a whole; kind OPAQUE: no such thing. */
static struct drv_span whole(const struct drv_ram_parser *parser, const uint8_t *bytes, size_t size)
{
    struct drv_span span = {.kind = DRV_SPAN_OPAQUE, .block = parser->block};
    struct drv_reader reader = drv_reader_over(bytes, size);
    uint64_t header;

    if (parser->have)
        return span;
    if (parser->state == AT_CONTENT) {
        span.kind = size < DRV_PAGE_SIZE ? DRV_SPAN_MORE : DRV_SPAN_CONTENT;
        span.size = DRV_PAGE_SIZE;
        span.address = parser->address;
        return span;
    }
    if (parser->state != AT_HEADER)
        return span;
    if (size < DRV_RAM_HEADER_SIZE) {
        span.kind = DRV_SPAN_MORE;
        span.size = DRV_RAM_HEADER_SIZE;
        return span;
    }
    header = drv_read_u64(&reader);
    span.address = header & ~DRV_RAM_FLAGS;
    if ((header & DRV_RAM_FLAGS) == (DRV_RAM_PAGE | DRV_RAM_CONTINUE)) {
        span.size = DRV_RAM_PAGE_SPAN;
        span.kind = size < span.size ? DRV_SPAN_MORE : DRV_SPAN_PAGE;
    } else if ((header & DRV_RAM_FLAGS) == (DRV_RAM_ZERO | DRV_RAM_CONTINUE)) {
        span.size = DRV_RAM_ZERO_SPAN;
        if (size < span.size)
            span.kind = DRV_SPAN_MORE;
        else if (bytes[DRV_RAM_HEADER_SIZE] == 0)
            span.kind = DRV_SPAN_ZERO;
    }
    return span;
}

/* Takes up to the end of the field at hand. */
static size_t take_field(struct drv_ram_parser *parser, const uint8_t *bytes, size_t size)
{
    uint64_t left = parser->need - parser->have;
    size_t taken = left < size ? (size_t)left : size;

    if (parser->keep)
        memcpy(parser->field + parser->have, bytes, taken);
    parser->have += taken;
    if (parser->have == parser->need)
        step(parser);
    return taken;
}

struct drv_span drv_ram_parser_next(struct drv_ram_parser *parser, const uint8_t *bytes, size_t size, bool all)
{
    struct drv_span opaque = {.kind = DRV_SPAN_OPAQUE};

    while (opaque.size < size) {
        struct drv_span span;

        if (parser->state == OPAQUE) {
            opaque.size = size;
            break;
        }
        span = whole(parser, bytes + opaque.size, size - opaque.size);
        if (span.kind == DRV_SPAN_MORE && !all)
            return opaque.size ? opaque : span;
        if (span.kind > DRV_SPAN_OPAQUE) {
            if (opaque.size)
                return opaque;
            parser->address = span.address;
            if (span.kind != DRV_SPAN_CONTENT)
                note_page(parser, span.address);
            expect(parser, AT_HEADER, DRV_RAM_HEADER_SIZE);
            return span;
        }
        opaque.size += take_field(parser, bytes + opaque.size, size - opaque.size);
    }
    return opaque;
}
