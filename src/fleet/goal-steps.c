/* SPDX-License-Identifier: Apache-2.0 */
/* From a goal of the fleet to steps: see goal-steps.h. */
#include "fleet/goal-steps.h"

#include "base/clock.h"
#include "fleet/maintenance.h"
#include "fleet/operations.h"
#include "fleet/snapshot.h"
#include "model/fleet-json.h"
#include "model/working.h"
#include "plan/fleet-plan.h"
#include "plan/goals.h"
#include "plan/place.h"

gboolean drv_fleet_plan_is_goal(json_object *goal)
{
    static const char *const goals[] = {"evacuate", "return", "place", NULL};

    return g_strv_contains(goals, drv_json_string(goal, "goal", ""));
}

/* "node" or "nodes". The strings are the goal's. */
static const char **nodes_of(json_object *goal)
{
    json_object *list = drv_json_array(goal, "nodes");
    gsize count = drv_json_length(list);
    const char **nodes = g_new0(const char *, count + 2);

    for (gsize i = 0; i < count; i++)
        nodes[i] = json_object_get_string(json_object_array_get_idx(list, i));
    if (!count)
        nodes[0] = drv_json_string(goal, "node", NULL);
    return nodes;
}

/* Strings alone, and a drain is of one node. */
static gboolean check_nodes(json_object *goal, GError **error)
{
    json_object *list = drv_json_array(goal, "nodes");
    gboolean good = drv_json_length(list) > 0 && !drv_json_bool(goal, "drain") &&
                    g_str_equal(drv_json_string(goal, "goal", ""), "evacuate");

    for (gsize i = 0; i < drv_json_length(list); i++)
        good &= json_object_is_type(json_object_array_get_idx(list, i), json_type_string);
    if (!good)
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "\"nodes\" is a list of names of nodes to evacuate; drain them one by one");
    return good;
}

gboolean drv_fleet_goal_check(json_object *goal, GError **error)
{
    static const char *const known[] = {"goal", "check",  "node",         "nodes",       "drain",
                                        "vm",   "limits", "max_pause_ms", "max_time_ms", "post_copy"};
    const char *what = drv_json_string(goal, "goal", "?");
    const char *needed = g_str_equal(what, "place") ? "vm" : "node";
    drv_plan_limits limits;

    json_object_object_foreach(goal, key, value)
    {
        gboolean found = FALSE;

        (void)value;
        for (guint i = 0; i < G_N_ELEMENTS(known); i++)
            found |= g_str_equal(known[i], key);
        if (!found) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "the goal '%s' has no member '%s'", what, key);
            return FALSE;
        }
    }
    if (json_object_object_get(goal, "nodes")) {
        if (!check_nodes(goal, error))
            return FALSE;
    } else if (!drv_json_string(goal, needed, NULL)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "the goal '%s' needs \"%s\": its name", what, needed);
        return FALSE;
    }
    if (json_object_object_get(goal, "limits") && !drv_json_object(goal, "limits")) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "limits must be an object");
        return FALSE;
    }
    return drv_goals_check(goal, error) && drv_plan_limits_from_json(drv_json_object(goal, "limits"), &limits, error);
}

const drv_fleet_vm *drv_fleet_goal_vm(const drv_fleet *fleet, const char *uuid)
{
    const drv_fleet_vm *vm = drv_fleet_with_uuid(fleet, uuid);

    while (vm && vm->arriving)
        vm = vm->same_uuid;
    return vm;
}

/* Then the fleet counts it already. */
static gboolean is_arriving(const drv_fleet *fleet, json_object *step)
{
    for (const drv_fleet_vm *vm = drv_fleet_with_uuid(fleet, drv_json_string(step, "uuid", "")); vm; vm = vm->same_uuid)
        if (vm->arriving && g_str_equal(vm->node, drv_json_string(step, "target", "")))
            return TRUE;
    return FALSE;
}

/* What operations that run have promised to VMs that are not there yet. @but: the UUID of one that does not count. */
static void count_promises(drv_context *ctx, drv_fleet *fleet, const char *but)
{
    g_autoptr(GPtrArray) docs = drv_operations_running(ctx->operations);
    g_autoptr(json_object) promises = json_object_new_array();

    for (guint i = 0; i < docs->len; i++) {
        json_object *steps = drv_json_array(docs->pdata[i], "steps");

        for (gsize j = 0; j < drv_json_length(steps); j++) {
            json_object *step = json_object_array_get_idx(steps, j);
            json_object *promise;

            if (drv_step_state_get(drv_operation_step_state(step))->ended ||
                g_strcmp0(drv_json_string(step, "uuid", ""), but) == 0)
                continue;
            promise = json_object_new_object();
            drv_json_set_string(promise, "node", drv_json_string(step, "target", ""));
            drv_json_set_string(promise, "vm", drv_json_string(step, "vm", ""));
            drv_json_set_string(promise, "uuid", drv_json_string(step, "uuid", ""));
            drv_json_set_int(promise, "memory_bytes",
                             is_arriving(fleet, step) ? 0 : drv_json_int(step, "memory_bytes", 0));
            drv_json_set_string(promise, "by", drv_json_string(docs->pdata[i], "id", ""));
            json_object_array_add(promises, promise);
        }
    }
    drv_fleet_promises_from_json(fleet, promises);
}

drv_fleet *drv_fleet_goal_fleet(drv_context *ctx, GError **error)
{
    drv_fleet *fleet;

    drv_working_say("all nodes are asked what they have");
    fleet = drv_snapshot_settled_fleet(ctx, error);
    if (fleet)
        count_promises(ctx, fleet, NULL);
    return fleet;
}

char *drv_fleet_goal_target(drv_context *ctx, drv_fleet *fleet, const drv_fleet_vm *vm, json_object *avoid,
                            GError **error)
{
    const drv_fleet_node *node;

    count_promises(ctx, fleet, vm->uuid);
    for (gsize i = 0; i < drv_json_length(avoid); i++) {
        drv_fleet_node *tried = drv_fleet_find_node(fleet, json_object_get_string(json_object_array_get_idx(avoid, i)));

        if (tried && tried->up) {
            tried->up = FALSE;
            tried->error = "it was tried already";
        }
    }
    node = drv_plan_place(fleet, vm, NULL, error);
    return node ? g_strdup(node->name) : NULL;
}

/* Without what concerns VMs in @but. */
static void leave_out(json_object *list, GHashTable *but)
{
    for (gsize i = drv_json_length(list); but && i-- > 0;)
        if (g_hash_table_contains(but, drv_json_string(json_object_array_get_idx(list, i), "uuid", "")))
            json_object_array_del_idx(list, i, 1);
}

static json_object *plan_return(drv_context *ctx, const drv_fleet *fleet, const char *node,
                                const drv_plan_limits *limits, GError **error)
{
    g_autoptr(json_object) settings = drv_maintenance_settings(ctx, TRUE);

    return drv_plan_return(fleet, node, drv_json_array(drv_json_object(settings, node), "came_from"), limits, error);
}

json_object *drv_fleet_plan_steps(drv_context *ctx, json_object *goal, GHashTable *but, GError **error)
{
    g_autofree const char **nodes = nodes_of(goal);
    const char *what = drv_json_string(goal, "goal", "");
    g_autoptr(drv_fleet) fleet = NULL;
    drv_plan_limits limits;
    json_object *plan;

    if (!drv_fleet_goal_check(goal, error) ||
        !drv_plan_limits_from_json(drv_json_object(goal, "limits"), &limits, error))
        return NULL;
    fleet = drv_fleet_goal_fleet(ctx, error);
    if (!fleet)
        return NULL;
    plan = g_str_equal(what, "place")    ? drv_plan_place_vm(fleet, drv_json_string(goal, "vm", ""), &limits, error)
           : g_str_equal(what, "return") ? plan_return(ctx, fleet, nodes[0], &limits, error)
                                         : drv_plan_evacuate(fleet, nodes, &limits, error);
    if (!plan)
        return NULL;
    leave_out(drv_json_array(plan, "refused"), but);
    drv_json_set(plan, "id", NULL);
    drv_json_set_int(plan, "created_ms", drv_clock_real_ms());
    drv_json_set(plan, "goal", drv_json_copy(goal));
    drv_json_set(plan, "jobs", json_object_new_array());
    return plan;
}
