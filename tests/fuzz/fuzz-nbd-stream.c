/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any input of a disk's channel comes out as it went in, however it is cut up; once more over another disk's,
 * which refers to what the first one has brought; and once more to a target that has an older image, in which
 * is every other block that is written.
 */
#include <errno.h>
#include <string.h>

#include "channel.h"
#include "fuzz.h"
#include "relay/codec/nbd-parser.h"
#include "relay/codec/older.h"

#define BLOCKS 256u

static uint8_t image[BLOCKS * DRV_PAGE_SIZE];

static int read_image(void *data, uint64_t offset, uint8_t *to, size_t size, struct drv_error *err)
{
    (void)data;
    if (offset > sizeof image || size > sizeof image - offset)
        return drv_error_set(err, EINVAL, "not that large");
    memcpy(to, image + offset, size);
    return 0;
}

static void make_image(const uint8_t *data, size_t size)
{
    struct drv_nbd_parser parser;

    memset(image, 0, sizeof image);
    drv_nbd_parser_init(&parser);
    while (size) {
        struct drv_span span = drv_nbd_parser_next(&parser, data, size, true);

        if (span.kind == DRV_SPAN_BLOCK && span.address <= sizeof image - DRV_PAGE_SIZE &&
            span.address / DRV_PAGE_SIZE % 2)
            memcpy(image + span.address, data, DRV_PAGE_SIZE);
        data += span.size;
        size -= span.size;
    }
}

static struct drv_older *digest_image(void)
{
    static const uint8_t key[DRV_OLDER_KEY];
    static uint8_t digests[BLOCKS * DRV_OLDER_DIGEST];
    drv_digester *digester;
    struct drv_older *older;
    struct drv_error err;
    uint64_t first;

    fuzz_require(drv_older_new(&older, key, &err) == 0);
    fuzz_require(drv_digester_new(&digester, key, &err) == 0);
    for (size_t i = 0; i < BLOCKS; i++)
        fuzz_require(drv_digester_block(digester, image + i * DRV_PAGE_SIZE, digests + i * DRV_OLDER_DIGEST) == 0);
    drv_digester_free(digester);
    fuzz_require(drv_older_move(older, 0) && drv_older_ask(older, 1, &first) && first == 0);
    fuzz_require(drv_older_answer(older, 0, digests, sizeof digests, 1, &err) == 0);
    return older;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz_channel disk, clone, aged;
    struct drv_older *older;

    if (!size)
        return 0;
    fuzz_channel_begin(&disk, DRV_TRICKS_DISK);
    fuzz_channel_begin(&clone, DRV_TRICKS_DISK);
    drv_encoder_keep(disk.encoder);
    drv_decoder_keep(disk.decoder);
    drv_encoder_refer(clone.encoder, 1, disk.encoder);
    drv_decoder_refer(clone.decoder, 1, disk.decoder);
    fuzz_channel_run(&disk, data[0], data + 1, size - 1);
    fuzz_require(drv_encoder_remembered(disk.encoder) == drv_decoder_remembered(disk.decoder));
    drv_encoder_share(disk.encoder, drv_decoder_remembered(disk.decoder));
    fuzz_channel_run(&clone, data[0] ^ 0xffu, data + 1, size - 1);

    make_image(data + 1, size - 1);
    older = digest_image();
    fuzz_channel_begin(&aged, DRV_TRICKS_DISK);
    drv_encoder_set_older(aged.encoder, older);
    drv_decoder_set_older(aged.decoder, read_image, NULL);
    fuzz_channel_run(&aged, data[0] ^ 0x55u, data + 1, size - 1);
    drv_older_free(older);
    return 0;
}
