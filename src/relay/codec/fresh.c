/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of the pages that the guest is writing: see fresh.h. */
#include "relay/codec/fresh.h"

#include "relay/codec/ram-parser.h"

#define FORGET_BYTES ((uint64_t)8 << 20) /* of the channel, after which older ones count half */

void drv_fresh_page(struct drv_fresh *fresh, bool first_round, size_t size)
{
    if (!first_round && !fresh->rewritten)
        *fresh = (struct drv_fresh){.rewritten = true};
    fresh->batch_raw += DRV_RAM_PAGE_SPAN;
    fresh->batch_body += size;
}

void drv_fresh_take(struct drv_fresh *fresh, size_t *raw, size_t *body)
{
    *raw = fresh->batch_raw;
    *body = fresh->batch_body;
    fresh->batch_raw = fresh->batch_body = 0;
}

void drv_fresh_add(struct drv_fresh *fresh, uint64_t raw, uint64_t encoded)
{
    fresh->raw += raw;
    fresh->encoded += encoded;
    if (fresh->raw > FORGET_BYTES) {
        fresh->raw /= 2;
        fresh->encoded /= 2;
    }
}
