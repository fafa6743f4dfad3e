/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and writing a pack (format.h) through a descriptor, by pread, pwrite and ftruncate only. A pack
 * is complete when its foot is there; what is found wrong in it costs what it holds, no more.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "pack/format.h"
#include "pack/seal.h"

/** drv_pack_begin() - write the head of a new pack. Return: 0 or -errno. */
int drv_pack_begin(int fd, const struct drv_pack_head *head, struct drv_error *err);

/**
 * drv_pack_save() - seal a segment into a slot and note its digest.
 * @pages:     @count of them; the cipher works in place: they are gone when this returns
 * @addresses: of each, or DRV_ADDRESS_UNKNOWN
 * @segment:   receives what belongs into the manifest
 */
int drv_pack_save(int fd, const struct drv_seal_key *key, unsigned index, uint8_t *pages, const uint64_t *addresses,
                  unsigned count, struct drv_pack_segment *segment, struct drv_error *err);

/** drv_pack_finish() - write manifest and foot behind the last segment: from then on it counts. */
int drv_pack_finish(int fd, const struct drv_seal_key *key, const struct drv_pack_manifest *manifest,
                    struct drv_error *err);

/**
 * drv_pack_load() - open a segment.
 * @pages:     receives segment->pages pages; on failure they are zeros
 * @addresses: receives as many
 * Return: 0; -EBADMSG: damaged; -errno.
 */
int drv_pack_load(int fd, const struct drv_seal_key *key, unsigned index, const struct drv_pack_segment *segment,
                  uint8_t *pages, uint64_t *addresses, struct drv_error *err);

/** drv_pack_read_head() - Return: 0, -EBADMSG or -errno. */
int drv_pack_read_head(int fd, struct drv_pack_head *head, struct drv_error *err);

/** drv_pack_read_manifest() - Return: 0 and @manifest to be freed; -EBADMSG: no pack, or not this key. */
int drv_pack_read_manifest(int fd, const struct drv_seal_key *key, struct drv_pack_manifest *manifest,
                           struct drv_error *err);
