/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of numbers as libvirt and the kernel write them: "0-3,8", "0-7,^2". Pure. */
#pragma once

#include <glib.h>

/* The largest number that is looked at. */
#define DRV_RANGES_MOST 8191

/** drv_ranges_missing() - what of @wanted is not in @available, as "62-63"; NULL: nothing. A text that is no set is an empty one. Transfer full. */
char *drv_ranges_missing(const char *wanted, const char *available);

/** drv_ranges_has() - whether @number is in @set. */
gboolean drv_ranges_has(const char *set, guint number);
