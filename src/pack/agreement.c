/* SPDX-License-Identifier: Apache-2.0 */
/* What two relays say about known content: see agreement.h. */
#include "pack/agreement.h"

#include <errno.h>
#include <string.h>

#include "base/cursor.h"

static size_t bitmap_bytes(unsigned count)
{
    return (count + 7u) / 8u;
}

size_t drv_agreement_encode(uint8_t out[DRV_AGREEMENT_MAX], const struct drv_agreement *agreement)
{
    struct drv_writer writer = drv_writer_over(out, DRV_AGREEMENT_MAX);

    drv_write_u16(&writer, (uint16_t)agreement->count);
    drv_write_bytes(&writer, agreement->root, DRV_DIGEST_BYTES);
    drv_write_bytes(&writer, agreement->has, bitmap_bytes(agreement->count));
    return drv_writer_used(&writer);
}

int drv_agreement_decode(struct drv_agreement *agreement, const uint8_t *in, size_t size, struct drv_error *err)
{
    struct drv_reader reader = drv_reader_over(in, size);
    struct drv_agreement got = {.count = drv_read_u16(&reader)};
    const uint8_t *root = drv_read_bytes(&reader, DRV_DIGEST_BYTES);
    size_t bytes = bitmap_bytes(got.count);
    const uint8_t *has = got.count <= DRV_PACK_SEGMENTS_MAX ? drv_read_bytes(&reader, bytes) : NULL;

    /* The last byte's bits beyond the last segment must be 0, so that there is one way to say it. */
    if (!root || !has || drv_reader_left(&reader) || (got.count % 8 && has[bytes - 1] >> got.count % 8))
        return drv_error_set(err, EPROTO, "what the other relay says of known content makes no sense");
    memcpy(got.root, root, DRV_DIGEST_BYTES);
    memcpy(got.has, has, bytes);
    *agreement = got;
    return 0;
}

bool drv_agreement_settle(struct drv_agreement *here, const struct drv_agreement *there)
{
    bool same = here->count && here->count == there->count && memcmp(here->root, there->root, DRV_DIGEST_BYTES) == 0;

    if (!same) {
        memset(here, 0, sizeof *here);
        return false;
    }
    for (size_t i = 0; i < sizeof here->has; i++)
        here->has[i] &= there->has[i];
    return true;
}
