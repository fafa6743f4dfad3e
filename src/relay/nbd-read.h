/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest NBD client that can read: an image of any format, served read-only by a qemu-nbd that ends
 * with this connection. One thread at a time; the calls block, for a few seconds at most.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct drv_nbd_read {
    int fd; /* -1: broken */
    uint64_t size_bytes;
    uint64_t cookie;
};

/** drv_nbd_read_open() - shake hands over a connected socket, which is the caller's. Return: 0 or -errno. */
int drv_nbd_read_open(struct drv_nbd_read *image, int fd, struct drv_error *err);

/**
 * drv_nbd_read_at() - bytes of the image. Return: 0; -EINVAL: not all of them are within it; -EIO: they
 * cannot be read; anything else: the connection is of no more use.
 */
int drv_nbd_read_at(struct drv_nbd_read *image, uint64_t offset, uint8_t *to, size_t size, struct drv_error *err);
