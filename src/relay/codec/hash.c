/* SPDX-License-Identifier: Apache-2.0 */
/* The codec's hash: see hash.h. */
#include "relay/codec/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t drv_codec_hash(const void *bytes, size_t size, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, size, seed);
}
