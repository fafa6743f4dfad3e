/* SPDX-License-Identifier: Apache-2.0 */
/* Any input of an additional channel of memory comes out as it went in, however it is cut up. */
#include "channel.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz_channel channel;

    if (!size)
        return 0;
    fuzz_channel_begin(&channel, DRV_TRICKS_MULTIFD);
    fuzz_channel_run(&channel, data[0], data + 1, size - 1);
    return 0;
}
