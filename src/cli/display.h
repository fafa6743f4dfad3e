/* SPDX-License-Identifier: Apache-2.0 */
/* The line that lives, and the plain lines where there is no terminal. */
#pragma once

#include <glib.h>
#include <json-c/json.h>

#include "cli/progress.h"

/** drv_display_mode_for() - LIVE on a terminal that can move its cursor, else PLAIN. */
drv_display_mode drv_display_mode_for(FILE *out);

/**
 * drv_display_new() - @out is borrowed. @width: columns, asked before each draw, and
 * @now_ms: a monotonic clock; NULL for the real ones.
 */
drv_display *drv_display_new(FILE *out, drv_display_mode mode, gboolean utf8, int (*width)(FILE *),
                             gint64 (*now_ms)(void));

/** drv_display_free() - takes the line away and gives the cursor back first. */
void drv_display_free(drv_display *display);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_display, drv_display_free)

/** drv_display_job() - show @job; the bar never goes back. Draws only what has changed. */
void drv_display_job(drv_display *display, json_object *job);

/** drv_display_message() - a line of its own, whatever the mode. */
void drv_display_message(drv_display *display, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/** drv_display_suspend() - leave the terminal tidy for others; drv_display_redraw() takes it back.
 */
void drv_display_suspend(drv_display *display);
void drv_display_redraw(drv_display *display);
