/* SPDX-License-Identifier: Apache-2.0 */
/* The estimator's input as a document: see estimate-json.h. */
#include "plan/estimate-json.h"

#include <math.h>

typedef enum { WHOLE, SHARE, SMALL, FLAG } kind;

#define AT(field) offsetof(drv_estimate_input, field)
/* clang-format off */
static const struct {
    const char *key;
    gsize at;
    kind kind;
} fields[] = {
    {"memory_bytes", AT(memory_bytes), WHOLE},   {"vcpus", AT(vcpus), SMALL},
    {"running", AT(running), FLAG},              {"offline", AT(offline), FLAG},
    {"device_bytes", AT(device_bytes), WHOLE},   {"sampled", AT(sampled), FLAG},
    {"zero_share", AT(zero_share), SHARE},       {"first_ratio", AT(first_ratio), SHARE},
    {"again_ratio", AT(again_ratio), SHARE},     {"recycled_share", AT(recycled_share), SHARE},
    {"disk_bytes", AT(disk_bytes), WHOLE},       {"disk_ratio", AT(disk_ratio), SHARE},
    {"disk_older_bytes", AT(disk_older_bytes), WHOLE},
    {"link_bps", AT(link_bps), WHOLE},           {"rtt_us", AT(rtt_us), WHOLE},
    {"bandwidth_bps", AT(bandwidth_bps), WHOLE}, {"relay_bps", AT(relay_bps), WHOLE},
    {"fixed_ms", AT(fixed_ms), WHOLE},           {"handover_ms", AT(handover_ms), WHOLE},
    {"max_pause_ms", AT(max_pause_ms), WHOLE},   {"max_time_ms", AT(max_time_ms), WHOLE},
    {"may_post_copy", AT(may_post_copy), FLAG},  {"post_copy", AT(post_copy), FLAG},
};
/* clang-format on */

static double number(json_object *object, const char *key, double otherwise)
{
    json_object *value;

    if (!json_object_object_get_ex(object, key, &value))
        return otherwise;
    return isfinite(json_object_get_double(value)) ? json_object_get_double(value) : otherwise;
}

static json_object *margins_json(const drv_estimate_margins *margins)
{
    json_object *object = json_object_new_object();

    drv_json_set_int(object, "moves", margins->moves);
    drv_json_set(object, "time", json_object_new_double(margins->time));
    drv_json_set(object, "wire", json_object_new_double(margins->wire));
    drv_json_set(object, "pause", json_object_new_double(margins->pause));
    return object;
}

static drv_estimate_margins margins_read(json_object *object)
{
    if (!object)
        return (drv_estimate_margins){0};
    return (drv_estimate_margins){.moves = (guint)CLAMP(drv_json_int(object, "moves", 0), 0, 1000000),
                                  .time = CLAMP(number(object, "time", 0), -5, 5),
                                  .wire = CLAMP(number(object, "wire", 0), -5, 5),
                                  .pause = CLAMP(number(object, "pause", 0), -5, 5)};
}

json_object *drv_estimate_history_json(const drv_estimate_history *history)
{
    json_object *object = json_object_new_object();

    drv_json_set_int(object, "moves", history->moves);
    drv_json_set_int(object, "link_moves", history->link_moves);
    drv_json_set_int(object, "cpu_moves", history->cpu_moves);
    drv_json_set(object, "cpu_wire", json_object_new_double(history->cpu_wire));
    drv_json_set(object, "relay_bps", json_object_new_double(history->relay_bps));
    drv_json_set(object, "time", json_object_new_double(history->time));
    drv_json_set(object, "wire", json_object_new_double(history->wire));
    drv_json_set(object, "pause", json_object_new_double(history->pause));
    drv_json_set(object, "seen", margins_json(&history->seen));
    drv_json_set(object, "unseen", margins_json(&history->unseen));
    return object;
}

static void history_read(drv_estimate_history *history, json_object *object)
{
    if (!object)
        return;
    *history = (drv_estimate_history){.moves = (guint)CLAMP(drv_json_int(object, "moves", 0), 0, 1000000),
                                      .link_moves = (guint)CLAMP(drv_json_int(object, "link_moves", 0), 0, 1000000),
                                      .cpu_moves = (guint)CLAMP(drv_json_int(object, "cpu_moves", 0), 0, 1000000),
                                      .cpu_wire = number(object, "cpu_wire", 0),
                                      .relay_bps = number(object, "relay_bps", 0),
                                      .time = number(object, "time", 0),
                                      .wire = number(object, "wire", 0),
                                      .pause = number(object, "pause", 0),
                                      .seen = margins_read(drv_json_object(object, "seen")),
                                      .unseen = margins_read(drv_json_object(object, "unseen"))};
}

json_object *drv_estimate_input_json(const drv_estimate_input *in)
{
    json_object *object = json_object_new_object();
    json_object *windows = json_object_new_array();

    for (gsize i = 0; i < G_N_ELEMENTS(fields); i++) {
        gconstpointer at = (const char *)in + fields[i].at;

        switch (fields[i].kind) {
        case WHOLE:
            drv_json_set_int(object, fields[i].key, (gint64)MIN(*(const guint64 *)at, G_MAXINT64));
            break;
        case SHARE:
            drv_json_set(object, fields[i].key, json_object_new_double(*(const double *)at));
            break;
        case SMALL:
            drv_json_set_int(object, fields[i].key, *(const guint *)at);
            break;
        case FLAG:
            drv_json_set_bool(object, fields[i].key, *(const gboolean *)at);
            break;
        }
    }
    for (guint i = 0; i < MIN(in->window_count, DRV_ESTIMATE_WINDOWS); i++) {
        json_object *window = json_object_new_object();

        drv_json_set(window, "seconds", json_object_new_double(in->windows[i].seconds));
        drv_json_set_int(window, "bytes", (gint64)in->windows[i].bytes);
        json_object_array_add(windows, window);
    }
    drv_json_set(object, "windows", windows);
    drv_json_set(object, "vm", drv_estimate_history_json(&in->vm));
    drv_json_set(object, "pair", drv_estimate_history_json(&in->pair));
    return object;
}

void drv_estimate_input_read(drv_estimate_input *in, json_object *object)
{
    json_object *windows = object ? drv_json_array(object, "windows") : NULL;

    for (gsize i = 0; object && i < G_N_ELEMENTS(fields); i++) {
        gpointer at = (char *)in + fields[i].at;

        if (!json_object_object_get_ex(object, fields[i].key, NULL))
            continue;
        switch (fields[i].kind) {
        case WHOLE:
            *(guint64 *)at = (guint64)MAX(drv_json_int(object, fields[i].key, 0), 0);
            break;
        case SHARE:
            *(double *)at = MAX(number(object, fields[i].key, 0), 0);
            break;
        case SMALL:
            *(guint *)at = (guint)CLAMP(drv_json_int(object, fields[i].key, 0), 0, 1000000);
            break;
        case FLAG:
            *(gboolean *)at = drv_json_bool(object, fields[i].key);
            break;
        }
    }
    if (windows)
        in->window_count = 0;
    for (gsize i = 0; i < drv_json_length(windows) && in->window_count < DRV_ESTIMATE_WINDOWS; i++) {
        json_object *window = json_object_array_get_idx(windows, i);

        in->windows[in->window_count++] =
            (drv_dirty_window){.seconds = MAX(number(window, "seconds", 0), 0),
                               .bytes = (guint64)MAX(drv_json_int(window, "bytes", 0), 0)};
    }
    if (object) {
        history_read(&in->vm, drv_json_object(object, "vm"));
        history_read(&in->pair, drv_json_object(object, "pair"));
    }
}
