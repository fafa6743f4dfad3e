/* SPDX-License-Identifier: Apache-2.0 */
/* Recognises blocks of a disk in what an NBD client sends: see nbd-parser.h. */
#include "relay/codec/nbd-parser.h"

#include <string.h>

#include "base/cursor.h"

#define OPTION_MAGIC UINT64_C(0x49484156454f5054) /* "IHAVEOPT" */
#define REQUEST_MAGIC 0x25609513u
#define FLAGS_KNOWN 3u /* fixed newstyle, no zeroes */
#define OPTION_EXPORT_NAME 1u
#define OPTION_STARTTLS 5u
#define OPTION_GO 7u
#define OPTION_DATA_MAX 65536u /* QEMU's are below 5 KiB */

enum request { READ, WRITE, DISCONNECT, FLUSH, TRIM, CACHE, WRITE_ZEROES, BLOCK_STATUS, REQUESTS };

enum state {
    AT_FLAGS,
    AT_OPTION_OR_REQUEST, /* the first half of the one's magic, or the other's */
    AT_OPTION,            /* the rest of it: magic, option, length */
    AT_OPTION_DATA,
    AT_REQUEST, /* the rest of it */
    AT_PAYLOAD, /* of a write */
    OPAQUE,
};

/* A field of @need bytes in all, of which @have are there. */
static void expect(struct drv_nbd_parser *parser, enum state state, uint64_t have, uint64_t need)
{
    parser->state = state;
    parser->have = have;
    parser->need = need;
}

void drv_nbd_parser_init(struct drv_nbd_parser *parser)
{
    memset(parser, 0, sizeof *parser);
    expect(parser, AT_FLAGS, 0, 4);
}

bool drv_nbd_parser_is_opaque(const struct drv_nbd_parser *parser)
{
    return parser->state == OPAQUE;
}

static void on_option(struct drv_nbd_parser *parser, struct drv_reader *field)
{
    uint64_t magic = drv_read_u64(field);
    uint32_t option = drv_read_u32(field);
    uint32_t size = drv_read_u32(field);

    parser->option = option;
    if (magic != OPTION_MAGIC || option == OPTION_STARTTLS || size > OPTION_DATA_MAX)
        expect(parser, OPAQUE, 0, 0);
    else if (size)
        expect(parser, AT_OPTION_DATA, 0, size);
    else
        expect(parser, AT_OPTION_OR_REQUEST, 0, 4);
}

/* Which disk it is that is written to. */
static void on_option_data(struct drv_nbd_parser *parser)
{
    struct drv_reader data = drv_reader_over(parser->data, sizeof parser->data);
    uint64_t size = parser->need;

    if (parser->option == OPTION_GO)
        size = drv_read_u32(&data);
    else if (parser->option != OPTION_EXPORT_NAME)
        return;
    parser->named = true;
    parser->name[0] = '\0';
    if (size > DRV_NBD_NAME_MAX || size > parser->need)
        return;
    memcpy(parser->name, data.at, (size_t)size);
    parser->name[size] = '\0';
}

static void on_request(struct drv_nbd_parser *parser, struct drv_reader *field)
{
    uint16_t type;
    uint32_t size;

    (void)drv_read_u32(field); /* magic */
    (void)drv_read_u16(field); /* flags */
    type = drv_read_u16(field);
    (void)drv_read_u64(field); /* cookie */
    parser->offset = drv_read_u64(field);
    size = drv_read_u32(field);
    if ((type == WRITE || type == WRITE_ZEROES || type == TRIM) && parser->offset < INT64_MAX &&
        parser->reached < parser->offset + size)
        parser->reached = parser->offset + size;
    if (type >= REQUESTS)
        expect(parser, OPAQUE, 0, 0);
    else if (type == WRITE && size)
        expect(parser, AT_PAYLOAD, 0, size);
    else
        expect(parser, AT_OPTION_OR_REQUEST, 0, 4);
}

/* The field at hand is complete. */
static void step(struct drv_nbd_parser *parser)
{
    struct drv_reader field = drv_reader_over(parser->field, sizeof parser->field);
    uint32_t word;

    switch ((enum state)parser->state) {
    case AT_FLAGS:
        if (drv_read_u32(&field) & ~FLAGS_KNOWN)
            expect(parser, OPAQUE, 0, 0);
        else
            expect(parser, AT_OPTION_OR_REQUEST, 0, 4);
        break;
    case AT_OPTION_OR_REQUEST:
        word = drv_read_u32(&field);
        if (word == REQUEST_MAGIC)
            expect(parser, AT_REQUEST, 4, DRV_NBD_REQUEST_SIZE);
        else if (word == (uint32_t)(OPTION_MAGIC >> 32))
            expect(parser, AT_OPTION, 4, 16);
        else
            expect(parser, OPAQUE, 0, 0);
        break;
    case AT_OPTION:
        on_option(parser, &field);
        break;
    case AT_REQUEST:
        on_request(parser, &field);
        break;
    case AT_OPTION_DATA:
        on_option_data(parser);
        expect(parser, AT_OPTION_OR_REQUEST, 0, 4);
        break;
    case AT_PAYLOAD:
        expect(parser, AT_OPTION_OR_REQUEST, 0, 4);
        break;
    case OPAQUE:
        break;
    }
}

/* Takes up to the end of the field at hand, or of the block in which the payload begins. */
static size_t take_field(struct drv_nbd_parser *parser, const uint8_t *bytes, size_t size)
{
    uint64_t left = parser->need - parser->have;
    uint64_t to_block = DRV_PAGE_SIZE - parser->offset % DRV_PAGE_SIZE;
    size_t taken;

    if (parser->state == AT_PAYLOAD && left > to_block)
        left = to_block;
    taken = left < size ? (size_t)left : size;
    if (parser->state == AT_PAYLOAD)
        parser->offset += taken;
    else if (parser->state != AT_OPTION_DATA)
        memcpy(parser->field + parser->have, bytes, taken);
    else if (parser->have < sizeof parser->data)
        memcpy(parser->data + parser->have, bytes,
               taken < sizeof parser->data - parser->have ? taken : sizeof parser->data - parser->have);
    parser->have += taken;
    if (parser->have == parser->need)
        step(parser);
    return taken;
}

static bool at_block(const struct drv_nbd_parser *parser)
{
    return parser->state == AT_PAYLOAD && parser->offset % DRV_PAGE_SIZE == 0 &&
           parser->need - parser->have >= DRV_PAGE_SIZE;
}

struct drv_span drv_nbd_parser_next(struct drv_nbd_parser *parser, const uint8_t *bytes, size_t size, bool all)
{
    struct drv_span span = {.kind = DRV_SPAN_OPAQUE};

    while (span.size < size) {
        if (parser->state == OPAQUE) {
            span.size = size;
            break;
        }
        if (at_block(parser) && (!all || size - span.size >= DRV_PAGE_SIZE)) {
            if (span.size)
                break; /* first what is before it */
            span.address = parser->offset;
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
