/* SPDX-License-Identifier: Apache-2.0 */
/* Durations, sizes and rates as people write and read them. */
#pragma once

#include <glib.h>

/**
 * drv_units_parse_duration() - "200ms", "1.5s", "5m" or "5min", "1h", "2d".
 * A bare number is refused: nobody can know what was meant.
 * Return: TRUE and @ms, or FALSE and DRV_ERROR_INVALID.
 */
gboolean drv_units_parse_duration(const char *text, guint64 *ms, GError **error);

/**
 * drv_units_parse_rate() - "500mbit", "1gbit", "80MB/s", "1GiB/s"; case does not matter.
 * kbit, mbit, gbit and kB, MB, GB count in thousands, KiB, MiB, GiB in 1024s.
 * Return: TRUE and @bps (bytes a second), or FALSE and DRV_ERROR_INVALID.
 */
gboolean drv_units_parse_rate(const char *text, guint64 *bps, GError **error);

/* "71 ms", "12.3 s", "5 min 3 s", "2 h 5 min", "3 d 4 h". Transfer full. */
char *drv_units_duration(guint64 ms);
/* "512 B", "1.0 GiB", "705 MiB". Transfer full. */
char *drv_units_bytes(guint64 bytes);
/* Bytes a second: "112 MiB/s". Transfer full. */
char *drv_units_rate(guint64 bps);
