/* SPDX-License-Identifier: Apache-2.0 */
/* Images that a relay shall only read: see serve.c. */
#pragma once

#include <glib.h>

#include "hyper/gerror.h"

/**
 * drv_serve_image() - have a qemu-nbd serve an image read-only, with all that it is based on, to the one
 * connection that is returned. It ends with that connection, whoever holds it then, and keeps others from
 * writing to the image until it does. Any thread; blocks until the image is open, 10 s at most.
 * @socket: a path that is free, in a directory of root's; nothing is there afterwards
 * Return: a descriptor, the caller's; -1: somebody writes to the image, or it cannot be read.
 */
int drv_serve_image(const char *path, const char *format, const char *socket, GError **error);
