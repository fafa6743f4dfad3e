/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codec's hash: XXH3, 64 bits, seeded by the sender at random. It finds candidates, which are
 * then compared byte for byte, and it is the check that a record's bytes came out right.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/** drv_codec_hash() - of @size bytes. Any thread. */
uint64_t drv_codec_hash(const void *bytes, size_t size, uint64_t seed);
