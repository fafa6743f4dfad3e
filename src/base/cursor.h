/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded cursor over bytes, big-endian: the only way in which wire formats are
 * read and written. Past its end it becomes bad and stays so; a caller may do many
 * operations and ask once at the end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct drv_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
};

struct drv_writer {
    uint8_t *start;
    uint8_t *at;
    uint8_t *end;
    bool bad;
};

static inline struct drv_reader drv_reader_over(const void *bytes, size_t size)
{
    /* Nothing at all may be NULL, to which not even 0 may be added. */
    return (struct drv_reader){.at = bytes, .end = size ? (const uint8_t *)bytes + size : bytes};
}

static inline size_t drv_reader_left(const struct drv_reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

static inline struct drv_writer drv_writer_over(void *bytes, size_t size)
{
    return (struct drv_writer){.start = bytes, .at = bytes, .end = size ? (uint8_t *)bytes + size : bytes};
}

static inline size_t drv_writer_used(const struct drv_writer *writer)
{
    return (size_t)(writer->at - writer->start);
}

/** drv_read_bytes() - @size bytes in place, or NULL (and the reader is bad). */
const uint8_t *drv_read_bytes(struct drv_reader *reader, size_t size);

/* One integer, or 0 and the reader is bad. */
uint8_t drv_read_u8(struct drv_reader *reader);
uint16_t drv_read_u16(struct drv_reader *reader);
uint32_t drv_read_u32(struct drv_reader *reader);
uint64_t drv_read_u64(struct drv_reader *reader);

/* What does not fit is not written and makes the writer bad. */
void drv_write_bytes(struct drv_writer *writer, const void *bytes, size_t size);
void drv_write_u8(struct drv_writer *writer, uint8_t value);
void drv_write_u16(struct drv_writer *writer, uint16_t value);
void drv_write_u32(struct drv_writer *writer, uint32_t value);
void drv_write_u64(struct drv_writer *writer, uint64_t value);
