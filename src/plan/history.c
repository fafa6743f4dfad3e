/* SPDX-License-Identifier: Apache-2.0 */
/* What earlier moves teach: see history.h. */
#include "plan/history.h"

#include <math.h>
#include <stdlib.h>

/* Further away a ratio says that something else went wrong. */
#define MOST_RATIO 10.0
/* Of a pause, whatever the model says of the sending. */
#define LEAST_HANDOVER 0.3
/* Of its rate, from the first byte to the resume: the link was full. */
#define FILLED 0.65

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return left < right ? -1 : left > right;
}

/* What processors have to do otherwise changes: the newest moves say what is so now. */
#define RECENT 4
#define MIDDLE 0.5
/* What processors get through when they are not too busy otherwise. */
#define GOOD 0.8

typedef enum { ANY, BY_LINK, BY_CPU } limit;

static gboolean is_of(json_object *move, limit which)
{
    return which == ANY || drv_json_bool(move, "filled") == (which == BY_LINK);
}

static guint count_of(json_object *moves, limit which)
{
    gsize length = drv_json_length(moves);
    guint count = 0;

    for (gsize i = length > RECENT ? length - RECENT : 0; i < length; i++)
        count += is_of(json_object_array_get_idx(moves, i), which);
    return count;
}

/* Of a member of the entries; 0: there is none. */
static double quantile(json_object *moves, const char *key, limit which, double share)
{
    gsize length = drv_json_length(moves);
    g_autofree double *values = g_new(double, length + 1);
    gsize count = 0;

    for (gsize i = length > RECENT ? length - RECENT : 0; i < length; i++) {
        json_object *move = json_object_array_get_idx(moves, i);
        json_object *value = json_object_object_get(move, key);

        if (is_of(move, which) && value && json_object_get_double(value) > 0)
            values[count++] = json_object_get_double(value);
    }
    if (!count)
        return 0;
    qsort(values, count, sizeof *values, by_value);
    if (share == MIDDLE && count % 2 == 0)
        return (values[count / 2 - 1] + values[count / 2]) / 2;
    return values[(gsize)(share * (double)(count - 1) + 0.5)];
}

static double median(json_object *moves, const char *key, limit which)
{
    return quantile(moves, key, which, MIDDLE);
}

/* ln of what nine of ten of @count stay below; of the next one, too: so it is a little more. */
static double ninth(double *values, gsize count)
{
    gsize rank = (gsize)ceil(0.9 * (double)(count + 1));

    qsort(values, count, sizeof *values, by_value);
    return log(values[MIN(rank, count) - 1]);
}

static double over(json_object *moves, const char *key, gboolean seen, guint *moves_used)
{
    gsize length = drv_json_length(moves);
    g_autofree double *values = g_new(double, length + 1);
    gsize count = 0;

    for (gsize i = 0; i < length; i++) {
        json_object *move = json_object_array_get_idx(moves, i);
        json_object *value = json_object_object_get(drv_json_object(move, "over"), key);

        if (drv_json_bool(move, "seen") == seen && value && json_object_get_double(value) > 0)
            values[count++] = json_object_get_double(value);
    }
    *moves_used = (guint)count;
    return count ? ninth(values, count) : 0;
}

static drv_estimate_margins margins_of(json_object *moves, gboolean seen)
{
    drv_estimate_margins margins;

    margins.wire = over(moves, "wire", seen, &margins.moves);
    margins.pause = over(moves, "pause", seen, &margins.moves);
    margins.time = over(moves, "time", seen, &margins.moves);
    return margins;
}

drv_estimate_history drv_history_of(json_object *moves)
{
    return (drv_estimate_history){.moves = (guint)drv_json_length(moves),
                                  .link_moves = count_of(moves, BY_LINK),
                                  .time = median(moves, "copy", BY_LINK),
                                  .wire = median(moves, "wire", BY_LINK),
                                  .cpu_moves = count_of(moves, BY_CPU),
                                  .cpu_wire = median(moves, "wire", BY_CPU),
                                  .relay_bps = quantile(moves, "through_bps", BY_CPU, GOOD),
                                  .pause = median(moves, "pause", ANY),
                                  .seen = margins_of(moves, TRUE),
                                  .unseen = margins_of(moves, FALSE)};
}

guint64 drv_history_fixed_ms(json_object *moves)
{
    return (guint64)median(moves, "fixed_ms", ANY);
}

guint64 drv_history_handover_ms(json_object *moves)
{
    return (guint64)median(moves, "handover_ms", ANY);
}

json_object *drv_history_model(const drv_estimate *estimate)
{
    json_object *object = json_object_new_object();

    drv_json_set(object, "copy_ms", json_object_new_double(estimate->model_copy_ms));
    drv_json_set(object, "wire_bytes", json_object_new_double(estimate->model_wire_bytes));
    drv_json_set(object, "pause_ms", json_object_new_double(estimate->model_pause_ms));
    drv_json_set_int(object, "fixed_ms", (gint64)estimate->fixed_ms);
    drv_json_set(object, "handover_ms", json_object_new_double(estimate->model_handover_ms));
    drv_json_set_int(object, "rounds", estimate->rounds);
    return object;
}

static double number(json_object *object, const char *key)
{
    json_object *value = json_object_object_get(object, key);

    return value ? json_object_get_double(value) : 0;
}

static void set_ratio(json_object *entry, const char *key, json_object *report, const char *actual, json_object *model,
                      const char *modelled)
{
    json_object *value = model ? json_object_object_get(model, modelled) : NULL;
    double expected = value ? json_object_get_double(value) : 0;
    double was = (double)drv_json_int(report, actual, -1);

    if (was > 0 && expected > 0)
        drv_json_set(entry, key, json_object_new_double(CLAMP(was / expected, 1 / MOST_RATIO, MOST_RATIO)));
}

static json_object *over_json(json_object *report)
{
    static const struct {
        const char *key, *actual, *said;
    } figures[] = {
        {"time", "total_ms", "time_ms"}, {"wire", "wire_bytes", "wire_bytes"}, {"pause", "pause_ms", "pause_ms"}};
    json_object *predicted = drv_json_object(report, "predicted");
    json_object *object = json_object_new_object();

    for (gsize i = 0; predicted && i < G_N_ELEMENTS(figures); i++)
        set_ratio(object, figures[i].key, report, figures[i].actual, drv_json_object(predicted, figures[i].said),
                  "p50");
    return object;
}

/* The model's sending is taken for right, within reason: the rest of the pause is the hand-over. */
static void set_handover(json_object *entry, json_object *report, json_object *model)
{
    double pause = (double)drv_json_int(report, "pause_ms", -1);
    double all = number(model, "pause_ms");
    double sending = all - number(model, "handover_ms");

    if (pause > 0 && all > 0)
        drv_json_set(entry, "handover_ms", json_object_new_double(MAX(pause - sending, LEAST_HANDOVER * pause)));
}

/* Whether the link was the limit: what went of it, and what it takes as the relay has seen. */
static void set_limit(json_object *entry, json_object *report)
{
    double copy_s = (double)drv_json_int(report, "copy_ms", 0) / 1000;
    double went_bps = copy_s > 0 ? (double)drv_json_int(report, "wire_bytes", 0) / copy_s : 0;
    double link_bps = (double)drv_json_int(report, "link_bps", 0);

    drv_json_set_bool(entry, "filled", link_bps > 0 && went_bps >= FILLED * link_bps);
    if (copy_s > 0)
        drv_json_set(entry, "through_bps",
                     json_object_new_double((double)drv_json_int(report, "qemu_bytes", 0) / copy_s));
}

json_object *drv_history_entry(json_object *report, json_object *model, gint64 ended_ms)
{
    json_object *entry;

    if (!model || drv_json_int(report, "copy_ms", -1) < 0)
        return NULL;
    entry = json_object_new_object();
    drv_json_set_int(entry, "ended_ms", ended_ms);
    drv_json_set_string(entry, "source", drv_json_string(report, "source", NULL));
    drv_json_set_string(entry, "target", drv_json_string(report, "target", NULL));
    set_ratio(entry, "copy", report, "copy_ms", model, "copy_ms");
    set_ratio(entry, "wire", report, "wire_bytes", model, "wire_bytes");
    set_ratio(entry, "pause", report, "pause_ms", model, "pause_ms");
    set_handover(entry, report, model);
    set_limit(entry, report);
    drv_json_set_int(entry, "fixed_ms", drv_json_int(report, "fixed_ms", 0));
    drv_json_set_bool(entry, "seen", drv_json_bool(report, "seen_before"));
    drv_json_set(entry, "over", over_json(report));
    return entry;
}

void drv_history_add(json_object *document, json_object *entry, guint most)
{
    json_object *before = drv_json_array(document, "moves");
    json_object *moves = json_object_new_array();
    gsize length = drv_json_length(before);

    for (gsize i = length >= most ? length - most + 1 : 0; i < length; i++)
        json_object_array_add(moves, json_object_get(json_object_array_get_idx(before, i)));
    json_object_array_add(moves, json_object_get(entry));
    drv_json_set(document, "moves", moves);
}
