/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files below a directory: a path from outside that is followed here cannot leave it, by "..", by a symbolic link,
 * or by a link that somebody makes meanwhile. Uses openat2(2); where a kernel before 5.6 or a filter of system calls
 * does not have it, each part is opened by itself, which comes to the same. Any thread.
 */
#pragma once

#include <sys/types.h>

#include "base/error.h"

/**
 * drv_beneath_open() - open @path, which is relative to the directory @root and plain (no "..", no empty part;
 * "" is @root itself). No part of it may be a symbolic link.
 * @flags: of open(2); close-on-exec is added. @mode: with O_CREAT
 * Return: a descriptor, or -errno: -ELOOP or -EXDEV when the path would leave @root, -EINVAL when it is not plain.
 */
int drv_beneath_open(int root, const char *path, int flags, mode_t mode, struct drv_error *err);

/** drv_beneath_root() - a directory by its absolute path, no part of which may be a link: to pass as a root. */
int drv_beneath_root(const char *path, struct drv_error *err);

/** drv_beneath_mkdir() - make the last part of @path. -EEXIST if there is something. */
int drv_beneath_mkdir(int root, const char *path, mode_t mode, struct drv_error *err);

/** drv_beneath_remove_tree() - the directory @name in @root and all in it, without following links; missing: 0. */
int drv_beneath_remove_tree(int root, const char *name, struct drv_error *err);
