/* SPDX-License-Identifier: Apache-2.0 */
/* The format of a pack: see format.h. */
#include "pack/format.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"

#define VERSION 2u
#define SEGMENT_ENTRY (DRV_DIGEST_BYTES + 2u)
#define USE_ENTRY 12u

static const uint8_t head_magic[4] = {'D', 'R', 'V', 'C'};
static const uint8_t foot_magic[4] = {'D', 'R', 'V', 'E'};

static void write_text(struct drv_writer *writer, const char *text, size_t size)
{
    static const char zeros[256];
    size_t length = strnlen(text, size);

    if (length == size) {
        writer->bad = true;
        return;
    }
    drv_write_bytes(writer, text, length);
    drv_write_bytes(writer, zeros, size - length);
}

static void read_text(struct drv_reader *reader, char *text, size_t size)
{
    const uint8_t *bytes = drv_read_bytes(reader, size);

    if (!bytes)
        return;
    if (bytes[size - 1])
        reader->bad = true;
    memcpy(text, bytes, size);
    text[size - 1] = '\0';
}

int drv_pack_head_encode(uint8_t out[DRV_PACK_HEAD_BYTES], const struct drv_pack_head *head, struct drv_error *err)
{
    struct drv_writer writer = drv_writer_over(out, DRV_PACK_HEAD_BYTES);

    memset(out, 0, DRV_PACK_HEAD_BYTES);
    drv_write_bytes(&writer, head_magic, sizeof head_magic);
    drv_write_u32(&writer, VERSION);
    drv_write_bytes(&writer, head->id, sizeof head->id);
    write_text(&writer, head->uuid, sizeof head->uuid);
    write_text(&writer, head->vm, sizeof head->vm);
    write_text(&writer, head->owner, sizeof head->owner);
    drv_write_u64(&writer, head->created_ms);
    drv_write_u16(&writer, (uint16_t)head->bases);
    for (unsigned i = 0; i < head->bases && i < DRV_PACKS_MAX; i++)
        drv_write_bytes(&writer, head->base[i], sizeof head->base[i]);
    return writer.bad ? drv_error_set(err, EINVAL, "a name is too long to keep content by") : 0;
}

int drv_pack_head_decode(struct drv_pack_head *head, const uint8_t in[DRV_PACK_HEAD_BYTES], struct drv_error *err)
{
    struct drv_reader reader = drv_reader_over(in, DRV_PACK_HEAD_BYTES);
    const uint8_t *magic = drv_read_bytes(&reader, sizeof head_magic);
    uint32_t version = drv_read_u32(&reader);
    const uint8_t *id = drv_read_bytes(&reader, sizeof head->id);
    struct drv_pack_head got = {0};

    memcpy(got.id, id, sizeof got.id);
    read_text(&reader, got.uuid, sizeof got.uuid);
    read_text(&reader, got.vm, sizeof got.vm);
    read_text(&reader, got.owner, sizeof got.owner);
    got.created_ms = drv_read_u64(&reader);
    got.bases = drv_read_u16(&reader);
    if (got.bases > DRV_PACKS_MAX)
        reader.bad = true;
    for (unsigned i = 0; i < got.bases && !reader.bad; i++)
        memcpy(got.base[i], drv_read_bytes(&reader, sizeof got.base[i]), sizeof got.base[i]);
    if (reader.bad || memcmp(magic, head_magic, sizeof head_magic) != 0 || version != VERSION)
        return drv_error_set(err, EBADMSG, "it is not a pack of content of this version");
    *head = got;
    return 0;
}

void drv_pack_foot_encode(uint8_t out[DRV_PACK_FOOT_BYTES], uint64_t at, uint32_t size)
{
    struct drv_writer writer = drv_writer_over(out, DRV_PACK_FOOT_BYTES);

    drv_write_bytes(&writer, foot_magic, sizeof foot_magic);
    drv_write_u32(&writer, size);
    drv_write_u64(&writer, at);
}

int drv_pack_foot_decode(const uint8_t in[DRV_PACK_FOOT_BYTES], uint64_t file_bytes, uint64_t *at, uint32_t *size,
                         struct drv_error *err)
{
    struct drv_reader reader = drv_reader_over(in, DRV_PACK_FOOT_BYTES);
    const uint8_t *magic = drv_read_bytes(&reader, sizeof foot_magic);
    const size_t most = DRV_PACK_SEGMENTS_MAX * SEGMENT_ENTRY + DRV_PACKS_MAX * USE_ENTRY + 10u + DRV_SEAL_TAG_BYTES;

    *size = drv_read_u32(&reader);
    *at = drv_read_u64(&reader);
    if (memcmp(magic, foot_magic, sizeof foot_magic) != 0 || *size < DRV_SEAL_TAG_BYTES || *size > most ||
        *at < DRV_PACK_HEAD_BYTES || *at > file_bytes || file_bytes - *at != (uint64_t)*size + DRV_PACK_FOOT_BYTES)
        return drv_error_set(err, EBADMSG, "its end is missing");
    return 0;
}

size_t drv_pack_manifest_size(const struct drv_pack_manifest *manifest)
{
    return 4u + (size_t)manifest->count * SEGMENT_ENTRY + 2u + (size_t)manifest->uses * USE_ENTRY + 4u;
}

void drv_pack_manifest_encode(uint8_t *out, const struct drv_pack_manifest *manifest)
{
    struct drv_writer writer = drv_writer_over(out, drv_pack_manifest_size(manifest));

    drv_write_u32(&writer, manifest->count);
    for (unsigned i = 0; i < manifest->count; i++) {
        drv_write_bytes(&writer, manifest->segment[i].digest, DRV_DIGEST_BYTES);
        drv_write_u16(&writer, manifest->segment[i].pages);
    }
    drv_write_u16(&writer, (uint16_t)manifest->uses);
    for (unsigned i = 0; i < manifest->uses; i++) {
        drv_write_u64(&writer, manifest->use[i].bytes);
        drv_write_u32(&writer, manifest->use[i].damaged);
    }
    drv_write_u32(&writer, manifest->missing);
}

static bool read_segments(struct drv_reader *reader, struct drv_pack_manifest *manifest)
{
    for (unsigned i = 0; i < manifest->count; i++) {
        const uint8_t *digest = drv_read_bytes(reader, DRV_DIGEST_BYTES);

        if (!digest)
            return false;
        memcpy(manifest->segment[i].digest, digest, DRV_DIGEST_BYTES);
        manifest->segment[i].pages = drv_read_u16(reader);
        if (!manifest->segment[i].pages || manifest->segment[i].pages > DRV_SEGMENT_PAGES)
            return false;
    }
    return !reader->bad;
}

static bool read_uses(struct drv_reader *reader, struct drv_pack_manifest *manifest)
{
    manifest->uses = drv_read_u16(reader);
    if (reader->bad || manifest->uses > DRV_PACKS_MAX)
        return false;
    for (unsigned i = 0; i < manifest->uses; i++) {
        manifest->use[i].bytes = drv_read_u64(reader);
        manifest->use[i].damaged = drv_read_u32(reader);
    }
    manifest->missing = drv_read_u32(reader);
    return !reader->bad && !drv_reader_left(reader);
}

int drv_pack_manifest_decode(struct drv_pack_manifest *manifest, const uint8_t *in, size_t size, struct drv_error *err)
{
    struct drv_reader reader = drv_reader_over(in, size);
    struct drv_pack_manifest got = {.count = drv_read_u32(&reader)};

    if (reader.bad || got.count > DRV_PACK_SEGMENTS_MAX ||
        (uint64_t)got.count * SEGMENT_ENTRY > drv_reader_left(&reader))
        return drv_error_set(err, EBADMSG, "its manifest makes no sense");
    got.segment = calloc(got.count ? got.count : 1, sizeof *got.segment);
    if (!got.segment)
        return drv_error_set(err, ENOMEM, "no memory for a manifest");
    if (!read_segments(&reader, &got) || !read_uses(&reader, &got)) {
        drv_pack_manifest_done(&got);
        return drv_error_set(err, EBADMSG, "its manifest makes no sense");
    }
    *manifest = got;
    return 0;
}

void drv_pack_manifest_done(struct drv_pack_manifest *manifest)
{
    free(manifest->segment);
    manifest->segment = NULL;
    manifest->count = 0;
}
