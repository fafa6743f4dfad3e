/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest NBD client that can read: see nbd-read.h. */
#include "relay/nbd-read.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/cursor.h"

#define MAGIC UINT64_C(0x4e42444d41474943)        /* "NBDMAGIC" */
#define OPTION_MAGIC UINT64_C(0x49484156454f5054) /* "IHAVEOPT" */
#define REQUEST_MAGIC 0x25609513u
#define REPLY_MAGIC 0x67446698u
#define FIXED_NEWSTYLE 1u
#define NO_ZEROES 2u
#define OPTION_EXPORT_NAME 1u
#define READ 0u
#define PATIENCE_S 5

static int broken(struct drv_nbd_read *image, int why, struct drv_error *err)
{
    image->fd = -1;
    return drv_error_set(err, why, "the older image of a disk cannot be read: %s",
                         why == EPROTO ? "qemu-nbd answers in a way that is not understood" : strerror(why));
}

static int receive(struct drv_nbd_read *image, uint8_t *to, size_t size, struct drv_error *err)
{
    while (size) {
        ssize_t got = recv(image->fd, to, size, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return broken(image, got == 0 ? ECONNRESET : errno == EAGAIN ? ETIMEDOUT : errno, err);
        to += got;
        size -= (size_t)got;
    }
    return 0;
}

static int transmit(struct drv_nbd_read *image, const uint8_t *from, size_t size, struct drv_error *err)
{
    while (size) {
        ssize_t sent = send(image->fd, from, size, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return broken(image, errno == EAGAIN ? ETIMEDOUT : errno, err);
        from += sent;
        size -= (size_t)sent;
    }
    return 0;
}

int drv_nbd_read_open(struct drv_nbd_read *image, int fd, struct drv_error *err)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    uint8_t in[18], out[20];
    struct drv_reader reader = drv_reader_over(in, sizeof in);
    struct drv_writer writer = drv_writer_over(out, sizeof out);
    uint16_t flags;
    int rc;

    *image = (struct drv_nbd_read){.fd = fd};
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience))
        return broken(image, errno, err);
    rc = receive(image, in, 18, err);
    if (rc)
        return rc;
    if (drv_read_u64(&reader) != MAGIC || drv_read_u64(&reader) != OPTION_MAGIC)
        return broken(image, EPROTO, err);
    flags = drv_read_u16(&reader);
    if (!(flags & FIXED_NEWSTYLE) || !(flags & NO_ZEROES))
        return broken(image, EPROTO, err);
    /* The one option that needs no answer but the size, and after it there are simple replies only. */
    drv_write_u32(&writer, FIXED_NEWSTYLE | NO_ZEROES);
    drv_write_u64(&writer, OPTION_MAGIC);
    drv_write_u32(&writer, OPTION_EXPORT_NAME);
    drv_write_u32(&writer, 0);
    rc = transmit(image, out, drv_writer_used(&writer), err);
    if (!rc)
        rc = receive(image, in, 10, err);
    if (rc)
        return rc;
    reader = drv_reader_over(in, 10);
    image->size_bytes = drv_read_u64(&reader);
    return 0;
}

int drv_nbd_read_at(struct drv_nbd_read *image, uint64_t offset, uint8_t *to, size_t size, struct drv_error *err)
{
    uint8_t out[28], in[16];
    struct drv_reader reader = drv_reader_over(in, sizeof in);
    struct drv_writer writer = drv_writer_over(out, sizeof out);
    uint32_t why;
    int rc;

    if (image->fd < 0)
        return drv_error_set(err, ENOTCONN, "the older image of a disk cannot be read any more");
    if (size > UINT32_MAX || offset > image->size_bytes || size > image->size_bytes - offset)
        return drv_error_set(err, EINVAL, "the older image of a disk is not that large");
    drv_write_u32(&writer, REQUEST_MAGIC);
    drv_write_u16(&writer, 0);
    drv_write_u16(&writer, READ);
    drv_write_u64(&writer, ++image->cookie);
    drv_write_u64(&writer, offset);
    drv_write_u32(&writer, (uint32_t)size);
    rc = transmit(image, out, sizeof out, err);
    if (!rc)
        rc = receive(image, in, sizeof in, err);
    if (rc)
        return rc;
    if (drv_read_u32(&reader) != REPLY_MAGIC)
        return broken(image, EPROTO, err);
    why = drv_read_u32(&reader);
    if (drv_read_u64(&reader) != image->cookie)
        return broken(image, EPROTO, err);
    if (why)
        return drv_error_set(err, EIO, "the older image of a disk cannot be read at %llu", (unsigned long long)offset);
    return receive(image, to, size, err);
}
