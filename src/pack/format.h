/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a host keeps of a session's memory stream: a *pack*, one file of a head, slots with sealed
 * *segments* of up to 256 pages, and a sealed manifest at its end. docs/content.rst is the
 * specification. Nothing here does I/O; nothing that is decoded is trusted.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/paths.h"

#define DRV_CONTENT_PAGE 4096u
#define DRV_SEGMENT_PAGES 256u
#define DRV_SEGMENT_BYTES (DRV_SEGMENT_PAGES * DRV_CONTENT_PAGE)
#define DRV_SLOT_BYTES (DRV_SEGMENT_BYTES + 4096u) /* pages, addresses, tag */
#define DRV_PACK_HEAD_BYTES 4096u
#define DRV_PACK_FOOT_BYTES 16u
#define DRV_PACK_SEGMENTS_MAX 4096u
#define DRV_PACKS_MAX 32u /* that a session may use */
#define DRV_DIGEST_BYTES 32u
#define DRV_SEAL_TAG_BYTES 16u
#define DRV_ADDRESS_UNKNOWN UINT64_MAX

/* Whose it is; readable by who may read the file, and bound to the manifest. */
struct drv_pack_head {
    uint8_t id[DRV_SESSION_ID_SIZE]; /* of the session */
    char uuid[40];                   /* of the VM */
    char vm[256];                    /* its name then */
    char owner[128];
    uint64_t created_ms; /* real time */
    unsigned bases;      /* packs that the session was given, in its brief's order */
    uint8_t base[DRV_PACKS_MAX][DRV_SESSION_ID_SIZE];
};

struct drv_pack_segment {
    uint8_t digest[DRV_DIGEST_BYTES]; /* SHA-256 of the pages */
    uint16_t pages;                   /* 1 … DRV_SEGMENT_PAGES */
};

/* What a session made of a pack that it was given. */
struct drv_pack_use {
    uint64_t bytes;   /* that needed not be sent because of it */
    uint32_t damaged; /* segments that could not be opened */
};

struct drv_pack_manifest {
    unsigned count;
    struct drv_pack_segment *segment; /* in the order of the slots; malloc */
    unsigned uses;                    /* one for each base of the head, in its order */
    struct drv_pack_use use[DRV_PACKS_MAX];
    unsigned missing; /* segments that could not be written */
};

/** drv_slot_at() - offset of a slot in the file. */
static inline uint64_t drv_slot_at(unsigned index)
{
    return DRV_PACK_HEAD_BYTES + (uint64_t)index * DRV_SLOT_BYTES;
}

/** drv_pack_head_encode() - Return: 0, or -EINVAL when a text is too long. */
int drv_pack_head_encode(uint8_t out[DRV_PACK_HEAD_BYTES], const struct drv_pack_head *head, struct drv_error *err);

/** drv_pack_head_decode() - Return: 0 or -EBADMSG. */
int drv_pack_head_decode(struct drv_pack_head *head, const uint8_t in[DRV_PACK_HEAD_BYTES], struct drv_error *err);

/** drv_pack_foot_encode() - where the manifest is. Units: bytes. */
void drv_pack_foot_encode(uint8_t out[DRV_PACK_FOOT_BYTES], uint64_t at, uint32_t size);

/** drv_pack_foot_decode() - of a file of @file_bytes: both are within it. Return: 0 or -EBADMSG. */
int drv_pack_foot_decode(const uint8_t in[DRV_PACK_FOOT_BYTES], uint64_t file_bytes, uint64_t *at, uint32_t *size,
                         struct drv_error *err);

/** drv_pack_manifest_size() - bytes that it takes, unsealed. */
size_t drv_pack_manifest_size(const struct drv_pack_manifest *manifest);

/** drv_pack_manifest_encode() - @out: drv_pack_manifest_size() bytes. */
void drv_pack_manifest_encode(uint8_t *out, const struct drv_pack_manifest *manifest);

/** drv_pack_manifest_decode() - Return: 0, -EBADMSG or -ENOMEM; then there is nothing to free. */
int drv_pack_manifest_decode(struct drv_pack_manifest *manifest, const uint8_t *in, size_t size, struct drv_error *err);

/** drv_pack_manifest_done() - free; a zeroed one is allowed. */
void drv_pack_manifest_done(struct drv_pack_manifest *manifest);
