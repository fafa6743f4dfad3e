/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What droverd tells a relay of the content that both ends have: which segments of which packs go
 * into its cache, in which order, and with which keys; and the key of the pack that it may
 * write. It is handed over in a file in memory; the packs are descriptors beside it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "pack/format.h"
#include "pack/seal.h"

struct drv_brief_segment {
    uint8_t pack;   /* number in the brief */
    uint16_t index; /* its slot there */
    struct drv_pack_segment segment;
};

struct drv_brief {
    struct drv_seal_key key; /* of the pack to write */
    unsigned most_segments;  /* that may be written */
    unsigned packs;
    struct drv_seal_key pack_key[DRV_PACKS_MAX];
    unsigned count;                    /* segments, as they follow each other in the cache: what matters most last */
    struct drv_brief_segment *segment; /* malloc */
};

/** drv_brief_size() - bytes that it takes. */
size_t drv_brief_size(const struct drv_brief *brief);

/** drv_brief_encode() - @out: drv_brief_size() bytes. */
void drv_brief_encode(uint8_t *out, const struct drv_brief *brief);

/** drv_brief_decode() - Return: 0, -EINVAL or -ENOMEM; then there is nothing to free. */
int drv_brief_decode(struct drv_brief *brief, const uint8_t *in, size_t size, struct drv_error *err);

/** drv_brief_root() - one digest over all segments, by which two ends see that they mean the same. */
int drv_brief_root(const struct drv_brief *brief, uint8_t root[DRV_DIGEST_BYTES], struct drv_error *err);

/** drv_brief_write() - into a file in memory. Return: its descriptor, or -errno. */
int drv_brief_write(const struct drv_brief *brief, struct drv_error *err);

/** drv_brief_read() - from one. Return: 0 and @brief to be freed, or -errno. */
int drv_brief_read(int fd, struct drv_brief *brief, struct drv_error *err);

/** drv_brief_done() - free, and forget the keys; a zeroed one is allowed. */
void drv_brief_done(struct drv_brief *brief);
