/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes from another relay: the decoder refuses them or gives what they say, within its
 * memory, and the same whatever pieces they come in. Built for libFuzzer the decoder takes any
 * check as right, so that what lies behind it is reached.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "relay/codec/decoder.h"
#include "relay/codec/hash.h"

#define CACHE_PAGES 4

static drv_decoder *decoder, *disk;

static void require(int condition)
{
    if (!condition)
        abort();
}

/* Something to refer to: a page of zeros. */
static void fill(drv_decoder *to)
{
    static const uint8_t page[DRV_PAGE_SIZE],
        ops[] = {DRV_OP_BARE << DRV_OP_COUNT_BITS, DRV_OP_PAGES << DRV_OP_COUNT_BITS};
    static uint8_t bytes[DRV_RECORD_HEADER_SIZE + sizeof ops + sizeof page];
    const struct drv_record record = {.method = DRV_RECORD_STORED,
                                      .body = sizeof ops + sizeof page,
                                      .raw = sizeof page,
                                      .ops = sizeof ops,
                                      .expanded = sizeof ops + sizeof page,
                                      .check = drv_codec_hash(page, sizeof page, 1)};
    struct drv_error err;
    size_t used;

    drv_record_encode(bytes, &record);
    memcpy(bytes + DRV_RECORD_HEADER_SIZE, ops, sizeof ops);
    require(drv_decoder_feed(to, bytes, sizeof bytes, &used, &err) == 1);
    require(drv_decoder_remembered(to) == 1);
}

/* An older image of four blocks. */
static int read_older(void *data, uint64_t offset, uint8_t *to, size_t size, struct drv_error *err)
{
    (void)data;
    if (offset > 4 * DRV_PAGE_SIZE || size > 4 * DRV_PAGE_SIZE - offset)
        return drv_error_set(err, EINVAL, "not that large");
    memset(to, (int)(offset / DRV_PAGE_SIZE), size);
    return 0;
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

    if (!decoder) {
        require(drv_decoder_new(&decoder, CACHE_PAGES, 2, 1, &err) == 0);
        require(drv_decoder_new(&disk, CACHE_PAGES, 1, 1, &err) == 0);
        drv_decoder_keep(disk);
        drv_decoder_refer(decoder, 2, disk);
        drv_decoder_set_older(decoder, read_older, NULL);
        fill(disk);
    }
    came = run(data, size, SIZE_MAX, &whole);
    require(run(data, size, 7, &pieces) == came && whole == pieces);
    return 0;
}
