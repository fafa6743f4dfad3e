/* SPDX-License-Identifier: Apache-2.0 */
/* From a closed batch to its record: see bale.h. */
#include "relay/codec/bale.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int drv_bale_init(struct drv_bale *bale, struct drv_error *err)
{
    *bale = (struct drv_bale){.memory = malloc(DRV_BALE_BODY)};
    return bale->memory ? 0 : drv_error_set(err, ENOMEM, "no memory for a batch");
}

void drv_bale_done(struct drv_bale *bale)
{
    free(bale->memory);
    *bale = (struct drv_bale){0};
}

size_t drv_bale_press(struct drv_bale *bale, struct drv_squeezer *lane, unsigned number, uint8_t *out)
{
    struct drv_record *record = &bale->record;
    uint8_t *body = out + DRV_RECORD_HEADER_SIZE;
    bool begins = false;

    if (record->method == DRV_RECORD_PLAIN)
        return drv_bale_most(bale);
    record->body = 0;
    if (bale->level)
        record->body =
            (uint32_t)drv_squeeze(lane, bale->level, body, DRV_RECORD_BODY_MAX, bale->body, record->expanded, &begins);
    if (record->body) {
        record->method = begins ? DRV_RECORD_BEGUN : DRV_RECORD_GOES_ON;
        record->lane = (uint8_t)number;
    } else {
        record->method = DRV_RECORD_STORED;
        record->body = record->expanded;
        memcpy(body, bale->body, record->expanded);
    }
    bale->fresh_encoded = (uint64_t)bale->fresh_body * record->body / record->expanded;
    drv_record_encode(out, record);
    return DRV_RECORD_HEADER_SIZE + record->body;
}
