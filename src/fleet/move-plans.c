/* SPDX-License-Identifier: Apache-2.0 */
/* Plans: see move-plans.h. */
#include "fleet/move-plans.h"

#include "base/clock.h"
#include "fleet/fleet-plans.h"
#include "fleet/goal-steps.h"
#include "fleet/maintenance.h"
#include "fleet/plan-request.h"
#include "fleet/planning.h"
#include "model/working.h"
#include "node/leader.h"

#define BUCKET "plan"
#define MOST_PLANS 100

/* With etcd all nodes have all plans; without it each has those that it made. Numbers are each node's own. */
static drv_store *kept(drv_context *ctx)
{
    drv_store *store = drv_leader_cluster_store(ctx);

    return store && drv_store_is_shared(store) ? store : ctx->store;
}

/* The node to ask for plan @id. Transfer full. */
static char *keeper(drv_context *ctx, const char *id, GError **error)
{
    char *owner = drv_node_of_id(id, "plan", error);

    if (owner && kept(ctx) != ctx->store) {
        g_free(owner);
        owner = g_strdup(ctx->node);
    }
    return owner;
}

/* What is against the move, in one message. */
static void refuse(json_object *step, const drv_checks *checks, GError **error)
{
    g_autofree char *all = drv_checks_text(checks);

    g_set_error(error, DRV_ERROR, drv_checks_has(checks, DRV_ABOUT_LINKS) ? DRV_ERROR_UNREACHABLE : DRV_ERROR_REFUSED,
                "%s cannot move: %s", drv_json_string(step, "vm", "?"), all);
}

static json_object *plan_object(json_object *goal, json_object *step, const drv_checks *checks)
{
    json_object *plan = json_object_new_object();
    json_object *steps = json_object_new_array();

    json_object_array_add(steps, json_object_get(step));
    drv_json_set(plan, "id", NULL);
    drv_json_set_int(plan, "created_ms", drv_clock_real_ms());
    drv_json_set(plan, "goal", drv_json_copy(goal));
    drv_json_set(plan, "steps", steps);
    drv_json_set(plan, "refused", json_object_new_array());
    drv_json_set_string(plan, "state", drv_checks_problems(checks) ? "refused" : "ready");
    drv_json_set(plan, "checks", drv_checks_json(checks));
    drv_json_set(plan, "jobs", json_object_new_array());
    return plan;
}

json_object *drv_fleet_make_plan(drv_context *ctx, json_object *goal, GError **error)
{
    g_autoptr(drv_checks) checks = drv_checks_new();
    g_autoptr(json_object) step = NULL;
    g_autoptr(json_object) plan = NULL;
    g_autofree char *id = NULL;
    gint64 number;

    if (drv_fleet_plan_is_goal(goal))
        return drv_fleet_plans_ask(ctx, "POST", "", goal, error);
    if (!drv_goal_check(goal, error))
        return NULL;
    step = drv_planning_move(ctx, goal, checks, error);
    if (!step)
        return NULL;
    plan = plan_object(goal, step, checks);
    /* A dry run is answered and forgotten: there is nothing that could be applied. */
    if (drv_json_bool(goal, "check"))
        return g_steal_pointer(&plan);
    if (drv_checks_problems(checks)) {
        refuse(step, checks, error);
        return NULL;
    }
    number = drv_store_next(ctx->store, BUCKET, error);
    if (!number)
        return NULL;
    id = g_strdup_printf("%s-p%" G_GINT64_FORMAT, ctx->node, number);
    drv_json_set_string(plan, "id", id);
    if (!drv_store_put(kept(ctx), BUCKET, id, json_object_to_json_string(plan), DRV_REVISION_NEW, NULL, error))
        return NULL;
    return g_steal_pointer(&plan);
}

json_object *drv_fleet_local_plans(drv_context *ctx, GError **error)
{
    g_autoptr(GPtrArray) stored = drv_store_list(kept(ctx), BUCKET, MOST_PLANS, error);
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

static drv_document *stored_plan(drv_context *ctx, const char *id, GError **error)
{
    g_autoptr(GError) problem = NULL;
    drv_document *document = drv_store_get(kept(ctx), BUCKET, id, &problem);

    if (document)
        return document;
    if (g_error_matches(problem, DRV_ERROR, DRV_ERROR_NOT_FOUND))
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "there is no plan %s", id);
    else
        g_propagate_error(error, g_steal_pointer(&problem));
    return NULL;
}

json_object *drv_fleet_local_plan(drv_context *ctx, const char *id, GError **error)
{
    g_autoptr(drv_document) document = stored_plan(ctx, id, error);

    return document ? drv_json_parse(document->json, "a stored plan", error) : NULL;
}

/* Whether the target still takes VMs: it may be in maintenance since the plan was made. */
static gboolean is_open(drv_context *ctx, json_object *step, GError **error)
{
    const char *target = drv_json_string(step, "target", "");
    g_autoptr(json_object) settings = drv_maintenance_settings(ctx, TRUE);
    const char *maintenance = drv_json_string(drv_json_object(settings, target), "maintenance", "none");

    if (g_str_equal(maintenance, "none") || g_str_equal(drv_json_string(step, "action", ""), "move-storage"))
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                "the plan does not fit the fleet any more: %s is %s and takes no VMs. Plan again, or end that "
                "('drover node resume %s')",
                target, maintenance, target);
    return FALSE;
}

static gboolean may_apply(drv_context *ctx, const char *caller, json_object *step, GError **error)
{
    if (!g_strcmp0(caller, drv_json_string(step, "source", NULL)) || drv_leader_is(ctx, caller))
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED,
                "only the VM's own node and the one that leads apply a plan; %s is neither", caller);
    return FALSE;
}

json_object *drv_fleet_apply_local_plan(drv_context *ctx, const char *caller, const char *id, json_object *begun,
                                        GError **error)
{
    g_autoptr(drv_document) document = stored_plan(ctx, id, error);
    g_autoptr(json_object) plan = NULL;
    json_object *step;
    gboolean ready;

    if (!document)
        return NULL;
    plan = drv_json_parse(document->json, "a stored plan", error);
    if (!plan)
        return NULL;
    step = json_object_array_get_idx(drv_json_array(plan, "steps"), 0);
    if (!may_apply(ctx, caller, step, error))
        return NULL;
    ready = g_str_equal(drv_json_string(plan, "state", ""), "ready");
    if (ready == (begun != NULL)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "plan %s has %sbeen applied already; make a new one", id,
                    ready ? "not " : "");
        return NULL;
    }
    if (ready && !is_open(ctx, step, error))
        return NULL;
    drv_json_set_string(plan, "state", "applied");
    if (begun)
        drv_json_set(plan, "jobs", json_object_get(drv_json_array(begun, "jobs")));
    return drv_store_put(kept(ctx), BUCKET, id, json_object_to_json_string(plan), document->revision, NULL, error)
               ? g_steal_pointer(&plan)
               : NULL;
}

/*
 * By the VM's own node, or by the one that leads. The plan is marked before its job begins: of two who
 * apply it, one wins.
 */
static json_object *apply(drv_context *ctx, const char *id, const char *owner, const char *source, GError **error)
{
    g_autofree char *path = g_strdup_printf("/v1/peer/plans/%s/apply", id);
    g_autoptr(json_object) plan = NULL;
    g_autoptr(json_object) request = json_object_new_object();
    g_autoptr(json_object) result = json_object_new_object();
    g_autoptr(json_object) job = NULL;
    g_autoptr(json_object) noted = NULL;
    json_object *jobs = json_object_new_array();

    drv_json_set(result, "jobs", jobs);
    drv_working_say("%s takes up plan %s", owner, id);
    plan = drv_node_call(ctx, owner, "POST", path, NULL, DRV_NODE_PATIENT, error);
    if (!plan)
        return NULL;
    drv_json_set_string(request, "plan", id);
    drv_json_set(request, "step", json_object_get(json_object_array_get_idx(drv_json_array(plan, "steps"), 0)));
    drv_working_say("%s begins what plan %s says", source, id);
    job = drv_node_call(ctx, source, "POST", "/v1/peer/jobs", request, DRV_NODE_PATIENT, error);
    if (!job)
        return NULL;
    json_object_array_add(jobs, json_object_new_string(drv_json_string(job, "id", "")));
    /* The job is in the source's store already: what is lost here is only a cross-reference. */
    noted = drv_node_call(ctx, owner, "POST", path, result, DRV_NODE_PEER_TIMEOUT_MS, NULL);
    return g_steal_pointer(&result);
}

json_object *drv_fleet_get_plan(drv_context *ctx, const char *id, GError **error)
{
    g_autofree char *owner = keeper(ctx, id, error);
    g_autofree char *path = g_strdup_printf("/v1/peer/plans/%s", id);
    g_autofree char *rest = g_strdup_printf("/%s", id);

    if (owner && drv_fleet_plan_is_id(id))
        return drv_fleet_plans_ask(ctx, "GET", rest, NULL, error);
    return owner ? drv_node_call(ctx, owner, "GET", path, NULL, DRV_NODE_PATIENT, error) : NULL;
}

json_object *drv_fleet_apply_plan(drv_context *ctx, const char *id, GError **error)
{
    g_autofree char *owner = keeper(ctx, id, error);
    g_autofree char *rest = g_strdup_printf("/%s/apply", id);
    g_autoptr(json_object) plan = NULL;
    const char *source;

    if (owner && drv_fleet_plan_is_id(id))
        return drv_fleet_plans_ask(ctx, "POST", rest, NULL, error);
    plan = owner ? drv_fleet_get_plan(ctx, id, error) : NULL;
    if (!plan)
        return NULL;
    source = drv_json_string(json_object_array_get_idx(drv_json_array(plan, "steps"), 0), "source", "");
    if (g_str_equal(source, ctx->node) || drv_leader_is_here(ctx))
        return apply(ctx, id, owner, source, error);
    g_set_error_literal(error, DRV_ELSEWHERE, 0, source);
    return NULL;
}
