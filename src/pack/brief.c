/* SPDX-License-Identifier: Apache-2.0 */
/* What droverd tells a relay of content: see brief.h. */
#include "pack/brief.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/fd.h"

#define VERSION 1u
#define ENTRY (1u + 2u + 2u + DRV_DIGEST_BYTES)
#define FIXED (4u + DRV_SEAL_KEY_BYTES + 4u + 2u + 2u)
#define SIZE_MOST (FIXED + DRV_PACKS_MAX * DRV_SEAL_KEY_BYTES + DRV_PACK_SEGMENTS_MAX * ENTRY)

size_t drv_brief_size(const struct drv_brief *brief)
{
    return FIXED + (size_t)brief->packs * DRV_SEAL_KEY_BYTES + (size_t)brief->count * ENTRY;
}

static void write_segment(struct drv_writer *writer, const struct drv_brief_segment *entry)
{
    drv_write_u8(writer, entry->pack);
    drv_write_u16(writer, entry->index);
    drv_write_u16(writer, entry->segment.pages);
    drv_write_bytes(writer, entry->segment.digest, DRV_DIGEST_BYTES);
}

void drv_brief_encode(uint8_t *out, const struct drv_brief *brief)
{
    struct drv_writer writer = drv_writer_over(out, drv_brief_size(brief));

    drv_write_u32(&writer, VERSION);
    drv_write_bytes(&writer, brief->key.bytes, DRV_SEAL_KEY_BYTES);
    drv_write_u32(&writer, brief->most_segments);
    drv_write_u16(&writer, (uint16_t)brief->packs);
    for (unsigned i = 0; i < brief->packs; i++)
        drv_write_bytes(&writer, brief->pack_key[i].bytes, DRV_SEAL_KEY_BYTES);
    drv_write_u16(&writer, (uint16_t)brief->count);
    for (unsigned i = 0; i < brief->count; i++)
        write_segment(&writer, &brief->segment[i]);
}

static void read_key(struct drv_reader *reader, struct drv_seal_key *key)
{
    const uint8_t *bytes = drv_read_bytes(reader, DRV_SEAL_KEY_BYTES);

    if (bytes)
        memcpy(key->bytes, bytes, DRV_SEAL_KEY_BYTES);
}

static bool read_segment(struct drv_reader *reader, unsigned packs, struct drv_brief_segment *entry)
{
    const uint8_t *digest;

    entry->pack = drv_read_u8(reader);
    entry->index = drv_read_u16(reader);
    entry->segment.pages = drv_read_u16(reader);
    digest = drv_read_bytes(reader, DRV_DIGEST_BYTES);
    if (!digest || entry->pack >= packs || entry->index >= DRV_PACK_SEGMENTS_MAX || !entry->segment.pages ||
        entry->segment.pages > DRV_SEGMENT_PAGES)
        return false;
    memcpy(entry->segment.digest, digest, DRV_DIGEST_BYTES);
    return true;
}

int drv_brief_decode(struct drv_brief *brief, const uint8_t *in, size_t size, struct drv_error *err)
{
    struct drv_reader reader = drv_reader_over(in, size);
    struct drv_brief got = {0};
    bool ok = drv_read_u32(&reader) == VERSION;

    read_key(&reader, &got.key);
    got.most_segments = drv_read_u32(&reader);
    got.packs = drv_read_u16(&reader);
    ok = ok && !reader.bad && got.packs <= DRV_PACKS_MAX && got.most_segments <= DRV_PACK_SEGMENTS_MAX;
    for (unsigned i = 0; ok && i < got.packs; i++)
        read_key(&reader, &got.pack_key[i]);
    got.count = ok ? drv_read_u16(&reader) : 0;
    if (!ok || reader.bad || got.count > DRV_PACK_SEGMENTS_MAX)
        return drv_error_set(err, EINVAL, "what droverd says of known content makes no sense");
    got.segment = calloc(got.count ? got.count : 1, sizeof *got.segment);
    if (!got.segment)
        return drv_error_set(err, ENOMEM, "no memory for the list of known content");
    for (unsigned i = 0; ok && i < got.count; i++)
        ok = read_segment(&reader, got.packs, &got.segment[i]);
    if (!ok || drv_reader_left(&reader)) {
        drv_brief_done(&got);
        return drv_error_set(err, EINVAL, "what droverd says of known content makes no sense");
    }
    *brief = got;
    return 0;
}

int drv_brief_root(const struct drv_brief *brief, uint8_t root[DRV_DIGEST_BYTES], struct drv_error *err)
{
    size_t size = (size_t)brief->count * (DRV_DIGEST_BYTES + 2u);
    uint8_t *bytes = malloc(size ? size : 1);
    struct drv_writer writer = drv_writer_over(bytes, size);
    int rc;

    if (!bytes)
        return drv_error_set(err, ENOMEM, "no memory for the list of known content");
    for (unsigned i = 0; i < brief->count; i++) {
        drv_write_bytes(&writer, brief->segment[i].segment.digest, DRV_DIGEST_BYTES);
        drv_write_u16(&writer, brief->segment[i].segment.pages);
    }
    rc = drv_seal_digest(root, bytes, size, err);
    free(bytes);
    return rc;
}

int drv_brief_write(const struct drv_brief *brief, struct drv_error *err)
{
    size_t size = drv_brief_size(brief);
    drv_autoclose int fd = memfd_create("drover-content", MFD_CLOEXEC);
    uint8_t *bytes = malloc(size);
    int rc;

    if (fd < 0 || !bytes) {
        rc = drv_error_set(err, fd < 0 ? errno : ENOMEM, "no file in memory for known content");
    } else {
        drv_brief_encode(bytes, brief);
        rc = drv_fd_write_all(fd, bytes, size, err);
        explicit_bzero(bytes, size);
    }
    free(bytes);
    return rc ? rc : drv_steal_fd(&fd);
}

int drv_brief_read(int fd, struct drv_brief *brief, struct drv_error *err)
{
    struct stat info;
    uint8_t *bytes;
    size_t size;
    int rc;

    if (fstat(fd, &info))
        return drv_error_set(err, errno, "what droverd says of known content is not there: %s", strerror(errno));
    if (info.st_size < 1 || info.st_size > (off_t)SIZE_MOST)
        return drv_error_set(err, EINVAL, "what droverd says of known content makes no sense");
    size = (size_t)info.st_size;
    bytes = malloc(size);
    if (!bytes)
        return drv_error_set(err, ENOMEM, "no memory for the list of known content");
    if (pread(fd, bytes, size, 0) != (ssize_t)size)
        rc = drv_error_set(err, EIO, "what droverd says of known content cannot be read");
    else
        rc = drv_brief_decode(brief, bytes, size, err);
    explicit_bzero(bytes, size);
    free(bytes);
    return rc;
}

void drv_brief_done(struct drv_brief *brief)
{
    free(brief->segment);
    explicit_bzero(brief, sizeof *brief);
}
