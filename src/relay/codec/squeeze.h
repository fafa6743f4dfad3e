/* SPDX-License-Identifier: Apache-2.0 */
/* zstd in memory of a fixed size, which is all taken when it is set up. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct drv_squeezer {
    void *memory;
    size_t memory_bytes;
    void *context; /* within memory */
};

/** drv_squeezer_init() - compress up to @most bytes at once, by any level up to @level_max. */
int drv_squeezer_init(struct drv_squeezer *squeezer, int level_max, size_t most,
                      struct drv_error *err);

/** drv_squeezer_memory() - bytes that such a squeezer takes. */
size_t drv_squeezer_memory(int level_max, size_t most);

/** drv_expander_init() - decompress what a squeezer has made. */
int drv_expander_init(struct drv_squeezer *expander, struct drv_error *err);

/** drv_squeezer_done() - free either; a zeroed one is allowed. */
void drv_squeezer_done(struct drv_squeezer *squeezer);

/** drv_squeeze() - Return: bytes at @out, or 0 when it does not become smaller than @room. */
size_t drv_squeeze(struct drv_squeezer *squeezer, int level, uint8_t *out, size_t room,
                   const uint8_t *bytes, size_t size);

/** drv_expand() - Return: 0; -1 when it is not a frame of exactly @size bytes. */
int drv_expand(struct drv_squeezer *expander, uint8_t *out, size_t size, const uint8_t *bytes,
               size_t compressed);
