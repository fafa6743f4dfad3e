/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of server names: any bytes, and the same answer however many follow. */
#include <stdlib.h>
#include <string.h>

#include "api/sni.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char whole[DRV_SNI_NAME_MOST + 1], half[DRV_SNI_NAME_MOST + 1];
    enum drv_sni_result result = drv_sni_parse(bytes, size, whole);
    enum drv_sni_result before = drv_sni_parse(bytes, size / 2, half);

    /* What is good has only good beginnings; what is bad stays bad. */
    if (result == DRV_SNI_FOUND && before == DRV_SNI_BAD)
        abort();
    if (before == DRV_SNI_BAD && result != DRV_SNI_BAD)
        abort();
    if (result == DRV_SNI_FOUND && strlen(whole) > DRV_SNI_NAME_MOST)
        abort();
    return 0;
}
