/* SPDX-License-Identifier: Apache-2.0 */
/* What a move will take: see predict.h. */
#include "plan/predict.h"

/* Sessions, the target's start, the hand-over. */
#define FIXED_MS 1500
#define PAUSE_MS 150
/* Rounds of pre-copy are given up when so many times the memory was sent. */
#define MOST_TIMES 3

guint64 drv_plan_link_bps(const drv_fleet *fleet, const drv_fleet_node *from,
                          const drv_fleet_node *to)
{
    const drv_fleet_link *link = drv_fleet_link_between(fleet, from, to);

    return link && link->rate_bps ? link->rate_bps : DRV_PLAN_LINK_BPS;
}

void drv_plan_predict(const drv_fleet *fleet, const drv_fleet_vm *vm, const drv_fleet_node *to,
                      guint64 rate_bps, drv_prediction *out)
{
    double rate = (double)MAX(rate_bps, 1);
    double dirty = vm->dirty_bps > 0 ? (double)vm->dirty_bps / rate : 0;
    double times = dirty < 1 - 1.0 / MOST_TIMES ? 1 / (1 - dirty) : MOST_TIMES;
    double bytes = (double)vm->memory_bytes * times;

    for (guint i = 0; i < vm->disk_count; i++)
        bytes += vm->disks[i].shared ? 0 : (double)vm->disks[i].bytes;
    out->time_ms.p50 = (guint64)(FIXED_MS + bytes / rate * 1000);
    out->time_ms.p90 = out->time_ms.p50 * 3 / 2;
    out->pause_ms = (drv_plan_range){PAUSE_MS, 2 * PAUSE_MS};
    out->wire_bytes = (drv_plan_range){(guint64)bytes, (guint64)(bytes * 1.5)};
    out->verdict = dirty < 1 ? "converges" : "throttle";
    out->basis = "model";
    g_snprintf(out->why, sizeof out->why, "%" G_GUINT64_FORMAT " MiB at %.0f Mbit/s",
               (guint64)bytes >> 20, rate * 8 / 1e6);
}

json_object *drv_plan_range_json(const drv_plan_range *range)
{
    json_object *object = json_object_new_object();

    drv_json_set_int(object, "p50", (gint64)range->p50);
    drv_json_set_int(object, "p90", (gint64)range->p90);
    return object;
}

json_object *drv_prediction_json(const drv_prediction *prediction)
{
    json_object *object = json_object_new_object();

    drv_json_set(object, "time_ms", drv_plan_range_json(&prediction->time_ms));
    drv_json_set(object, "pause_ms", drv_plan_range_json(&prediction->pause_ms));
    drv_json_set(object, "wire_bytes", drv_plan_range_json(&prediction->wire_bytes));
    drv_json_set_string(object, "verdict", prediction->verdict);
    drv_json_set_string(object, "why", prediction->why);
    drv_json_set_string(object, "basis", prediction->basis);
    return object;
}
