/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zstd in memory of a fixed size, which is all taken when it is set up. What is compressed one after
 * the other is one zstd frame that is flushed each time and never ends, so that the last
 * megabyte of it helps to compress the next. Another level begins another frame.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define DRV_SQUEEZE_WINDOW_LOG 20 /* what both ends remember of a frame: 1 MiB */

struct drv_squeezer {
    void *memory;
    size_t memory_bytes;
    void *context; /* within memory */
    bool inside;   /* a frame has begun */
    int level;     /* that frame's */
};

/** drv_squeezer_init() - compress by any level up to @level_max. Return: 0 or -ENOMEM. */
int drv_squeezer_init(struct drv_squeezer *squeezer, int level_max, struct drv_error *err);

/** drv_squeezer_memory() - bytes that such a squeezer takes. */
size_t drv_squeezer_memory(int level_max);

/** drv_expander_init() - decompress what a squeezer has made. Return: 0 or -ENOMEM. */
int drv_expander_init(struct drv_squeezer *expander, struct drv_error *err);

/** drv_expander_memory() - bytes that it takes. */
size_t drv_expander_memory(void);

/** drv_squeezer_reset() - either forgets what went before. */
void drv_squeezer_reset(struct drv_squeezer *squeezer);

/** drv_squeezer_done() - free either; a zeroed one is allowed. */
void drv_squeezer_done(struct drv_squeezer *squeezer);

/**
 * drv_squeeze() - compress the next @size bytes.
 * @begins: receives whether a frame begins with them
 * Return: bytes at @out, or 0 when they do not become smaller than @room or @size; then all is forgotten.
 */
size_t drv_squeeze(struct drv_squeezer *squeezer, int level, uint8_t *out, size_t room, const uint8_t *bytes,
                   size_t size, bool *begins);

/**
 * drv_expand() - what the next call of drv_squeeze() has made.
 * @begins: as it has said
 * @out:    room for @size + 1 bytes
 * Return: 0; -1 when it is not exactly @size bytes, or nothing has begun: then it is of no more use.
 */
int drv_expand(struct drv_squeezer *expander, bool begins, uint8_t *out, size_t size, const uint8_t *bytes,
               size_t compressed);
