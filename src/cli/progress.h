/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a move looks like while it runs: on a terminal one line that is redrawn in
 * place, elsewhere plain lines now and then. Only the thread that follows the job.
 */
#pragma once

#include <glib.h>
#include <json-c/json.h>
#include <stdio.h>

/* One look at a job; strings are safe for a terminal. drv_progress_clear(). */
typedef struct {
    char *vm, *source, *target;
    char *phase;
    int percent; /* -1: not known */
    gboolean rate_known, dirty_known, left_known;
    guint64 rate_bps, dirty_bps, left_ms;
} drv_progress;

void drv_progress_read(drv_progress *progress, json_object *job);
void drv_progress_clear(drv_progress *progress);

/**
 * drv_progress_line() - at most @width columns; what matters least is left out first.
 * Fields keep their width, so that nothing jumps from one draw to the next. Transfer full.
 */
char *drv_progress_line(const drv_progress *progress, int width, gboolean utf8);

/** drv_progress_plain() - one line without a bar, for logs. Transfer full. */
char *drv_progress_plain(const drv_progress *progress);

typedef struct drv_display drv_display;

typedef enum { DRV_DISPLAY_QUIET, DRV_DISPLAY_PLAIN, DRV_DISPLAY_LIVE } drv_display_mode;
