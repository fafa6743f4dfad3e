/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How content is sealed: AES-256-GCM, each pack with a key of its own, which is made from the key
 * that only the running host has, the owner's name and the pack's id. A pack is written once,
 * so that no nonce is ever used again. Any thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "pack/format.h"

#define DRV_SEAL_KEY_BYTES 32u

struct drv_seal_key {
    uint8_t bytes[DRV_SEAL_KEY_BYTES];
};

/** drv_seal_pack_key() - the key of a pack. Return: 0 or -EIO. */
int drv_seal_pack_key(struct drv_seal_key *key, const struct drv_seal_key *host, const char *owner,
                      const uint8_t id[DRV_SESSION_ID_SIZE], struct drv_error *err);

/** drv_seal_digest() - SHA-256. Return: 0 or -EIO. */
int drv_seal_digest(uint8_t digest[DRV_DIGEST_BYTES], const void *bytes, size_t size, struct drv_error *err);

/**
 * drv_seal_segment() - encrypt in place.
 * @index:     of its slot, never used before with this key
 * @pages:     segment->pages pages
 * @addresses: segment->pages × 8 bytes
 */
int drv_seal_segment(const struct drv_seal_key *key, unsigned index, const struct drv_pack_segment *segment,
                     uint8_t *pages, uint8_t *addresses, uint8_t tag[DRV_SEAL_TAG_BYTES], struct drv_error *err);

/** drv_open_segment() - decrypt in place. Return: 0; -EBADMSG: it is not what was sealed. */
int drv_open_segment(const struct drv_seal_key *key, unsigned index, const struct drv_pack_segment *segment,
                     uint8_t *pages, uint8_t *addresses, const uint8_t tag[DRV_SEAL_TAG_BYTES], struct drv_error *err);

/** drv_seal_manifest() - encrypt in place, bound to the pack's head. @bytes has room for the tag behind it. */
int drv_seal_manifest(const struct drv_seal_key *key, const uint8_t head[DRV_PACK_HEAD_BYTES], uint8_t *bytes,
                      size_t size, struct drv_error *err);

/** drv_open_manifest() - @size with the tag. Return: 0 or -EBADMSG. */
int drv_open_manifest(const struct drv_seal_key *key, const uint8_t head[DRV_PACK_HEAD_BYTES], uint8_t *bytes,
                      size_t size, struct drv_error *err);
