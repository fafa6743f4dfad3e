/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a test's program tells the disk, in order: fsync, fdatasync, rename, unlink and rmdir are the ones in
 * disk-log.c, which note themselves and do what is asked. So a test shows that nothing is given up before it
 * is flushed. Calls of child processes are not seen. Threads: one lock.
 */
#pragma once

#include <glib.h>

/** disk_log_begin() - forget what was noted. */
void disk_log_begin(void);

/** disk_log_end() - "flush a.img, unlink b.img, …": last parts of paths. Transfer full. */
char *disk_log_end(void);

/** disk_log_fail() - flushing what has this name (the last part of its path) fails with @code from now on; NULL: nothing does. */
void disk_log_fail(const char *name, int code);
