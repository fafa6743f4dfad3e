/* SPDX-License-Identifier: Apache-2.0 */
/* Plans: see plans.h. */
#include "run/plans.h"

#include "base/clock.h"
#include "plan/belongings.h"
#include "plan/disks.h"
#include "plan/place.h"
#include "run/ladder.h"

#define BUCKET "plan"
#define MOST_PLANS 100
#define DEFAULT_MAX_PAUSE_MS 300

static const char *goal_disks(json_object *goal)
{
    return drv_json_string(goal, "disks", "auto");
}

static gboolean is_offline(json_object *goal, const char *state)
{
    const char *method = drv_json_string(goal, "method", "auto");

    return g_str_equal(method, "offline") ||
           (g_str_equal(method, "auto") && g_str_equal(state, "shut off"));
}

/* What is against a move, with the way out, besides disks and belongings. */
static void add_obstacles(json_object *vm, gboolean offline, GPtrArray *problems)
{
    json_object *list = drv_json_array(vm, "obstacles");
    const char *state = drv_json_string(vm, "state", "");
    gboolean shut_off = g_str_equal(state, "shut off");

    for (gsize i = 0; !offline && i < drv_json_length(list); i++)
        g_ptr_array_add(problems, g_strdup(json_object_get_string(
                                      json_object_array_get_idx(list, i))));
    if (offline && !shut_off)
        g_ptr_array_add(problems, g_strdup_printf("it is %s and --offline moves a VM that is shut "
                                                  "off: shut it down (virsh shutdown), or leave out "
                                                  "--offline", state));
    else if (!offline && !g_str_equal(state, "running") && !g_str_equal(state, "paused"))
        g_ptr_array_add(problems, g_strdup_printf("it is %s and a live move needs a running VM: start "
                                                  "it, or say --offline", state));
}

static char *join(GPtrArray *problems)
{
    g_ptr_array_add(problems, NULL);
    return g_strjoinv("; ", (char **)problems->pdata);
}

static json_object *make_step(json_object *vm, const drv_fleet_vm *which, const char *target,
                              json_object *goal, json_object *facts, GError **error)
{
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
    const char *state = drv_json_string(vm, "state", "");
    gboolean storage_only = drv_json_bool(goal, "storage_only");
    gboolean offline = is_offline(goal, state);
    const drv_plan_disks_goal disks = {.vm = which->name,
                                       .source = which->node,
                                       .target = target,
                                       .mode = storage_only ? "copy" : goal_disks(goal),
                                       .pool = drv_json_string(goal, "target_pool", NULL) != NULL,
                                       .offline = offline,
                                       .storage_only = storage_only};
    const drv_plan_belongings_goal belongings = {.source = which->node,
                                                 .target = target,
                                                 .map_networks =
                                                     drv_json_object(goal, "map_networks"),
                                                 .offline = offline};
    g_autoptr(json_object) step = json_object_new_object();

    if (!storage_only)
        add_obstacles(vm, offline, problems);
    drv_json_set_string(step, "action", storage_only ? "move-storage" : "migrate");
    drv_json_set_string(step, "vm", which->name);
    drv_json_set_string(step, "uuid", which->uuid);
    drv_json_set_string(step, "source", which->node);
    drv_json_set_string(step, "target", target);
    drv_json_set_string(step, "method", storage_only ? "storage"
                                        : offline    ? "offline"
                                                     : drv_json_string(goal, "method", "auto"));
    drv_json_set_string(step, "post_copy", drv_json_string(goal, "post_copy", "never"));
    drv_json_set_int(step, "max_time_ms", drv_json_int(goal, "max_time_ms", 0));
    drv_json_set_bool(step, "was_running", g_str_equal(state, "running"));
    drv_json_set_int(step, "memory_bytes", drv_json_int(vm, "memory_bytes", 0));
    drv_json_set_int(step, "max_pause_ms", drv_json_int(goal, "max_pause_ms", DEFAULT_MAX_PAUSE_MS));
    drv_json_set_int(step, "bandwidth_bps", drv_json_int(goal, "bandwidth_bps", 0));
    drv_json_set(step, "disks", drv_plan_disks(facts, &disks, problems));
    if (!storage_only)
        drv_plan_belongings(facts, &belongings, step, problems);
    if (problems->len) {
        g_autofree char *all = join(problems);

        g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED, "%s cannot move: %s", which->name, all);
        return NULL;
    }
    return g_steal_pointer(&step);
}

static gboolean check_disk_goal(json_object *goal, GError **error)
{
    static const char *const modes[] = {"auto", "copy", "shared", NULL};
    static const char *const methods[] = {"auto", "pre-copy", "post-copy", "hybrid", "offline", NULL};
    const char *method = drv_json_string(goal, "method", "auto");
    gboolean storage_only = drv_json_bool(goal, "storage_only");

    if (!g_strv_contains(modes, goal_disks(goal)))
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "disks is '%s'; it must be auto, copy or shared",
                    goal_disks(goal));
    else if (!g_strv_contains(methods, method))
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "method is '%s'; it must be auto, pre-copy, post-copy, hybrid or offline", method);
    else if (storage_only && !drv_json_string(goal, "target_pool", NULL))
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "moving storage only needs \"target_pool\" (--target-pool): the pool where it goes");
    else if (storage_only && drv_json_string(goal, "target", NULL))
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "moving storage only is within the VM's host: leave out the target");
    else
        return TRUE;
    return FALSE;
}

static gboolean check_way(json_object *goal, GError **error)
{
    const char *method = drv_json_string(goal, "method", "auto");
    const char *post_copy = drv_json_string(goal, "post_copy", "never");
    gboolean if_needed = g_str_equal(post_copy, "if-needed");

    if (!if_needed && !g_str_equal(post_copy, "never")) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "post_copy is '%s'; it must be 'never' or 'if-needed'", post_copy);
        return FALSE;
    }
    if (if_needed && drv_method_from_name(method) == DRV_METHOD_PRE_COPY) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "post-copy cannot be both allowed and excluded: leave out the method, or do not "
                    "allow post-copy");
        return FALSE;
    }
    return TRUE;
}

static gboolean check_goal(json_object *goal, GError **error)
{
    static const char *const known[] = {
        "goal",      "vm",    "target",      "max_pause_ms", "max_time_ms", "bandwidth_bps",
        "post_copy", "disks", "target_pool", "map_networks", "method",      "storage_only"};
    gint64 pause = drv_json_int(goal, "max_pause_ms", DEFAULT_MAX_PAUSE_MS);

    json_object_object_foreach(goal, key, value)
    {
        gboolean found = FALSE;

        for (guint i = 0; i < G_N_ELEMENTS(known); i++)
            found |= g_str_equal(known[i], key);
        if (!found) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "a goal has no member '%s'", key);
            return FALSE;
        }
    }
    if (g_strcmp0(drv_json_string(goal, "goal", NULL), "migrate") != 0 ||
        !drv_json_string(goal, "vm", NULL)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "a plan needs \"goal\": \"migrate\" and \"vm\": the VM's name or UUID");
        return FALSE;
    }
    if (pause < 1 || pause > 2000000) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "max_pause_ms is %" G_GINT64_FORMAT "; it must be from 1 to 2000000", pause);
        return FALSE;
    }
    if (drv_json_int(goal, "max_time_ms", 0) < 0) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "max_time_ms must not be negative");
        return FALSE;
    }
    if (!check_way(goal, error))
        return FALSE;
    if (drv_json_int(goal, "bandwidth_bps", 0) < 0) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "bandwidth_bps must not be negative");
        return FALSE;
    }
    return check_disk_goal(goal, error);
}

static json_object *ask_facts(drv_run *run, const drv_fleet_vm *vm, const char *target,
                              json_object *goal, gboolean offline, GError **error)
{
    g_autoptr(json_object) wish = json_object_new_object();
    g_autofree char *path = g_strdup_printf("/v1/peer/vms/%s/facts", vm->uuid);

    drv_json_set_string(wish, "target", target);
    drv_json_set_string(wish, "target_pool", drv_json_string(goal, "target_pool", NULL));
    drv_json_set(wish, "map_networks", json_object_get(drv_json_object(goal, "map_networks")));
    drv_json_set_bool(wish, "offline", offline);
    return drv_run_call(run, vm->node, "POST", path, wish, DRV_RUN_PREPARE_TIMEOUT_MS, error);
}

/* Both ends are asked before anything is promised. */
static json_object *plan_move(drv_run *run, json_object *goal, GError **error)
{
    g_autoptr(drv_fleet) fleet = drv_run_fleet(run, error);
    g_autoptr(json_object) vm = NULL;
    g_autoptr(json_object) facts = NULL;
    g_autoptr(json_object) step = NULL;
    g_autoptr(json_object) answer = NULL;
    g_autofree char *path = NULL;
    gboolean storage_only = drv_json_bool(goal, "storage_only");
    const drv_fleet_vm *which;
    const char *target = NULL;

    if (!fleet)
        return NULL;
    which = drv_plan_find_vm(fleet, drv_json_string(goal, "vm", ""), error);
    if (!which)
        return NULL;
    if (storage_only) {
        target = which->node;
    } else {
        const drv_fleet_node *node =
            drv_plan_place(fleet, which, drv_json_string(goal, "target", NULL), error);

        if (!node)
            return NULL;
        target = node->name;
    }
    path = g_strdup_printf("/v1/peer/vms/%s", which->uuid);
    vm = drv_run_call(run, which->node, "GET", path, NULL, DRV_RUN_PEER_TIMEOUT_MS, error);
    if (!vm)
        return NULL;
    facts = ask_facts(run, which, target, goal,
                      is_offline(goal, drv_json_string(vm, "state", "")), error);
    if (!facts)
        return NULL;
    step = make_step(vm, which, target, goal, facts, error);
    if (!step || storage_only)
        return g_steal_pointer(&step);
    answer = drv_run_call(run, target, "POST", "/v1/peer/preflight", step,
                          DRV_RUN_PEER_TIMEOUT_MS, error);
    return answer ? g_steal_pointer(&step) : NULL;
}

json_object *drv_run_plan(drv_run *run, json_object *goal, GError **error)
{
    g_autoptr(json_object) plan = NULL;
    g_autofree char *id = NULL;
    json_object *step, *steps;
    gint64 number;

    if (!check_goal(goal, error))
        return NULL;
    step = plan_move(run, goal, error);
    if (!step)
        return NULL;
    plan = json_object_new_object();
    steps = json_object_new_array();
    json_object_array_add(steps, step);
    number = drv_store_next(run->store, BUCKET, error);
    if (!number)
        return NULL;
    id = g_strdup_printf("%s-p%" G_GINT64_FORMAT, run->node, number);
    drv_json_set_string(plan, "id", id);
    drv_json_set_int(plan, "created_ms", drv_clock_real_ms());
    drv_json_set(plan, "goal", drv_json_copy(goal));
    drv_json_set(plan, "steps", steps);
    drv_json_set(plan, "refused", json_object_new_array());
    drv_json_set_string(plan, "state", "ready");
    drv_json_set(plan, "jobs", json_object_new_array());
    if (!drv_store_put(run->store, BUCKET, id, json_object_to_json_string(plan), DRV_REVISION_NEW,
                       NULL, error))
        return NULL;
    return g_steal_pointer(&plan);
}

json_object *drv_run_local_plans(drv_run *run, GError **error)
{
    g_autoptr(GPtrArray) stored = drv_store_list(run->store, BUCKET, MOST_PLANS, error);
    json_object *object, *plans;

    if (!stored)
        return NULL;
    plans = json_object_new_array();
    for (guint i = 0; i < stored->len; i++) {
        const drv_document *document = stored->pdata[i];
        json_object *plan = drv_json_parse(document->json, "a stored plan", NULL);

        if (plan)
            json_object_array_add(plans, plan);
    }
    object = json_object_new_object();
    drv_json_set(object, "plans", plans);
    return object;
}

static drv_document *stored_plan(drv_run *run, const char *id, GError **error)
{
    g_autoptr(GError) problem = NULL;
    drv_document *document = drv_store_get(run->store, BUCKET, id, &problem);

    if (document)
        return document;
    if (g_error_matches(problem, DRV_ERROR, DRV_ERROR_NOT_FOUND))
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "there is no plan %s", id);
    else
        g_propagate_error(error, g_steal_pointer(&problem));
    return NULL;
}

json_object *drv_run_local_plan(drv_run *run, const char *id, GError **error)
{
    g_autoptr(drv_document) document = stored_plan(run, id, error);

    return document ? drv_json_parse(document->json, "a stored plan", error) : NULL;
}

/* The plan is marked before its job begins: of two who apply it, one wins. */
json_object *drv_run_local_apply(drv_run *run, const char *id, GError **error)
{
    g_autoptr(drv_document) document = stored_plan(run, id, error);
    g_autoptr(json_object) plan = NULL;
    g_autoptr(json_object) request = NULL;
    g_autoptr(json_object) job = NULL;
    json_object *step, *jobs, *result;
    gint64 revision;

    if (!document)
        return NULL;
    plan = drv_json_parse(document->json, "a stored plan", error);
    if (!plan)
        return NULL;
    if (!g_str_equal(drv_json_string(plan, "state", ""), "ready")) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                    "plan %s has been applied already; make a new one", id);
        return NULL;
    }
    drv_json_set_string(plan, "state", "applied");
    if (!drv_store_put(run->store, BUCKET, id, json_object_to_json_string(plan), document->revision,
                       &revision, error))
        return NULL;

    step = json_object_array_get_idx(drv_json_array(plan, "steps"), 0);
    request = json_object_new_object();
    drv_json_set_string(request, "plan", id);
    drv_json_set(request, "step", json_object_get(step));
    job = drv_run_call(run, drv_json_string(step, "source", ""), "POST", "/v1/peer/jobs", request,
                       DRV_RUN_PEER_TIMEOUT_MS, error);
    if (!job)
        return NULL;
    jobs = json_object_new_array();
    json_object_array_add(jobs, json_object_new_string(drv_json_string(job, "id", "")));
    drv_json_set(plan, "jobs", json_object_get(jobs));
    /* The job is in the source's store already: what is lost here is only a cross-reference. */
    drv_store_put(run->store, BUCKET, id, json_object_to_json_string(plan), revision, NULL, NULL);
    result = json_object_new_object();
    drv_json_set(result, "jobs", jobs);
    return result;
}

json_object *drv_run_plan_get(drv_run *run, const char *id, GError **error)
{
    g_autofree char *owner = drv_run_owner(id, "plan", error);
    g_autofree char *path = g_strdup_printf("/v1/peer/plans/%s", id);

    return owner ? drv_run_call(run, owner, "GET", path, NULL, DRV_RUN_PEER_TIMEOUT_MS, error)
                 : NULL;
}

json_object *drv_run_apply(drv_run *run, const char *id, GError **error)
{
    g_autofree char *owner = drv_run_owner(id, "plan", error);
    g_autofree char *path = g_strdup_printf("/v1/peer/plans/%s/apply", id);

    return owner ? drv_run_call(run, owner, "POST", path, NULL, DRV_RUN_PREPARE_TIMEOUT_MS, error)
                 : NULL;
}
