/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as what another relay says of known content, and as the parts of a pack: they are
 * refused, or what they say is within its limits and is written again as it was. The first byte
 * says as what.
 */
#include <stdlib.h>
#include <string.h>

#include "pack/agreement.h"
#include "pack/brief.h"
#include "pack/format.h"
#include "fuzz.h"

static void require(int condition)
{
    if (!condition)
        abort();
}

static void as_agreement(const uint8_t *data, size_t size)
{
    struct drv_agreement got, own;
    uint8_t again[DRV_AGREEMENT_MAX];

    if (drv_agreement_decode(&got, data, size, NULL))
        return;
    require(got.count <= DRV_PACK_SEGMENTS_MAX);
    require(drv_agreement_encode(again, &got) == size && memcmp(again, data, size) == 0);
    own = got;
    require(drv_agreement_settle(&own, &got) == (got.count > 0));
}

static void as_manifest(const uint8_t *data, size_t size)
{
    struct drv_pack_manifest got;
    uint8_t *again;

    if (drv_pack_manifest_decode(&got, data, size, NULL))
        return;
    require(got.count <= DRV_PACK_SEGMENTS_MAX && got.uses <= DRV_PACKS_MAX);
    for (unsigned i = 0; i < got.count; i++)
        require(got.segment[i].pages > 0 && got.segment[i].pages <= DRV_SEGMENT_PAGES);
    require(drv_pack_manifest_size(&got) == size);
    again = malloc(size);
    if (again) {
        drv_pack_manifest_encode(again, &got);
        require(memcmp(again, data, size) == 0);
    }
    free(again);
    drv_pack_manifest_done(&got);
}

static void as_brief(const uint8_t *data, size_t size)
{
    struct drv_brief got;

    if (drv_brief_decode(&got, data, size, NULL))
        return;
    require(got.packs <= DRV_PACKS_MAX && got.count <= DRV_PACK_SEGMENTS_MAX);
    for (unsigned i = 0; i < got.count; i++)
        require(got.segment[i].pack < got.packs && got.segment[i].index < DRV_PACK_SEGMENTS_MAX);
    require(drv_brief_size(&got) == size);
    drv_brief_done(&got);
}

static void as_head_and_foot(const uint8_t *data, size_t size)
{
    uint8_t block[DRV_PACK_HEAD_BYTES] = {0}, again[DRV_PACK_HEAD_BYTES];
    struct drv_pack_head head;
    uint64_t at;
    uint32_t length;

    memcpy(block, data, size < sizeof block ? size : sizeof block);
    if (drv_pack_head_decode(&head, block, NULL) == 0)
        require(head.bases <= DRV_PACKS_MAX && drv_pack_head_encode(again, &head, NULL) == 0);
    if (drv_pack_foot_decode(block, (uint64_t)1 << 20, &at, &length, NULL) == 0)
        require(at + length + DRV_PACK_FOOT_BYTES == (uint64_t)1 << 20);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    switch (data[0] % 4) {
    case 0:
        as_agreement(data + 1, size - 1);
        break;
    case 1:
        as_manifest(data + 1, size - 1);
        break;
    case 2:
        as_brief(data + 1, size - 1);
        break;
    default:
        as_head_and_foot(data + 1, size - 1);
        break;
    }
    return 0;
}
