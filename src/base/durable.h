/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must survive a power loss. A file's bytes, and the entry in its directory under which they are
 * found, reach the disk separately, and both late: a program that is killed loses neither, a host whose
 * power fails loses both. So whoever gives something up, because it is elsewhere now, first makes sure of
 * that: bytes flushed, directory flushed, then the record, then the removal.
 *
 * All functions block for as long as the disk takes, and may be called from any thread. They return 0, or
 * -errno with @err set. A directory on a file system that cannot flush directories counts as flushed.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

/** drv_durable_file() - the bytes of @path, a file or a block device, and its entry. Links are followed. */
int drv_durable_file(const char *path, struct drv_error *err);

/**
 * drv_durable_open_file() - the same, by a descriptor that was open before the bytes were written, in whatever
 * program: the kernel tells it of bytes that could not be written even when it told another before.
 * @path: by which @fd was opened
 */
int drv_durable_open_file(int fd, const char *path, struct drv_error *err);

/** drv_durable_directory() - the entries of the directory @path: what was made, renamed and removed in it. */
int drv_durable_directory(const char *path, struct drv_error *err);

/** drv_durable_entry() - the entries of the directory that @path is in. */
int drv_durable_entry(const char *path, struct drv_error *err);

/** drv_durable_tree() - a directory with all files and directories in it, and its own entry. Not through links. */
int drv_durable_tree(const char *path, struct drv_error *err);

/** drv_durable_write() - a file with these bytes instead of @path: all of them or what was there before. */
int drv_durable_write(const char *path, const void *bytes, size_t size, mode_t mode, struct drv_error *err);

/** drv_durable_rename() - both directories flushed. */
int drv_durable_rename(const char *from, const char *to, struct drv_error *err);

/** drv_durable_unlink() - gone for good. One that is not there: its directory, if there is one, is flushed all the same. */
int drv_durable_unlink(const char *path, struct drv_error *err);

/** drv_durable_make_directory() - @path and whatever is missing above it, with @mode. */
int drv_durable_make_directory(const char *path, mode_t mode, struct drv_error *err);
