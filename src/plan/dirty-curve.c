/* SPDX-License-Identifier: Apache-2.0 */
/* D(t): see dirty-curve.h. */
#include "plan/dirty-curve.h"

#include <math.h>

/* Sizes of the set that are tried, from what was seen to all of the memory. */
#define SETS 48
/* A smaller set must explain it so much better: as long as nothing bends, no end of it was seen. */
#define BETTER 0.9

double drv_dirty_curve_bytes(const drv_dirty_curve *curve, double seconds)
{
    double all = curve->rate_bps * seconds;

    if (curve->set_bytes <= 0 || all <= 0)
        return 0;
    if (curve->in_turn)
        return MIN(all, curve->set_bytes);
    return -curve->set_bytes * expm1(-all / curve->set_bytes);
}

double drv_dirty_curve_mean(const drv_dirty_curve *curve, double seconds)
{
    double all = curve->rate_bps * seconds;
    double set = curve->set_bytes;

    if (set <= 0 || all <= 0)
        return 0;
    if (curve->in_turn)
        return all <= set ? all / 2 : set - set * set / (2 * all);
    return set + set * set / all * expm1(-all / set);
}

/* The rate at which a set of this size explains a window. */
static double rate_of(const drv_dirty_window *window, double set_bytes, gboolean in_turn)
{
    double share = (double)window->bytes / set_bytes;

    return in_turn ? (double)window->bytes / window->seconds : -set_bytes * log1p(-MIN(share, 0.98)) / window->seconds;
}

static double error_of(const drv_dirty_curve *curve, const drv_dirty_window *windows, guint count)
{
    double sum = 0;

    for (guint i = 0; i < count; i++) {
        double seen = (double)windows[i].bytes;
        double miss = drv_dirty_curve_bytes(curve, windows[i].seconds) - seen;

        /* As counting errors go: with the square root of what was counted. */
        if (windows[i].seconds > 0)
            sum += miss * miss / (seen + 1);
    }
    return sum;
}

/* The best of the rates that explain one of the windows, or all of them on average. */
static void try_set(double set_bytes, gboolean in_turn, const drv_dirty_window *windows, guint count,
                    drv_dirty_curve *best, double *least)
{
    double mean = 0;
    guint used = 0;

    for (guint i = 0; i <= count; i++) {
        drv_dirty_curve curve = {.set_bytes = set_bytes, .in_turn = in_turn};
        double error;

        if (i < count && windows[i].seconds <= 0)
            continue;
        curve.rate_bps = i < count ? rate_of(&windows[i], set_bytes, in_turn) : mean / MAX(used, 1);
        mean += curve.rate_bps;
        used++;
        error = error_of(&curve, windows, count);
        if (error < BETTER * *least) {
            *least = error;
            *best = curve;
        }
    }
}

drv_dirty_curve drv_dirty_curve_fit(const drv_dirty_window *windows, guint count, guint64 memory_bytes)
{
    drv_dirty_curve best = {0};
    double least = G_MAXDOUBLE;
    guint64 most = 0;

    for (guint i = 0; i < count; i++)
        if (windows[i].seconds > 0)
            most = MAX(most, windows[i].bytes);
    if (!most)
        return best;
    memory_bytes = MAX(memory_bytes, most);
    for (guint i = 0; i <= SETS; i++) {
        double share = 1 - (double)i / SETS;
        double set = (double)most * pow((double)memory_bytes / (double)most, share);

        try_set(set, TRUE, windows, count, &best, &least);
        try_set(set, FALSE, windows, count, &best, &least);
    }
    return best;
}
