/* SPDX-License-Identifier: Apache-2.0 */
/* zstd in memory of a fixed size: see squeeze.h. */
#include "relay/codec/squeeze.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ZSTD_STATIC_LINKING_ONLY /* contexts in our memory, and how much they need */
#include <zstd.h>

size_t drv_squeezer_memory(int level_max)
{
    size_t need = 0;

    for (int level = 1; level <= level_max; level++) {
        ZSTD_compressionParameters parameters = ZSTD_getCParams(level, 0, 0);
        size_t bytes;

        parameters.windowLog = DRV_SQUEEZE_WINDOW_LOG;
        bytes = ZSTD_estimateCStreamSize_usingCParams(parameters);
        if (bytes > need)
            need = bytes;
    }
    return need + need / 8;
}

size_t drv_expander_memory(void)
{
    return ZSTD_estimateDStreamSize((size_t)1 << DRV_SQUEEZE_WINDOW_LOG);
}

int drv_squeezer_init(struct drv_squeezer *squeezer, int level_max, struct drv_error *err)
{
    *squeezer = (struct drv_squeezer){.memory_bytes = drv_squeezer_memory(level_max)};
    squeezer->memory = malloc(squeezer->memory_bytes);
    if (!squeezer->memory)
        return drv_error_set(err, ENOMEM, "no memory for compression");
    squeezer->context = ZSTD_initStaticCStream(squeezer->memory, squeezer->memory_bytes);
    if (!squeezer->context ||
        ZSTD_isError(ZSTD_CCtx_setParameter(squeezer->context, ZSTD_c_windowLog, DRV_SQUEEZE_WINDOW_LOG)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(squeezer->context, ZSTD_c_contentSizeFlag, 0))) {
        drv_squeezer_done(squeezer);
        return drv_error_set(err, ENOMEM, "cannot set up compression");
    }
    return 0;
}

int drv_expander_init(struct drv_squeezer *expander, struct drv_error *err)
{
    *expander = (struct drv_squeezer){.memory_bytes = drv_expander_memory()};
    expander->memory = malloc(expander->memory_bytes);
    if (!expander->memory)
        return drv_error_set(err, ENOMEM, "no memory for decompression");
    expander->context = ZSTD_initStaticDStream(expander->memory, expander->memory_bytes);
    if (!expander->context ||
        ZSTD_isError(ZSTD_DCtx_setParameter(expander->context, ZSTD_d_windowLogMax, DRV_SQUEEZE_WINDOW_LOG))) {
        drv_squeezer_done(expander);
        return drv_error_set(err, ENOMEM, "cannot set up decompression");
    }
    return 0;
}

void drv_squeezer_reset(struct drv_squeezer *squeezer)
{
    squeezer->inside = false;
}

void drv_squeezer_done(struct drv_squeezer *squeezer)
{
    free(squeezer->memory);
    *squeezer = (struct drv_squeezer){0};
}

size_t drv_squeeze(struct drv_squeezer *squeezer, int level, uint8_t *out, size_t room, const uint8_t *bytes,
                   size_t size, bool *begins)
{
    ZSTD_inBuffer in = {bytes, size, 0};
    ZSTD_outBuffer made = {out, room < size ? room : size, 0};
    size_t left;

    *begins = !squeezer->inside || level != squeezer->level;
    if (*begins) {
        (void)ZSTD_CCtx_reset(squeezer->context, ZSTD_reset_session_only);
        (void)ZSTD_CCtx_setParameter(squeezer->context, ZSTD_c_compressionLevel, level);
        squeezer->level = level;
    }
    do
        left = ZSTD_compressStream2(squeezer->context, &made, &in, ZSTD_e_flush);
    while (!ZSTD_isError(left) && left && made.pos < made.size);
    squeezer->inside = !left && made.pos < size;
    return squeezer->inside ? made.pos : 0;
}

int drv_expand(struct drv_squeezer *expander, bool begins, uint8_t *out, size_t size, const uint8_t *bytes,
               size_t compressed)
{
    ZSTD_inBuffer in = {bytes, compressed, 0};
    ZSTD_outBuffer made = {out, size + 1, 0};
    size_t in_before, out_before;

    if (begins)
        (void)ZSTD_DCtx_reset(expander->context, ZSTD_reset_session_only);
    else if (!expander->inside)
        return -1;
    expander->inside = true;
    do {
        in_before = in.pos;
        out_before = made.pos;
        if (ZSTD_isError(ZSTD_decompressStream(expander->context, &made, &in)))
            return -1;
    } while (in.pos != in_before || made.pos != out_before);
    return in.pos == compressed && made.pos == size ? 0 : -1;
}
