/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a plan still fits: see stale.h. */
#include "fleet/stale.h"

#include "fleet/goal-steps.h"
#include "model/fleet.h"
#include "model/json.h"

static void add(GPtrArray *reasons, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

static void add(GPtrArray *reasons, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    g_ptr_array_add(reasons, g_strdup_vprintf(fmt, args));
    va_end(args);
}

static void check_vm(GPtrArray *reasons, const drv_fleet *fleet, json_object *step)
{
    const char *name = drv_json_string(step, "vm", "?");
    const char *source = drv_json_string(step, "source", "");
    const drv_fleet_vm *vm = drv_fleet_goal_vm(fleet, drv_json_string(step, "uuid", ""));

    if (!vm)
        add(reasons, "%s is not on %s any more, nor on any node that answers", name, source);
    else if (!g_str_equal(vm->node, source))
        add(reasons, "%s is on %s now and not on %s", name, vm->node, source);
    else if (!vm->active)
        add(reasons, "%s is %s now", name, vm->state);
    else if (vm->busy)
        add(reasons, "%s is at work on %s", vm->busy, name);
    else if (vm->memory_bytes != (guint64)drv_json_int(step, "memory_bytes", 0))
        add(reasons, "%s has %" G_GUINT64_FORMAT " MiB of memory now", name, vm->memory_bytes >> 20);
}

static gboolean is_source(json_object *steps, const char *node)
{
    for (gsize i = 0; i < drv_json_length(steps); i++)
        if (g_str_equal(drv_json_string(json_object_array_get_idx(steps, i), "source", ""), node))
            return TRUE;
    return FALSE;
}

static void check_target(GPtrArray *reasons, const drv_fleet *fleet, const char *name, json_object *steps,
                         gboolean returning)
{
    const drv_fleet_node *node = drv_fleet_find_node(fleet, name);
    gint64 wanted = 0;

    for (gsize i = 0; i < drv_json_length(steps); i++) {
        json_object *step = json_object_array_get_idx(steps, i);

        if (g_str_equal(drv_json_string(step, "target", ""), name))
            wanted += drv_json_int(step, "memory_bytes", 0);
    }
    if (!node)
        add(reasons, "%s is no node any more", name);
    else if (!node->up)
        add(reasons, "%s does not answer any more", name);
    else if (node->maintenance != DRV_MAINTENANCE_NONE && !returning)
        add(reasons, "%s is in maintenance now and takes no VMs", name);
    /* Where some leave as well, it depends on the order, which the plan has. */
    else if (!is_source(steps, name) && drv_fleet_room(node) < wanted)
        add(reasons, "%s has room for %" G_GINT64_FORMAT " MiB only, with what is on its way there", name,
            MAX(drv_fleet_room(node), 0) >> 20);
}

static void check_targets(GPtrArray *reasons, const drv_fleet *fleet, json_object *plan)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    json_object *steps = drv_json_array(plan, "steps");
    gboolean returning = g_str_equal(drv_json_string(drv_json_object(plan, "goal"), "goal", ""), "return");

    for (gsize i = 0; i < drv_json_length(steps); i++) {
        const char *target = drv_json_string(json_object_array_get_idx(steps, i), "target", "");

        if (g_hash_table_add(seen, (gpointer)target))
            check_target(reasons, fleet, target, steps, returning);
    }
}

static gboolean names(json_object *plan, const char *uuid)
{
    static const char *const lists[] = {"steps", "refused", "stay"};

    for (guint i = 0; i < G_N_ELEMENTS(lists); i++) {
        json_object *list = drv_json_array(plan, lists[i]);

        for (gsize j = 0; j < drv_json_length(list); j++)
            if (g_str_equal(drv_json_string(json_object_array_get_idx(list, j), "uuid", ""), uuid))
                return TRUE;
    }
    return FALSE;
}

static void check_emptied(GPtrArray *reasons, const drv_fleet *fleet, json_object *plan, const char *name)
{
    const drv_fleet_node *node = drv_fleet_find_node(fleet, name);

    if (!node || !node->up) {
        add(reasons, "%s does not answer any more", name);
        return;
    }
    for (const drv_fleet_vm *vm = node->first_vm; vm; vm = vm->next_on_node)
        if (vm->active && !vm->arriving && !names(plan, vm->uuid))
            add(reasons, "%s has appeared on %s", vm->name, name);
}

/* A node that is to be emptied has VMs that the plan does not know. */
static void check_new(GPtrArray *reasons, const drv_fleet *fleet, json_object *plan)
{
    json_object *goal = drv_json_object(plan, "goal");
    json_object *nodes = drv_json_array(goal, "nodes");

    if (!g_str_equal(drv_json_string(goal, "goal", ""), "evacuate"))
        return;
    if (!nodes)
        check_emptied(reasons, fleet, plan, drv_json_string(goal, "node", ""));
    for (gsize i = 0; i < drv_json_length(nodes); i++)
        check_emptied(reasons, fleet, plan, json_object_get_string(json_object_array_get_idx(nodes, i)));
}

GPtrArray *drv_fleet_stale(const drv_fleet *fleet, json_object *plan)
{
    GPtrArray *reasons = g_ptr_array_new_with_free_func(g_free);
    json_object *steps = drv_json_array(plan, "steps");

    for (gsize i = 0; i < drv_json_length(steps); i++)
        check_vm(reasons, fleet, json_object_array_get_idx(steps, i));
    check_targets(reasons, fleet, plan);
    check_new(reasons, fleet, plan);
    return reasons;
}
