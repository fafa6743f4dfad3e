/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many distinct pages a guest has changed after so long: D(t), fitted to what was seen in
 * several windows. Writing the same page again makes no other page dirty, so it saturates.
 * Pure; docs/estimate.rst has the formula.
 */
#pragma once

#include <glib.h>

/** So many bytes in distinct pages were changed when so long had passed. */
typedef struct {
    double seconds;
    guint64 bytes;
} drv_dirty_window;

/** D(t). Zero: the guest changes nothing. */
typedef struct {
    double rate_bps;  /* D'(0), bytes a second */
    double set_bytes; /* what it changes at all; D never exceeds it */
    gboolean in_turn; /* goes over its pages one after the other; else at random */
} drv_dirty_curve;

/**
 * drv_dirty_curve_fit() - least squares over windows, in any order. None: a curve of zeros.
 * @memory_bytes: no set is greater
 */
drv_dirty_curve drv_dirty_curve_fit(const drv_dirty_window *windows, guint count, guint64 memory_bytes);

/** drv_dirty_curve_bytes() - D(@seconds). */
double drv_dirty_curve_bytes(const drv_dirty_curve *curve, double seconds);

/**
 * drv_dirty_curve_mean() - of D over [0, @seconds]: what has changed since it was sent, of pages
 * that were sent evenly over so long.
 */
double drv_dirty_curve_mean(const drv_dirty_curve *curve, double seconds);
