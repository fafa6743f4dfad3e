/* SPDX-License-Identifier: Apache-2.0 */
/* What a move will take: see predict.h. */
#include "plan/predict.h"

#include <math.h>

#include "plan/estimate-json.h"

guint64 drv_plan_link_bps(const drv_fleet *fleet, const drv_fleet_node *from, const drv_fleet_node *to)
{
    const drv_fleet_link *link = drv_fleet_link_between(fleet, from, to);

    return link && link->rate_bps ? link->rate_bps : DRV_PLAN_LINK_BPS;
}

static guint64 goal_of(const drv_fleet_vm *vm, const char *name)
{
    return (guint64)MAX(drv_json_int(vm->goals, name, 0), 0);
}

/* Of its memory, what that node has already. */
static double recycled_share(const drv_fleet_vm *vm, const drv_fleet_node *to)
{
    json_object *shares = drv_json_object(vm->expects, "recycled");
    double share = json_object_get_double(json_object_object_get(shares, to->name));

    return isfinite(share) ? CLAMP(share, 0, 1) : 0;
}

void drv_plan_expect(const drv_fleet *fleet, const drv_fleet_vm *vm, const drv_fleet_node *to, drv_estimate_input *in)
{
    const drv_fleet_link *link = drv_fleet_link_between(fleet, vm->on, to);

    *in = (drv_estimate_input){0};
    drv_estimate_input_read(in, vm->expects);
    in->memory_bytes = vm->memory_bytes;
    in->vcpus = vm->vcpus;
    in->running = g_str_equal(vm->state, "running");
    in->offline = !vm->active;
    in->rtt_us = link ? link->rtt_us : 0;
    in->bandwidth_bps = goal_of(vm, "bandwidth_bps");
    in->max_pause_ms = goal_of(vm, "max_pause_ms");
    in->max_time_ms = goal_of(vm, "max_time_ms");
    in->may_post_copy = g_str_equal(drv_json_string(vm->goals, "post_copy", "never"), "if-needed");
    in->recycled_share = recycled_share(vm, to);
    in->disk_bytes = 0;
    for (guint i = 0; i < vm->disk_count; i++)
        in->disk_bytes += vm->disks[i].shared ? 0 : vm->disks[i].bytes;
    if (!in->window_count && vm->dirty_bps >= 0)
        in->windows[in->window_count++] = (drv_dirty_window){1, (guint64)vm->dirty_bps};
}

void drv_plan_predict(const drv_estimate_input *in, guint64 rate_bps, drv_estimate *out)
{
    drv_estimate_input with_rate = *in;

    with_rate.link_bps = rate_bps;
    drv_plan_estimate(&with_rate, out);
}

json_object *drv_plan_range_json(const drv_estimate_range *range)
{
    json_object *object = json_object_new_object();

    drv_json_set_int(object, "p50", (gint64)range->p50);
    drv_json_set_int(object, "p90", (gint64)range->p90);
    return object;
}
