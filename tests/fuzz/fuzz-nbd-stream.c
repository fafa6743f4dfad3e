/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any input of a disk's channel comes out as it went in, however it is cut up; and once more over
 * another disk's, which refers to what the first one has brought.
 */
#include "channel.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz_channel disk, clone;

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
    return 0;
}
