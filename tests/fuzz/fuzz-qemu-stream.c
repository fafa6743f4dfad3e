/* SPDX-License-Identifier: Apache-2.0 */
/* Any input of the channel of memory comes out as it went in, however it is cut up. */
#include "channel.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz_channel ram;

    if (!size)
        return 0;
    fuzz_channel_begin(&ram, DRV_TRICKS_ALL);
    fuzz_channel_run(&ram, data[0], data + 1, size - 1);
    return 0;
}
