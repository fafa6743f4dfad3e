/* SPDX-License-Identifier: Apache-2.0 */
/* Processors in use, from counters of CPU time that are looked at again and again. */
#pragma once

#include <glib.h>

typedef struct drv_load drv_load;

drv_load *drv_load_new(void);
void drv_load_free(drv_load *load);

/** drv_load_rate() - cores, from a counter of CPU time that had @cpu_ns at @now_us; < 0: not known yet. @key: "" for the host. */
double drv_load_rate(drv_load *load, const char *key, guint64 cpu_ns, gint64 now_us);

/** drv_load_remember() - a VM's CPU features (taken over; may be NULL), as they were at @now_us. */
void drv_load_remember(drv_load *load, const char *uuid, gint64 now_us, GPtrArray *names);

/** drv_load_remembered() - those if they are not older than @since_us. @names: transfer full, not to be changed. */
gboolean drv_load_remembered(drv_load *load, const char *uuid, gint64 since_us, GPtrArray **names);
