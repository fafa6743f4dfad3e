/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request that takes long is waiting for, so that its caller can be told: a client that has waited for
 * some seconds asks for it by the id that it gave its request. A request is answered in one thread.
 */
#pragma once

#include <glib.h>

/* The requests that one server works on. */
typedef struct drv_working drv_working;

drv_working *drv_working_new(void);
/** drv_working_free() - no thread may be between begin and end any more. NULL is fine. */
void drv_working_free(drv_working *working);

/** drv_working_begin() - this thread answers request @id from now on. NULL, or too many: nothing is noted. */
void drv_working_begin(drv_working *working, const char *id);
/** drv_working_end() - and no longer. */
void drv_working_end(void);

/** drv_working_say() - "h1 looks at what web1 needs": of this thread's request, if it has one. */
void drv_working_say(const char *fmt, ...) G_GNUC_PRINTF(1, 2);

/** drv_working_of() - what was said last. Transfer full; NULL: there is no such request. Any thread. */
char *drv_working_of(drv_working *working, const char *id);
