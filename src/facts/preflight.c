/* SPDX-License-Identifier: Apache-2.0 */
/* Whether this node can take a VM: see preflight.h. */
#include "facts/preflight.h"

#include "facts/machine.h"

drv_plan_target_goal drv_preflight_goal(json_object *step)
{
    const char *method = drv_json_string(step, "method", "");
    const drv_plan_target_goal goal = {
        .vm = drv_json_string(step, "vm", "?"),
        .source = drv_json_string(step, "source", "?"),
        .target = drv_json_string(step, "target", "?"),
        .offline = g_str_equal(method, "offline"),
        .post_copy = g_str_equal(method, "post-copy") || g_str_equal(method, "hybrid") ||
                     g_str_equal(drv_json_string(step, "post_copy", "never"), "if-needed"),
        .memory_bytes = (guint64)MAX(drv_json_int(step, "memory_bytes", 0), 0),
    };

    return goal;
}

static GPtrArray *directories_of(json_object *step)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(g_free);
    json_object *disks = drv_json_array(step, "disks");

    for (gsize i = 0; i < drv_json_length(disks); i++) {
        json_object *disk = json_object_array_get_idx(disks, i);

        if (drv_node_is_copied(disk))
            g_ptr_array_add(list, g_path_get_dirname(drv_json_string(disk, "target_path", "/")));
    }
    return list;
}

gboolean drv_facts_preflight(drv_context *ctx, json_object *step, GError **error)
{
    const drv_plan_target_goal goal = drv_preflight_goal(step);
    g_autoptr(GPtrArray) directories = directories_of(step);
    g_autoptr(json_object) facts = json_object_new_object();
    g_autoptr(drv_checks) checks = drv_checks_new();
    g_autofree char *all = NULL;
    /* A step has the names that drv_machine_facts_there() is told by. */
    json_object *there = drv_machine_facts_there(ctx, step, directories, error);

    if (!there)
        return FALSE;
    drv_json_set(facts, "there", there);
    drv_json_set(facts, "machine", json_object_get(drv_json_object(step, "machine")));
    drv_json_set(facts, "here", json_object_get(drv_json_object(step, "here")));
    drv_plan_target(facts, step, &goal, checks);
    if (!drv_checks_problems(checks))
        return TRUE;
    all = drv_checks_text(checks);
    g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED, "%s cannot go to %s: %s", goal.vm, ctx->node, all);
    return FALSE;
}
