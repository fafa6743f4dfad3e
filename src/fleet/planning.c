/* SPDX-License-Identifier: Apache-2.0 */
/* From a goal to a step: see planning.h. */
#include "fleet/planning.h"

#include <string.h>

#include "facts/predict.h"
#include "facts/preflight.h"
#include "fleet/snapshot.h"
#include "fleet/vm-goals.h"
#include "model/working.h"
#include "move/source/new-job.h"
#include "plan/belongings.h"
#include "plan/disks.h"
#include "plan/place.h"
#include "plan/target.h"
#include "plan/whole.h"

static gboolean is_offline(json_object *goal, const char *state)
{
    const char *method = drv_json_string(goal, "method", "auto");

    return g_str_equal(method, "offline") || (g_str_equal(method, "auto") && g_str_equal(state, "shut off"));
}

/* ---- what is judged here, of the VM at its source ---- */

static void check_state(json_object *vm, json_object *facts, gboolean offline, drv_checks *checks)
{
    const char *name = drv_json_string(vm, "name", "?");
    const char *state = drv_json_string(vm, "state", "");
    const char *moving = drv_json_string(drv_json_object(facts, "here"), "moving", NULL);

    if (offline && !g_str_equal(state, "shut off"))
        drv_checks_problem(checks, DRV_ABOUT_STATE,
                           "it is %s and --offline moves a VM that is shut off" DRV_REMEDY
                           "shut it down (virsh shutdown), or leave out --offline",
                           state);
    else if (!offline && !g_str_equal(state, "running") && !g_str_equal(state, "paused"))
        drv_checks_problem(checks, DRV_ABOUT_STATE,
                           "it is %s and a live move needs a running VM" DRV_REMEDY "start it, or say --offline",
                           state);
    if (moving)
        drv_checks_problem(checks, DRV_ABOUT_STATE,
                           "%s is being moved already by job %s" DRV_REMEDY "wait for its end ('drover jobs' shows it)",
                           name, moving);
    else if (drv_json_bool(vm, "busy"))
        drv_checks_problem(
            checks, DRV_ABOUT_STATE,
            "libvirt is busy with another job on %s" DRV_REMEDY "wait for its end ('virsh domjobinfo %s')", name, name);
    drv_checks_ok(checks, DRV_ABOUT_STATE, offline ? "%s: it moves as it is" : "%s: it moves live", state);
}

/* An obstacle is one sentence: what is in the way; what to do. */
static void check_devices(json_object *vm, gboolean offline, drv_checks *checks)
{
    json_object *list = drv_json_array(vm, "obstacles");

    if (offline) {
        drv_checks_skip(checks, DRV_ABOUT_DEVICES, "shut off nothing of its host is in use");
        return;
    }
    for (gsize i = 0; i < drv_json_length(list); i++) {
        const char *text = json_object_get_string(json_object_array_get_idx(list, i));
        const char *cut = strstr(text, "; ");

        if (cut)
            drv_checks_problem(checks, DRV_ABOUT_DEVICES, "%.*s" DRV_REMEDY "%s", (int)(cut - text), text, cut + 2);
        else
            drv_checks_problem(checks, DRV_ABOUT_DEVICES, "%s", text);
    }
    drv_checks_ok(checks, DRV_ABOUT_DEVICES, "nothing of its host is given to the guest");
}

/* ---- the step ---- */

static json_object *new_step(json_object *vm, const drv_fleet_vm *which, const char *target, json_object *goal,
                             gboolean offline)
{
    json_object *step = json_object_new_object();
    gboolean storage_only = drv_json_bool(goal, "storage_only");

    drv_json_set_string(step, "action", storage_only ? "move-storage" : "migrate");
    drv_json_set_string(step, "vm", which->name);
    drv_json_set_string(step, "uuid", which->uuid);
    drv_json_set_string(step, "source", which->node);
    drv_json_set_string(step, "target", target);
    drv_json_set_string(step, "method",
                        storage_only ? "storage"
                        : offline    ? "offline"
                                     : drv_json_string(goal, "method", "auto"));
    drv_json_set_bool(step, "was_running", g_str_equal(drv_json_string(vm, "state", ""), "running"));
    drv_json_set_int(step, "memory_bytes", drv_json_int(vm, "memory_bytes", 0));
    return step;
}

static void plan_disks(json_object *step, json_object *goal, json_object *facts, gboolean offline, drv_checks *checks)
{
    gboolean storage_only = drv_json_bool(goal, "storage_only");
    const drv_plan_disks_goal disks = {.vm = drv_json_string(step, "vm", "?"),
                                       .source = drv_json_string(step, "source", "?"),
                                       .target = drv_json_string(step, "target", "?"),
                                       .mode = storage_only ? "copy" : drv_json_string(goal, "disks", "auto"),
                                       .pool = drv_json_string(goal, "target_pool", NULL) != NULL,
                                       .offline = offline,
                                       .storage_only = storage_only,
                                       .seeds = drv_json_object(goal, "disk_seeds")};

    drv_json_set(step, "disks", drv_plan_disks(facts, &disks, checks));
    drv_plan_whole(facts, drv_json_array(step, "disks"), &disks, checks);
    drv_json_set_string(step, "owner", drv_json_string(facts, "owner", NULL));
}

static void judge(json_object *step, json_object *vm, json_object *goal, json_object *facts, gboolean offline,
                  drv_checks *checks)
{
    const drv_plan_target_goal target = drv_preflight_goal(step);
    const drv_plan_belongings_goal belongings = {.source = target.source,
                                                 .target = target.target,
                                                 .map_networks = drv_json_object(goal, "map_networks"),
                                                 .offline = offline};
    g_autofree char *silent = g_strdup_printf("not known: %s has not said", target.target);

    if (drv_json_bool(goal, "storage_only")) {
        plan_disks(step, goal, facts, offline, checks);
        drv_checks_skip_rest(checks, "the VM stays on its host");
        return;
    }
    check_state(vm, facts, offline, checks);
    check_devices(vm, offline, checks);
    drv_plan_links(facts, &target, checks);
    if (drv_json_object(facts, "there")) {
        plan_disks(step, goal, facts, offline, checks);
        drv_plan_belongings(facts, &belongings, step, checks);
        drv_plan_target(facts, step, &target, checks);
    } else if (!drv_checks_has(checks, DRV_ABOUT_LINKS)) {
        drv_checks_problem(checks, DRV_ABOUT_LINKS,
                           "%s or %s did not say what it has: they run different "
                           "versions of Drover" DRV_REMEDY "update droverd on both",
                           target.source, target.target);
    }
    drv_checks_skip_rest(checks, silent);
    /* The target looks again when the move begins, and must know at what. */
    drv_json_set(step, "machine", json_object_get(drv_json_object(facts, "machine")));
    drv_json_set(step, "here", json_object_get(drv_json_object(facts, "here")));
}

static json_object *ask_facts(drv_context *ctx, const drv_fleet_vm *vm, const char *target, json_object *goal,
                              gboolean offline, GError **error)
{
    g_autoptr(json_object) wish = json_object_new_object();
    g_autofree char *path = g_strdup_printf("/v1/peer/vms/%s/facts", vm->uuid);

    drv_json_set_string(wish, "target", target);
    drv_json_set_string(wish, "target_pool", drv_json_string(goal, "target_pool", NULL));
    drv_json_set(wish, "map_networks", json_object_get(drv_json_object(goal, "map_networks")));
    drv_json_set_bool(wish, "offline", offline);
    drv_json_set(wish, "disk_seeds", json_object_get(drv_json_object(goal, "disk_seeds")));
    return drv_node_call(ctx, vm->node, "POST", path, wish, DRV_NODE_PATIENT, error);
}

/* Whoever shows the checks at once asks for the prediction afterwards. */
static gboolean predicts(json_object *goal)
{
    return !json_object_object_get_ex(goal, "predict", NULL) || drv_json_bool(goal, "predict");
}

static const char *choose_target(const drv_fleet *fleet, const drv_fleet_vm *vm, json_object *goal, GError **error)
{
    const drv_fleet_node *node;

    if (drv_json_bool(goal, "storage_only"))
        return vm->node;
    node = drv_plan_place(fleet, vm, drv_json_string(goal, "target", NULL), error);
    return node ? node->name : NULL;
}

json_object *drv_planning_move(drv_context *ctx, json_object *goal, drv_checks *checks, GError **error)
{
    g_autoptr(drv_fleet) fleet = drv_snapshot_settled_fleet(ctx, error);
    const char *uuid = drv_json_string(goal, "uuid", NULL);
    const drv_fleet_vm *which = !fleet ? NULL
                                : uuid ? drv_plan_vm_with_uuid(fleet, uuid, error)
                                       : drv_plan_find_vm(fleet, drv_json_string(goal, "vm", ""), error);
    const char *target = NULL;
    g_autoptr(json_object) vm = NULL;
    g_autoptr(json_object) facts = NULL;
    g_autofree char *path = NULL;
    json_object *step;
    gboolean offline;

    /* What else would be found is a consequence: a VM of that name at the target, a session, a busy libvirt. */
    if (which && which->busy && !g_str_equal(which->busy, "libvirt"))
        drv_new_job_set_moving(which->name, which->busy, error);
    else if (which)
        target = choose_target(fleet, which, goal, error);
    if (!target)
        return NULL;
    path = g_strdup_printf("/v1/peer/vms/%s", which->uuid);
    vm = drv_node_call(ctx, which->node, "GET", path, NULL, DRV_NODE_PEER_TIMEOUT_MS, error);
    if (!vm)
        return NULL;
    offline = is_offline(goal, drv_json_string(vm, "state", ""));
    drv_working_say("%s looks at what %s needs, and %s at what it has of it", which->node, which->name, target);
    facts = ask_facts(ctx, which, target, goal, offline, error);
    if (!facts)
        return NULL;
    step = new_step(vm, which, target, goal, offline);
    drv_fleet_decide_goals(ctx, fleet, vm, goal, step, checks);
    judge(step, vm, goal, facts, offline, checks);
    if (!drv_checks_problems(checks) && !drv_json_bool(goal, "storage_only") && predicts(goal)) {
        drv_working_say("%s estimates what the migration of %s will take", which->node, which->name);
        drv_predict_ask(ctx, step, drv_json_bool(goal, "check"));
    }
    return step;
}
