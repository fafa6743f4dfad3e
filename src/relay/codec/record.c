/* SPDX-License-Identifier: Apache-2.0 */
/* The format of an encoded stream: see record.h. */
#include "relay/codec/record.h"

#include <errno.h>
#include <stdbool.h>

#define DRV_RECORD_LANE_SHIFT 8u
#define DRV_RECORD_LANE_BITS 0xff00u

void drv_record_encode(uint8_t out[DRV_RECORD_HEADER_SIZE], const struct drv_record *record)
{
    struct drv_writer writer = drv_writer_over(out, DRV_RECORD_HEADER_SIZE);

    drv_write_u32(&writer, (uint32_t)record->lane << DRV_RECORD_LANE_SHIFT | record->method);
    drv_write_u32(&writer, record->body);
    drv_write_u32(&writer, record->raw);
    drv_write_u32(&writer, record->ops);
    drv_write_u32(&writer, record->expanded);
    drv_write_u64(&writer, record->check);
}

static bool makes_sense(uint32_t method, const struct drv_record *record)
{
    bool compressed = method == DRV_RECORD_BEGUN || method == DRV_RECORD_GOES_ON;

    if (record->lane && (!compressed || record->lane >= DRV_LANES_MAX))
        return false;
    if (!record->body || record->body > DRV_RECORD_BODY_MAX || !record->raw || record->raw > DRV_RECORD_RAW_MAX)
        return false;
    if (method == DRV_RECORD_PLAIN)
        return record->body == record->raw && !record->ops && !record->expanded && !record->check;
    if (!record->ops || record->ops > DRV_RECORD_OPS_MAX || record->expanded < record->ops ||
        record->expanded - record->ops > DRV_RECORD_LITERALS_MAX)
        return false;
    if (method == DRV_RECORD_STORED)
        return record->body == record->expanded;
    return compressed;
}

int drv_record_decode(struct drv_record *record, const uint8_t in[DRV_RECORD_HEADER_SIZE], struct drv_error *err)
{
    struct drv_reader reader = drv_reader_over(in, DRV_RECORD_HEADER_SIZE);
    uint32_t first = drv_read_u32(&reader), method = first & ~DRV_RECORD_LANE_BITS;
    struct drv_record got;

    got.method = (uint8_t)method;
    got.lane = (uint8_t)((first & DRV_RECORD_LANE_BITS) >> DRV_RECORD_LANE_SHIFT);
    got.body = drv_read_u32(&reader);
    got.raw = drv_read_u32(&reader);
    got.ops = drv_read_u32(&reader);
    got.expanded = drv_read_u32(&reader);
    got.check = drv_read_u64(&reader);
    if (!makes_sense(method, &got))
        return drv_error_set(err, EPROTO,
                             "the other relay sent a record that makes no sense (method %u, %u "
                             "bytes for %u)",
                             method, got.body, got.raw);
    *record = got;
    return 0;
}

void drv_write_varint(struct drv_writer *writer, uint64_t value)
{
    while (value >= 0x80) {
        drv_write_u8(writer, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    drv_write_u8(writer, (uint8_t)value);
}

uint64_t drv_read_varint(struct drv_reader *reader)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 63; shift += 7) {
        uint8_t byte = drv_read_u8(reader);

        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return value;
    }
    reader->bad = true;
    return 0;
}
