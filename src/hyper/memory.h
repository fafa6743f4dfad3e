/* SPDX-License-Identifier: Apache-2.0 */
/* A look at a guest's memory, through libvirt. Any thread but the main one; blocks on libvirt. */
#pragma once

#include "hyper/hyper.h"

/* As far as one call reads. Costs some 3 ms each, mostly libvirt's own. */
#define DRV_PEEK_BYTES 65536u

/** drv_hyper_peek_func() - @bytes of DRV_PEEK_BYTES are what is in chunk number @chunk now. Return: go on? */
typedef gboolean (*drv_hyper_peek_func)(guint chunk, const guint8 *bytes, gpointer data);

/**
 * drv_hyper_peek_chunks() - how many chunks of its memory can be read: those that are certain to be
 * memory (reading a device's registers could change it). 0: none, on this architecture.
 */
guint drv_hyper_peek_chunks(const char *arch, guint64 memory_bytes);

/**
 * drv_hyper_peek() - read chunks of a running guest's memory, one after the other; the guest goes on.
 * @chunks: their numbers, below drv_hyper_peek_chunks(); @memory_bytes as there
 * Return: FALSE and @error: libvirt cannot; DRV_ERROR_CANCELLED: @func did not want to go on.
 */
gboolean drv_hyper_peek(drv_hyper *hyper, const char *uuid, guint64 memory_bytes, const guint *chunks,
                        guint count, drv_hyper_peek_func func, gpointer data, GError **error);
