/* SPDX-License-Identifier: Apache-2.0 */
/* From a goal of the fleet to steps: see fleet-goal.h. */
#include "run/fleet-goal.h"

#include "base/clock.h"
#include "plan/goals.h"
#include "plan/place.h"
#include "run/fleet-plan.h"
#include "run/maintenance.h"
#include "run/operation-pick.h"
#include "run/operations.h"

gboolean drv_fleet_plan_is_goal(json_object *goal)
{
    static const char *const goals[] = {"evacuate", "return", NULL};

    return g_strv_contains(goals, drv_json_string(goal, "goal", ""));
}

static gboolean check_limits(json_object *limits, GError **error)
{
    static const struct {
        const char *key;
        gint64 least, most;
    } known[] = {{"per_node", 1, 64}, {"per_link", 1, 64}, {"bandwidth_bps", 0, G_MAXINT64}};

    json_object_object_foreach(limits, key, value)
    {
        const gint64 number = json_object_get_int64(value);
        guint i = 0;

        while (i < G_N_ELEMENTS(known) && !g_str_equal(known[i].key, key))
            i++;
        if (i == G_N_ELEMENTS(known)) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                        "limits have no member '%s'; there are per_node, per_link and bandwidth_bps", key);
            return FALSE;
        }
        if (!json_object_is_type(value, json_type_int) || number < known[i].least ||
            number > known[i].most) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                        "limits: %s must be a number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, key,
                        known[i].least, known[i].most);
            return FALSE;
        }
    }
    return TRUE;
}

gboolean drv_fleet_goal_check(json_object *goal, GError **error)
{
    static const char *const known[] = {"goal",  "check",  "node",         "drain",
                                        "limits", "max_pause_ms", "max_time_ms", "post_copy"};

    json_object_object_foreach(goal, key, value)
    {
        gboolean found = FALSE;

        (void)value;
        for (guint i = 0; i < G_N_ELEMENTS(known); i++)
            found |= g_str_equal(known[i], key);
        if (!found) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "the goal '%s' has no member '%s'",
                        drv_json_string(goal, "goal", "?"), key);
            return FALSE;
        }
    }
    if (!drv_json_string(goal, "node", NULL)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "the goal '%s' needs \"node\": the name of the node",
                    drv_json_string(goal, "goal", "?"));
        return FALSE;
    }
    if (json_object_object_get(goal, "limits") && !drv_json_object(goal, "limits")) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "limits must be an object");
        return FALSE;
    }
    return drv_goals_check(goal, error) &&
           (!drv_json_object(goal, "limits") || check_limits(drv_json_object(goal, "limits"), error));
}

const drv_fleet_vm *drv_fleet_goal_vm(const drv_fleet *fleet, const char *uuid)
{
    for (guint i = 0; i < fleet->vms->len; i++) {
        const drv_fleet_vm *vm = fleet->vms->pdata[i];

        if (!vm->arriving && g_str_equal(vm->uuid, uuid))
            return vm;
    }
    return NULL;
}

/* ---- room ---- */

static drv_fleet_node *node_of(drv_fleet *fleet, const char *name)
{
    for (guint i = 0; i < fleet->nodes->len; i++) {
        drv_fleet_node *node = fleet->nodes->pdata[i];

        if (g_str_equal(node->name, name))
            return node;
    }
    return NULL;
}

static void take_room(drv_fleet *fleet, const char *name, guint64 bytes)
{
    drv_fleet_node *node = node_of(fleet, name);

    if (node)
        node->memory_free_bytes -= MIN(bytes, node->memory_free_bytes);
}

/* What operations that run have promised to VMs that are not there yet. */
static void count_promises(drv_run *run, drv_fleet *fleet, const char *but)
{
    g_autoptr(GPtrArray) docs = drv_operations_running(run->operations);

    for (guint i = 0; i < docs->len; i++) {
        json_object *steps = drv_json_array(docs->pdata[i], "steps");

        for (gsize j = 0; j < drv_json_length(steps); j++) {
            json_object *step = json_object_array_get_idx(steps, j);

            if (!drv_step_state_get(drv_operation_step_state(step))->ended &&
                !g_str_equal(drv_json_string(step, "uuid", ""), but))
                take_room(fleet, drv_json_string(step, "target", ""),
                          (guint64)drv_json_int(step, "memory_bytes", 0));
        }
    }
}

char *drv_fleet_goal_target(drv_run *run, drv_fleet *fleet, const drv_fleet_vm *vm, json_object *avoid,
                            GError **error)
{
    const drv_fleet_node *node;

    count_promises(run, fleet, vm->uuid);
    for (gsize i = 0; i < drv_json_length(avoid); i++) {
        drv_fleet_node *tried =
            node_of(fleet, json_object_get_string(json_object_array_get_idx(avoid, i)));

        if (tried && tried->up) {
            tried->up = FALSE;
            tried->error = "it was tried already";
        }
    }
    node = drv_plan_place(fleet, vm, NULL, error);
    return node ? g_strdup(node->name) : NULL;
}

/* ---- steps ---- */

static gboolean is_active(const drv_fleet_vm *vm)
{
    return g_str_equal(vm->state, "running") || g_str_equal(vm->state, "paused");
}

static json_object *new_plan(json_object *goal)
{
    json_object *plan = json_object_new_object();
    json_object *limits = drv_json_copy(drv_json_object(goal, "limits"));

    if (!limits)
        limits = json_object_new_object();
    if (!json_object_object_get(limits, "per_node"))
        drv_json_set_int(limits, "per_node", DRV_PICK_PER_NODE);
    if (!json_object_object_get(limits, "per_link"))
        drv_json_set_int(limits, "per_link", DRV_PICK_PER_LINK);
    if (!json_object_object_get(limits, "bandwidth_bps"))
        drv_json_set_int(limits, "bandwidth_bps", 0);
    drv_json_set(plan, "id", NULL);
    drv_json_set_int(plan, "created_ms", drv_clock_real_ms());
    drv_json_set_int(plan, "fleet_ms", drv_clock_real_ms());
    drv_json_set(plan, "goal", drv_json_copy(goal));
    drv_json_set(plan, "steps", json_object_new_array());
    drv_json_set(plan, "refused", json_object_new_array());
    drv_json_set_string(plan, "state", "ready");
    drv_json_set(plan, "limits", limits);
    drv_json_set(plan, "jobs", json_object_new_array());
    return plan;
}

static void refuse(json_object *plan, const char *vm, const char *uuid, const GError *why)
{
    json_object *one = json_object_new_object();

    drv_json_set_string(one, "vm", vm);
    drv_json_set_string(one, "uuid", uuid);
    drv_json_set_string(one, "code", drv_error_code_name(why->code));
    drv_json_set_string(one, "message", why->message);
    json_object_array_add(drv_json_array(plan, "refused"), one);
}

/* @bound: "target": that is where it belongs, no other will do. */
static void add_step(json_object *plan, const drv_fleet_vm *vm, const char *target, const char *bound,
                     const char *why)
{
    json_object *steps = drv_json_array(plan, "steps");
    json_object *step = json_object_new_object();

    drv_json_set_int(step, "index", (gint64)json_object_array_length(steps));
    drv_json_set_string(step, "action", "migrate");
    drv_json_set_string(step, "vm", vm->name);
    drv_json_set_string(step, "uuid", vm->uuid);
    drv_json_set_string(step, "source", vm->node);
    drv_json_set_string(step, "target", target);
    drv_json_set_int(step, "memory_bytes", (gint64)vm->memory_bytes);
    drv_json_set(step, "after", json_object_new_array());
    drv_json_set_int(step, "priority", 0);
    drv_json_set_string(step, "bound", bound);
    drv_json_set_string(step, "why", why);
    drv_json_set(step, "predicted", NULL);
    json_object_array_add(steps, step);
}

static gboolean check_source(const drv_fleet *fleet, const char *name, GError **error)
{
    const drv_fleet_node *node = drv_fleet_find_node(fleet, name);

    if (!node)
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND,
                    "there is no node %s; 'drover node list' shows all", name);
    else if (!node->up)
        g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE, "%s cannot be asked: %s", name,
                    node->error ? node->error : "it does not answer");
    else
        return TRUE;
    return FALSE;
}

static void plan_evacuate(json_object *plan, drv_fleet *fleet, const char *node, GHashTable *but)
{
    for (guint i = 0; i < fleet->vms->len; i++) {
        const drv_fleet_vm *vm = fleet->vms->pdata[i];
        g_autoptr(GError) problem = NULL;
        const drv_fleet_node *target;

        if (!g_str_equal(vm->node, node) || vm->arriving || !is_active(vm) ||
            (but && g_hash_table_contains(but, vm->uuid)))
            continue;
        target = drv_plan_place(fleet, vm, NULL, &problem);
        if (!target) {
            refuse(plan, vm->name, vm->uuid, problem);
            continue;
        }
        add_step(plan, vm, target->name, NULL, NULL);
        take_room(fleet, target->name, vm->memory_bytes);
    }
}

static void plan_return(json_object *plan, const drv_fleet *fleet, const char *node,
                        json_object *settings, GHashTable *but)
{
    json_object *list = drv_json_array(drv_json_object(settings, node), "came_from");

    for (gsize i = 0; i < drv_json_length(list); i++) {
        json_object *entry = json_object_array_get_idx(list, i);
        const char *uuid = drv_json_string(entry, "uuid", "");
        const drv_fleet_vm *vm = drv_fleet_goal_vm(fleet, uuid);
        g_autoptr(GError) problem = NULL;

        if ((but && g_hash_table_contains(but, uuid)) || (vm && g_str_equal(vm->node, node)))
            continue;
        if (!vm)
            g_set_error(&problem, DRV_ERROR, DRV_ERROR_NOT_FOUND,
                        "it is on no node that answers any more; 'drover vm list' shows all");
        if (!vm || !drv_plan_place(fleet, vm, node, &problem))
            refuse(plan, drv_json_string(entry, "vm", "?"), uuid, problem);
        else
            add_step(plan, vm, node, "target", "it was here before");
    }
}

json_object *drv_fleet_plan_steps(drv_run *run, json_object *goal, GHashTable *but, GError **error)
{
    const char *node = drv_json_string(goal, "node", "");
    g_autoptr(drv_fleet) fleet = NULL;
    g_autoptr(json_object) plan = NULL;
    g_autoptr(json_object) settings = NULL;

    if (!drv_fleet_goal_check(goal, error))
        return NULL;
    fleet = drv_run_fleet(run, error);
    if (!fleet || !check_source(fleet, node, error))
        return NULL;
    count_promises(run, fleet, "");
    plan = new_plan(goal);
    if (g_str_equal(drv_json_string(goal, "goal", ""), "evacuate")) {
        plan_evacuate(plan, fleet, node, but);
    } else {
        settings = drv_maintenance_settings(run, TRUE);
        plan_return(plan, fleet, node, settings, but);
    }
    return g_steal_pointer(&plan);
}
