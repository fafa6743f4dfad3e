/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes from another relay: the decoder refuses them or gives what they say, within its
 * memory, and the same whatever pieces they come in. Built for libFuzzer the decoder takes any
 * check as right, so that what lies behind it is reached.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "relay/codec/decoder.h"
#include "relay/codec/hash.h"

#define CACHE_PAGES 4

static drv_decoder *decoder;

static void require(int condition)
{
    if (!condition)
        abort();
}

/* Feeds all in pieces of @step. Return: bytes of output. */
static size_t run(const uint8_t *data, size_t size, size_t step, uint64_t *hash)
{
    size_t came = 0;

    drv_decoder_reset(decoder, 1);
    *hash = 0;
    while (size) {
        size_t much = size < step ? size : step, used;
        struct drv_error err;
        const uint8_t *out;
        int rc = drv_decoder_feed(decoder, data, much, &used, &err);

        require(used <= much);
        much = drv_decoder_output(decoder, &out);
        require(much <= DRV_RECORD_RAW_MAX);
        require(rc > 0 || much == 0);
        if (rc < 0)
            break;
        *hash = much ? drv_codec_hash(out, much, *hash) : *hash;
        came += much;
        drv_decoder_take(decoder, much);
        data += used;
        size -= used;
    }
    return came;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct drv_error err;
    uint64_t whole, pieces;
    size_t came;

    if (!decoder)
        require(drv_decoder_new(&decoder, CACHE_PAGES, 1, &err) == 0);
    came = run(data, size, SIZE_MAX, &whole);
    require(run(data, size, 7, &pieces) == came && whole == pieces);
    return 0;
}
