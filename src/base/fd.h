/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors: whole reads and writes, unix sockets, and handing descriptors to another process. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

/** drv_fd_write_all() - write @size bytes to a blocking descriptor. */
int drv_fd_write_all(int fd, const void *bytes, size_t size, struct drv_error *err);

/** drv_fd_set_nonblocking() - switch O_NONBLOCK. Return: 0 or -errno. */
int drv_fd_set_nonblocking(int fd, bool on);

/**
 * drv_fd_unix_listen() - a listening unix socket at @path, close-on-exec.
 * @type: SOCK_STREAM or SOCK_SEQPACKET
 * Return: the descriptor, or -errno.
 */
int drv_fd_unix_listen(const char *path, int type, struct drv_error *err);

/** drv_fd_unix_connect() - connect to @path. Return: the descriptor (blocking, close-on-exec) or -errno. */
int drv_fd_unix_connect(const char *path, int type, struct drv_error *err);

/**
 * drv_fd_send() - send one message with at most one descriptor (SCM_RIGHTS).
 * @fd: the descriptor to hand over (the caller still owns its own copy), or -1
 */
int drv_fd_send(int sock, const void *bytes, size_t size, int fd, struct drv_error *err);

/**
 * drv_fd_receive() - receive one message with at most one descriptor.
 * @fd: receives the descriptor (close-on-exec, owned by the caller) or -1
 * Return: bytes received (0 = the peer is gone), or -errno (-EAGAIN without a message set).
 */
ssize_t drv_fd_receive(int sock, void *bytes, size_t size, int *fd, struct drv_error *err);
