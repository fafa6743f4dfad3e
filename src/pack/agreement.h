/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What two relays tell each other about known content before anything is encoded (the CONTENT
 * frame of docs/wire.rst): which list of segments they mean, and which of them they could
 * open. Only what both could open is used.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "pack/format.h"

#define DRV_AGREEMENT_MIN (2u + DRV_DIGEST_BYTES)
#define DRV_AGREEMENT_MAX (DRV_AGREEMENT_MIN + DRV_PACK_SEGMENTS_MAX / 8u)

struct drv_agreement {
    unsigned count;                         /* segments in the list; 0: this end uses none */
    uint8_t root[DRV_DIGEST_BYTES];         /* drv_brief_root(); all 0 without segments */
    uint8_t has[DRV_PACK_SEGMENTS_MAX / 8]; /* bit i % 8 of byte i / 8: segment i could be opened */
};

static inline bool drv_agreement_has(const struct drv_agreement *agreement, unsigned index)
{
    return agreement->has[index / 8] >> index % 8 & 1;
}

static inline void drv_agreement_add(struct drv_agreement *agreement, unsigned index)
{
    agreement->has[index / 8] = (uint8_t)(agreement->has[index / 8] | 1u << index % 8);
}

/** drv_agreement_encode() - Return: bytes. */
size_t drv_agreement_encode(uint8_t out[DRV_AGREEMENT_MAX], const struct drv_agreement *agreement);

/** drv_agreement_decode() - Return: 0 or -EPROTO. */
int drv_agreement_decode(struct drv_agreement *agreement, const uint8_t *in, size_t size, struct drv_error *err);

/**
 * drv_agreement_settle() - what both have, into @here. The same at both ends.
 * Return: whether anything is used: the lists are the same and not empty.
 */
bool drv_agreement_settle(struct drv_agreement *here, const struct drv_agreement *there);
