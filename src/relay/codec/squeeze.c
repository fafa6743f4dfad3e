/* SPDX-License-Identifier: Apache-2.0 */
/* zstd in memory of a fixed size: see squeeze.h. */
#include "relay/codec/squeeze.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ZSTD_STATIC_LINKING_ONLY /* contexts in our memory, and how much they need */
#include <zstd.h>

/* Levels choose other parameters for small inputs: the largest need of all of them. */
size_t drv_squeezer_memory(int level_max, size_t most)
{
    size_t need = 0;

    for (int level = 1; level <= level_max; level++)
        for (size_t size = 1024; size < 2 * most; size *= 2) {
            ZSTD_compressionParameters parameters =
                ZSTD_getCParams(level, size < most ? size : most, 0);
            size_t bytes = ZSTD_estimateCCtxSize_usingCParams(parameters);

            if (bytes > need)
                need = bytes;
        }
    return need + need / 4;
}

int drv_squeezer_init(struct drv_squeezer *squeezer, int level_max, size_t most,
                      struct drv_error *err)
{
    *squeezer = (struct drv_squeezer){.memory_bytes = drv_squeezer_memory(level_max, most)};
    squeezer->memory = malloc(squeezer->memory_bytes);
    if (!squeezer->memory)
        return drv_error_set(err, ENOMEM, "no memory for compression");
    squeezer->context = ZSTD_initStaticCCtx(squeezer->memory, squeezer->memory_bytes);
    if (!squeezer->context) {
        drv_squeezer_done(squeezer);
        return drv_error_set(err, ENOMEM, "cannot set up compression");
    }
    return 0;
}

int drv_expander_init(struct drv_squeezer *expander, struct drv_error *err)
{
    *expander = (struct drv_squeezer){.memory_bytes = ZSTD_estimateDCtxSize()};
    expander->memory = malloc(expander->memory_bytes);
    if (!expander->memory)
        return drv_error_set(err, ENOMEM, "no memory for decompression");
    expander->context = ZSTD_initStaticDCtx(expander->memory, expander->memory_bytes);
    if (!expander->context) {
        drv_squeezer_done(expander);
        return drv_error_set(err, ENOMEM, "cannot set up decompression");
    }
    return 0;
}

void drv_squeezer_done(struct drv_squeezer *squeezer)
{
    free(squeezer->memory);
    *squeezer = (struct drv_squeezer){0};
}

size_t drv_squeeze(struct drv_squeezer *squeezer, int level, uint8_t *out, size_t room,
                   const uint8_t *bytes, size_t size)
{
    size_t made;

    (void)ZSTD_CCtx_setParameter(squeezer->context, ZSTD_c_compressionLevel, level);
    (void)ZSTD_CCtx_setParameter(squeezer->context, ZSTD_c_contentSizeFlag, 0);
    made = ZSTD_compress2(squeezer->context, out, room, bytes, size);
    return ZSTD_isError(made) || made >= size ? 0 : made;
}

int drv_expand(struct drv_squeezer *expander, uint8_t *out, size_t size, const uint8_t *bytes,
               size_t compressed)
{
    size_t made = ZSTD_decompressDCtx(expander->context, out, size, bytes, compressed);

    return ZSTD_isError(made) || made != size ? -1 : 0;
}
