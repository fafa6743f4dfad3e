/* SPDX-License-Identifier: Apache-2.0 */
/* The bounded big-endian cursor: see cursor.h. */
#include "base/cursor.h"

const uint8_t *drv_read_bytes(struct drv_reader *reader, size_t size)
{
    const uint8_t *bytes = reader->at;

    if (reader->bad || size > drv_reader_left(reader)) {
        reader->bad = true;
        return NULL;
    }
    reader->at += size;
    return bytes;
}

static uint64_t read_integer(struct drv_reader *reader, size_t size)
{
    const uint8_t *bytes = drv_read_bytes(reader, size);
    uint64_t value = 0;

    for (size_t i = 0; bytes && i < size; i++)
        value = value << 8 | bytes[i];
    return value;
}

uint8_t drv_read_u8(struct drv_reader *reader)
{
    return (uint8_t)read_integer(reader, 1);
}

uint16_t drv_read_u16(struct drv_reader *reader)
{
    return (uint16_t)read_integer(reader, 2);
}

uint32_t drv_read_u32(struct drv_reader *reader)
{
    return (uint32_t)read_integer(reader, 4);
}

uint64_t drv_read_u64(struct drv_reader *reader)
{
    return read_integer(reader, 8);
}

void drv_write_bytes(struct drv_writer *writer, const void *bytes, size_t size)
{
    if (writer->bad || size > (size_t)(writer->end - writer->at)) {
        writer->bad = true;
        return;
    }
    if (size)
        memcpy(writer->at, bytes, size);
    writer->at += size;
}

static void write_integer(struct drv_writer *writer, uint64_t value, size_t size)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
    drv_write_bytes(writer, bytes, size);
}

void drv_write_u8(struct drv_writer *writer, uint8_t value)
{
    write_integer(writer, value, 1);
}

void drv_write_u16(struct drv_writer *writer, uint16_t value)
{
    write_integer(writer, value, 2);
}

void drv_write_u32(struct drv_writer *writer, uint32_t value)
{
    write_integer(writer, value, 4);
}

void drv_write_u64(struct drv_writer *writer, uint64_t value)
{
    write_integer(writer, value, 8);
}
