/* SPDX-License-Identifier: Apache-2.0 */
/* Plans: see plans.h. */
#include "run/plans.h"

#include "base/clock.h"
#include "plan/place.h"

#define BUCKET "plan"
#define MOST_PLANS 100
#define DEFAULT_MAX_PAUSE_MS 300

/* How a disk gets to the target; NULL and @why when it cannot. */
static const char *way_of_disk(json_object *disk, char **why)
{
    const char *target = drv_json_string(disk, "target", "?");
    const char *type = drv_json_string(disk, "type", "");
    const char *device = drv_json_string(disk, "device", "disk");

    if (!drv_json_string(disk, "path", NULL))
        return "empty";
    if (g_str_equal(type, "network"))
        return "shared";
    if (!g_str_equal(device, "disk")) {
        *why = g_strdup_printf("%s (%s) holds a medium: eject it first", target, device);
        return NULL;
    }
    if (!g_str_equal(type, "file")) {
        *why = g_strdup_printf("disk %s is of type %s; only image files are copied and network "
                               "disks taken as shared",
                               target, type);
        return NULL;
    }
    if (drv_json_bool(disk, "readonly") || drv_json_bool(disk, "shareable")) {
        *why = g_strdup_printf("disk %s is %s and libvirt does not copy such disks: detach it first",
                               target, drv_json_bool(disk, "readonly") ? "read-only" : "shareable");
        return NULL;
    }
    return "copy";
}

/* All disks with "how"; every obstacle is said at once. */
static json_object *plan_disks(json_object *vm, GString *obstacles)
{
    json_object *disks = drv_json_array(vm, "disks");
    json_object *planned = json_object_new_array();

    for (gsize i = 0; i < drv_json_length(disks); i++) {
        json_object *disk = json_object_array_get_idx(disks, i);
        g_autofree char *why = NULL;
        const char *how = way_of_disk(disk, &why);

        if (!how) {
            g_string_append_printf(obstacles, "%s%s", obstacles->len ? "; " : "", why);
        } else if (!g_str_equal(how, "empty")) {
            json_object *copy = drv_json_copy(disk);

            drv_json_set_string(copy, "how", how);
            json_object_array_add(planned, copy);
        }
    }
    return planned;
}

static json_object *make_step(json_object *vm, const drv_fleet_vm *which, const char *target,
                              json_object *goal, GError **error)
{
    g_autoptr(GString) obstacles = g_string_new(NULL);
    json_object *list = drv_json_array(vm, "obstacles");
    const char *state = drv_json_string(vm, "state", "");
    json_object *step, *disks;

    for (gsize i = 0; i < drv_json_length(list); i++)
        g_string_append_printf(obstacles, "%s%s", obstacles->len ? "; " : "",
                               json_object_get_string(json_object_array_get_idx(list, i)));
    disks = plan_disks(vm, obstacles);
    if (!g_str_equal(state, "running") && !g_str_equal(state, "paused"))
        g_string_append_printf(obstacles, "%sit is %s and a live move needs a running VM: start it "
                                          "first",
                               obstacles->len ? "; " : "", state);
    if (obstacles->len) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED, "%s cannot move: %s", which->name,
                    obstacles->str);
        json_object_put(disks);
        return NULL;
    }
    step = json_object_new_object();
    drv_json_set_string(step, "action", "migrate");
    drv_json_set_string(step, "vm", which->name);
    drv_json_set_string(step, "uuid", which->uuid);
    drv_json_set_string(step, "source", which->node);
    drv_json_set_string(step, "target", target);
    drv_json_set_string(step, "method", "pre-copy");
    drv_json_set_bool(step, "was_running", g_str_equal(state, "running"));
    drv_json_set_int(step, "memory_bytes", drv_json_int(vm, "memory_bytes", 0));
    drv_json_set_int(step, "max_pause_ms", drv_json_int(goal, "max_pause_ms", DEFAULT_MAX_PAUSE_MS));
    drv_json_set_int(step, "bandwidth_bps", drv_json_int(goal, "bandwidth_bps", 0));
    drv_json_set(step, "disks", disks);
    return step;
}

static gboolean check_goal(json_object *goal, GError **error)
{
    static const char *const known[] = {"goal", "vm", "target", "max_pause_ms", "bandwidth_bps"};
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
    if (drv_json_int(goal, "bandwidth_bps", 0) < 0) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "bandwidth_bps must not be negative");
        return FALSE;
    }
    return TRUE;
}

/* Both ends are asked before anything is promised. */
static json_object *plan_move(drv_run *run, json_object *goal, GError **error)
{
    g_autoptr(drv_fleet) fleet = drv_run_fleet(run, error);
    g_autoptr(json_object) vm = NULL;
    g_autoptr(json_object) step = NULL;
    g_autoptr(json_object) answer = NULL;
    g_autofree char *path = NULL;
    const drv_fleet_vm *which;
    const drv_fleet_node *target;

    if (!fleet)
        return NULL;
    which = drv_plan_find_vm(fleet, drv_json_string(goal, "vm", ""), error);
    if (!which)
        return NULL;
    target = drv_plan_place(fleet, which, drv_json_string(goal, "target", NULL), error);
    if (!target)
        return NULL;
    path = g_strdup_printf("/v1/peer/vms/%s", which->uuid);
    vm = drv_run_call(run, which->node, "GET", path, NULL, DRV_RUN_PEER_TIMEOUT_MS, error);
    if (!vm)
        return NULL;
    step = make_step(vm, which, target->name, goal, error);
    if (!step)
        return NULL;
    answer = drv_run_call(run, target->name, "POST", "/v1/peer/preflight", step,
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
