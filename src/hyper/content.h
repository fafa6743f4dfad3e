/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contents of images that no running QEMU mirrors: of VMs that are shut off, and of media.
 * They are served by qemu-nbd at one end of a session and written to by qemu-img at the other,
 * so that they take the relay's way. Any thread; the calls block.
 */
#pragma once

#include <glib.h>

#include "hyper/gerror.h"

/**
 * drv_content_export() - serve @path, which exists, for writing until drv_content_unexport().
 * @socket: made for QEMU's group; @pid_file: made, and found by a later droverd
 */
gboolean drv_content_export(const char *path, const char *format, const char *socket, const char *pid_file,
                            GError **error);
/** drv_content_unexport() - end it and wait until all of it is written; none: nothing to do. FALSE: it had to be killed. */
gboolean drv_content_unexport(const char *socket, const char *pid_file, GError **error);

/** Called some five times a second. Return: FALSE to stop. */
typedef gboolean (*drv_content_tick)(gpointer data);

/**
 * drv_content_copy() - write all of an image into another one. A path is on the disk, with its entry, when it returns;
 * what is sent to a socket is flushed there.
 * @to: "nbd+unix:///…" or a path, which must exist and be large enough
 * @zero: @to reads as zeros already; zeros are then not written at all
 * @rate_bps: at most so many bytes a second; 0: no limit
 * Return: FALSE, DRV_ERROR_CANCELLED: @tick said so.
 */
gboolean drv_content_copy(const char *from, const char *from_format, const char *to, const char *to_format,
                          gboolean zero, guint64 rate_bps, drv_content_tick tick, gpointer data, GError **error);

/** drv_content_info() - qemu-img's JSON about an image and all it is based on. Transfer full. */
char *drv_content_info(const char *path, const char *format, GError **error);

/** drv_content_run() - run a program to its end. @error: its last line. */
gboolean drv_content_run(const char *const *argv, const char *const *env, guint timeout_ms, GError **error);
