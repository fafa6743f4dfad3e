/* SPDX-License-Identifier: Apache-2.0 */
/* Predicted beside actual: see accuracy.h. */
#include "plan/accuracy.h"

#include <stdlib.h>

enum { TIME, WIRE, PAUSE, FIGURES };
enum { ALL, SEEN_BEFORE, NEVER_SEEN, GROUPS };

static const struct {
    const char *key, *actual;
} figures[FIGURES] = {
    [TIME] = {"time_ms", "total_ms"},
    [WIRE] = {"wire_bytes", "wire_bytes"},
    [PAUSE] = {"pause_ms", "pause_ms"},
};

static const char *const group_keys[GROUPS] = {
    [ALL] = "all", [SEEN_BEFORE] = "seen_before", [NEVER_SEEN] = "never_seen"};

typedef struct {
    GArray *errors; /* of double: |predicted - actual| ÷ actual */
    guint over;     /* actual above the stated p90 */
} scores;

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return left < right ? -1 : left > right;
}

/* The least that so many of a hundred do not exceed. */
static double percentile(GArray *sorted, guint percent)
{
    guint rank = (sorted->len * percent + 99) / 100;

    return g_array_index(sorted, double, MAX(rank, 1) - 1);
}

static gboolean has_figures(json_object *report)
{
    json_object *predicted = drv_json_object(report, "predicted");

    return predicted && g_str_equal(drv_json_string(report, "outcome", ""), "done");
}

static void add(scores *into, json_object *report, guint figure)
{
    json_object *range = drv_json_object(drv_json_object(report, "predicted"), figures[figure].key);
    double actual = (double)drv_json_int(report, figures[figure].actual, -1);
    double p50 = (double)drv_json_int(range, "p50", -1);
    double error;

    if (!range || actual <= 0 || p50 < 0)
        return;
    error = ABS(p50 - actual) / actual;
    g_array_append_val(into->errors, error);
    into->over += actual > (double)drv_json_int(range, "p90", 0);
}

static json_object *score_json(scores *of)
{
    json_object *object = json_object_new_object();
    guint count = of->errors->len;

    g_array_sort(of->errors, by_value);
    drv_json_set_int(object, "moves", count);
    drv_json_set(object, "median_error", count ? json_object_new_double(percentile(of->errors, 50)) : NULL);
    drv_json_set(object, "p90_error", count ? json_object_new_double(percentile(of->errors, 90)) : NULL);
    drv_json_set(object, "over_p90", count ? json_object_new_double((double)of->over / count) : NULL);
    return object;
}

json_object *drv_plan_accuracy(json_object *jobs)
{
    json_object *object = json_object_new_object();
    scores all[GROUPS][FIGURES];
    guint moves[GROUPS] = {0};

    for (guint g = 0; g < GROUPS; g++)
        for (guint f = 0; f < FIGURES; f++)
            all[g][f] = (scores){g_array_new(FALSE, FALSE, sizeof(double)), 0};
    for (gsize i = 0; i < drv_json_length(jobs); i++) {
        json_object *report = drv_json_object(json_object_array_get_idx(jobs, i), "report");
        guint group = report && drv_json_bool(report, "seen_before") ? SEEN_BEFORE : NEVER_SEEN;

        if (!report || !has_figures(report))
            continue;
        moves[ALL]++;
        moves[group]++;
        for (guint f = 0; f < FIGURES; f++) {
            add(&all[ALL][f], report, f);
            add(&all[group][f], report, f);
        }
    }
    for (guint g = 0; g < GROUPS; g++) {
        json_object *group = json_object_new_object();

        drv_json_set_int(group, "moves", moves[g]);
        for (guint f = 0; f < FIGURES; f++) {
            drv_json_set(group, figures[f].key, score_json(&all[g][f]));
            g_array_unref(all[g][f].errors);
        }
        drv_json_set(object, group_keys[g], group);
    }
    return object;
}
