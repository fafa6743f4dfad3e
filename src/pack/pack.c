/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing a pack: see pack.h. */
#include "pack/pack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cursor.h"

static int write_at(int fd, const uint8_t *bytes, size_t size, uint64_t at, struct drv_error *err)
{
    while (size) {
        ssize_t done = pwrite(fd, bytes, size, (off_t)at);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return drv_error_set(err, done ? errno : EIO, "cannot write content: %s", strerror(done ? errno : EIO));
        bytes += done;
        size -= (size_t)done;
        at += (uint64_t)done;
    }
    return 0;
}

static int read_at(int fd, uint8_t *bytes, size_t size, uint64_t at, struct drv_error *err)
{
    while (size) {
        ssize_t done = pread(fd, bytes, size, (off_t)at);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return drv_error_set(err, errno, "cannot read content: %s", strerror(errno));
        if (done == 0)
            return drv_error_set(err, EBADMSG, "it is cut off");
        bytes += done;
        size -= (size_t)done;
        at += (uint64_t)done;
    }
    return 0;
}

int drv_pack_begin(int fd, const struct drv_pack_head *head, struct drv_error *err)
{
    uint8_t bytes[DRV_PACK_HEAD_BYTES];
    int rc = drv_pack_head_encode(bytes, head, err);

    return rc ? rc : write_at(fd, bytes, sizeof bytes, 0, err);
}

int drv_pack_save(int fd, const struct drv_seal_key *key, unsigned index, uint8_t *pages, const uint64_t *addresses,
                  unsigned count, struct drv_pack_segment *segment, struct drv_error *err)
{
    uint8_t rest[DRV_SEGMENT_PAGES * 8 + DRV_SEAL_TAG_BYTES];
    struct drv_writer writer = drv_writer_over(rest, (size_t)count * 8);
    size_t size = (size_t)count * DRV_CONTENT_PAGE;
    int rc;

    if (!count || count > DRV_SEGMENT_PAGES || index >= DRV_PACK_SEGMENTS_MAX)
        return drv_error_set(err, EINVAL, "a segment of %u pages in slot %u", count, index);
    segment->pages = (uint16_t)count;
    for (unsigned i = 0; i < count; i++)
        drv_write_u64(&writer, addresses[i]);
    rc = drv_seal_digest(segment->digest, pages, size, err);
    if (!rc)
        rc = drv_seal_segment(key, index, segment, pages, rest, rest + count * 8, err);
    if (!rc)
        rc = write_at(fd, pages, size, drv_slot_at(index), err);
    return rc ? rc : write_at(fd, rest, (size_t)count * 8 + DRV_SEAL_TAG_BYTES, drv_slot_at(index) + size, err);
}

int drv_pack_finish(int fd, const struct drv_seal_key *key, const struct drv_pack_manifest *manifest,
                    struct drv_error *err)
{
    size_t size = drv_pack_manifest_size(manifest);
    size_t whole = size + DRV_SEAL_TAG_BYTES + DRV_PACK_FOOT_BYTES;
    uint64_t at = drv_slot_at(manifest->count);
    uint8_t head[DRV_PACK_HEAD_BYTES];
    uint8_t *bytes = malloc(whole);
    int rc;

    if (!bytes)
        return drv_error_set(err, ENOMEM, "no memory for a manifest");
    rc = read_at(fd, head, sizeof head, 0, err);
    if (!rc) {
        drv_pack_manifest_encode(bytes, manifest);
        drv_pack_foot_encode(bytes + size + DRV_SEAL_TAG_BYTES, at, (uint32_t)(size + DRV_SEAL_TAG_BYTES));
        rc = drv_seal_manifest(key, head, bytes, size, err);
    }
    /* Half a segment may be there, for which there was no room. */
    if (!rc && ftruncate(fd, (off_t)at))
        rc = drv_error_set(err, errno, "cannot cut off what is not whole: %s", strerror(errno));
    if (!rc)
        rc = write_at(fd, bytes, whole, at, err);
    free(bytes);
    return rc;
}

int drv_pack_load(int fd, const struct drv_seal_key *key, unsigned index, const struct drv_pack_segment *segment,
                  uint8_t *pages, uint64_t *addresses, struct drv_error *err)
{
    uint8_t rest[DRV_SEGMENT_PAGES * 8 + DRV_SEAL_TAG_BYTES];
    unsigned count = segment->pages;
    size_t size = (size_t)count * DRV_CONTENT_PAGE;
    struct drv_reader reader = drv_reader_over(rest, (size_t)count * 8);
    struct iovec into[2] = {{pages, size}, {rest, (size_t)count * 8 + DRV_SEAL_TAG_BYTES}};
    size_t whole = size + into[1].iov_len;
    int rc = 0;

    if (!count || count > DRV_SEGMENT_PAGES || index >= DRV_PACK_SEGMENTS_MAX)
        return drv_error_set(err, EBADMSG, "a segment of %u pages in slot %u", count, index);
    /* Mostly it is one call; what it leaves is read in pieces. */
    if (preadv(fd, into, 2, (off_t)drv_slot_at(index)) != (ssize_t)whole) {
        rc = read_at(fd, pages, size, drv_slot_at(index), err);
        if (!rc)
            rc = read_at(fd, rest, into[1].iov_len, drv_slot_at(index) + size, err);
    }
    if (!rc)
        rc = drv_open_segment(key, index, segment, pages, rest, rest + count * 8, err);
    if (rc) {
        memset(pages, 0, size);
        return rc;
    }
    for (unsigned i = 0; i < count; i++)
        addresses[i] = drv_read_u64(&reader);
    return 0;
}

int drv_pack_read_head(int fd, struct drv_pack_head *head, struct drv_error *err)
{
    uint8_t bytes[DRV_PACK_HEAD_BYTES];
    int rc = read_at(fd, bytes, sizeof bytes, 0, err);

    return rc ? rc : drv_pack_head_decode(head, bytes, err);
}

int drv_pack_read_manifest(int fd, const struct drv_seal_key *key, struct drv_pack_manifest *manifest,
                           struct drv_error *err)
{
    uint8_t head[DRV_PACK_HEAD_BYTES], foot[DRV_PACK_FOOT_BYTES];
    uint8_t *bytes = NULL;
    struct stat info;
    uint64_t at = 0;
    uint32_t size = 0;
    int rc;

    if (fstat(fd, &info))
        return drv_error_set(err, errno, "cannot look at it: %s", strerror(errno));
    if (info.st_size < (off_t)(sizeof head + sizeof foot))
        return drv_error_set(err, EBADMSG, "its end is missing");
    rc = read_at(fd, head, sizeof head, 0, err);
    if (!rc)
        rc = read_at(fd, foot, sizeof foot, (uint64_t)info.st_size - sizeof foot, err);
    if (!rc)
        rc = drv_pack_foot_decode(foot, (uint64_t)info.st_size, &at, &size, err);
    if (rc)
        return rc;
    bytes = malloc(size);
    if (!bytes)
        return drv_error_set(err, ENOMEM, "no memory for a manifest");
    rc = read_at(fd, bytes, size, at, err);
    if (!rc)
        rc = drv_open_manifest(key, head, bytes, size, err);
    if (!rc)
        rc = drv_pack_manifest_decode(manifest, bytes, size - DRV_SEAL_TAG_BYTES, err);
    if (!rc && drv_slot_at(manifest->count) != at) {
        drv_pack_manifest_done(manifest);
        rc = drv_error_set(err, EBADMSG, "its manifest is not where it belongs");
    }
    free(bytes);
    return rc;
}
