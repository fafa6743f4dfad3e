/* SPDX-License-Identifier: Apache-2.0 */
/* Plans of several steps, kept by the leader: see fleet-plans.h. */
#include "fleet/fleet-plans.h"

#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "fleet/goal-steps.h"
#include "fleet/maintenance.h"
#include "fleet/operations-ask.h"
#include "fleet/operations.h"
#include "fleet/stale.h"
#include "model/fleet.h"
#include "node/leader.h"

#define BUCKET "fleet-plan"
#define MOST_PLANS 100

gboolean drv_fleet_plan_is_id(const char *id)
{
    return g_str_has_prefix(id, "plan-") && !strchr(id + 5, '-');
}

json_object *drv_fleet_plan_make(drv_context *ctx, json_object *goal, GError **error)
{
    drv_store *store = drv_leader_store(ctx, error);
    g_autoptr(json_object) plan = store ? drv_fleet_plan_steps(ctx, goal, NULL, error) : NULL;
    g_autofree char *id = NULL;
    gint64 number;

    if (!plan)
        return NULL;
    if (drv_json_bool(goal, "check"))
        return g_steal_pointer(&plan);
    number = drv_store_next(store, BUCKET, error);
    if (!number)
        return NULL;
    id = g_strdup_printf("plan-%" G_GINT64_FORMAT, number);
    drv_json_set_string(plan, "id", id);
    if (!drv_store_put(store, BUCKET, id, json_object_to_json_string(plan), DRV_REVISION_NEW, NULL, error))
        return NULL;
    return g_steal_pointer(&plan);
}

json_object *drv_fleet_plans_local(drv_context *ctx, GError **error)
{
    drv_store *store = drv_leader_store(ctx, error);
    g_autoptr(GPtrArray) stored = store ? drv_store_list(store, BUCKET, MOST_PLANS, error) : NULL;
    json_object *answer, *list;

    if (!stored)
        return NULL;
    list = json_object_new_array();
    for (guint i = 0; i < stored->len; i++) {
        const drv_document *document = stored->pdata[i];
        json_object *plan = drv_json_parse(document->json, "a stored plan", NULL);

        if (plan)
            json_object_array_add(list, plan);
    }
    answer = json_object_new_object();
    drv_json_set(answer, "plans", list);
    return answer;
}

/* The plan, and the revision to change it against. Transfer full. */
static json_object *stored_plan(drv_context *ctx, const char *id, gint64 *revision, GError **error)
{
    drv_store *store = drv_leader_store(ctx, error);
    g_autoptr(GError) problem = NULL;
    g_autoptr(drv_document) document = store ? drv_store_get(store, BUCKET, id, &problem) : NULL;

    if (document) {
        *revision = document->revision;
        return drv_json_parse(document->json, "a stored plan", error);
    }
    if (g_error_matches(problem, DRV_ERROR, DRV_ERROR_NOT_FOUND))
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "there is no plan %s", id);
    else if (problem)
        g_propagate_error(error, g_steal_pointer(&problem));
    return NULL;
}

json_object *drv_fleet_plan_local(drv_context *ctx, const char *id, GError **error)
{
    gint64 revision;

    return stored_plan(ctx, id, &revision, error);
}

/* A drain keeps new VMs off before the first one leaves. */
static gboolean close_node(drv_context *ctx, json_object *plan, GError **error)
{
    json_object *goal = drv_json_object(plan, "goal");
    g_autoptr(json_object) what = json_object_new_object();
    g_autoptr(json_object) settings = NULL;

    if (!drv_json_bool(goal, "drain"))
        return TRUE;
    drv_json_set_string(what, "maintenance", "draining");
    settings = drv_maintenance_local_set(ctx, drv_json_string(goal, "node", ""), what, error);
    return settings != NULL;
}

static json_object *begin(drv_context *ctx, json_object *plan, GError **error)
{
    const char *id = drv_json_string(plan, "operation", "");
    g_autoptr(json_object) operation = NULL;
    json_object *answer;

    if (!close_node(ctx, plan, error))
        return NULL;
    operation = drv_operations_begin(ctx, id, plan, error);
    if (!operation)
        return NULL;
    answer = json_object_new_object();
    drv_json_set_string(answer, "operation", id);
    drv_json_set(answer, "jobs", json_object_new_array());
    return answer;
}

/* Sentences as one, the first three of them. Transfer full. */
static char *sentence(GPtrArray *reasons)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < MIN(reasons->len, 3); i++)
        g_string_append_printf(text, "%s%s", i ? "; " : "", (const char *)reasons->pdata[i]);
    if (reasons->len > 3)
        g_string_append_printf(text, "; and %u more", reasons->len - 3);
    return g_strdup(text->str);
}

/* It is planned again, and the old one says by which it was replaced. */
static void replace(drv_context *ctx, drv_store *store, json_object *plan, gint64 revision, GPtrArray *reasons,
                    GError **error)
{
    const char *id = drv_json_string(plan, "id", "?");
    g_autofree char *why = sentence(reasons);
    g_autoptr(json_object) next = drv_fleet_plan_make(ctx, drv_json_object(plan, "goal"), error);
    json_object *list = json_object_new_array();

    for (guint i = 0; i < reasons->len; i++)
        json_object_array_add(list, json_object_new_string(reasons->pdata[i]));
    drv_json_set(plan, "stale", list);
    if (!next) {
        g_prefix_error(error, "plan %s does not fit the fleet any more (%s), and cannot be made anew: ", id, why);
        return;
    }
    drv_json_set_string(plan, "state", "stale");
    drv_json_set_string(plan, "replaced_by", drv_json_string(next, "id", NULL));
    if (drv_store_put(store, BUCKET, id, json_object_to_json_string(plan), revision, NULL, error))
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                    "plan %s does not fit the fleet any more: %s. It was planned again: look at %s "
                    "('drover plan show %s') and apply that",
                    id, why, drv_json_string(next, "id", "?"), drv_json_string(next, "id", "?"));
}

/* Return: FALSE and @error: it was not ready, or is stale and has been planned again. */
static gboolean check_ready(drv_context *ctx, drv_store *store, json_object *plan, gint64 revision, GError **error)
{
    const char *id = drv_json_string(plan, "id", "?");
    const char *state = drv_json_string(plan, "state", "");
    g_autoptr(drv_fleet) fleet = NULL;
    g_autoptr(GPtrArray) reasons = NULL;

    if (g_str_equal(state, "stale")) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                    "plan %s does not fit the fleet any more and was planned again as %s: apply that", id,
                    drv_json_string(plan, "replaced_by", "?"));
        return FALSE;
    }
    if (!g_str_equal(state, "ready")) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "plan %s has been applied already as %s; make a new one", id,
                    drv_json_string(plan, "operation", "?"));
        return FALSE;
    }
    fleet = drv_fleet_goal_fleet(ctx, error);
    if (!fleet)
        return FALSE;
    reasons = drv_fleet_stale(fleet, plan);
    if (!reasons->len)
        return TRUE;
    replace(ctx, store, plan, revision, reasons, error);
    return FALSE;
}

/* The plan is marked with its operation before that begins: of two who apply it, one wins. */
json_object *drv_fleet_plan_apply(drv_context *ctx, const char *id, GError **error)
{
    gint64 revision, number;
    g_autoptr(json_object) plan = stored_plan(ctx, id, &revision, error);
    g_autofree char *operation = NULL;
    drv_store *store = plan ? drv_leader_store(ctx, error) : NULL;

    if (!store)
        return NULL;
    if (!check_ready(ctx, store, plan, revision, error))
        return NULL;
    number = drv_store_next(store, DRV_OPERATIONS_BUCKET, error);
    if (!number)
        return NULL;
    operation = g_strdup_printf("op-%" G_GINT64_FORMAT, number);
    drv_json_set_string(plan, "state", "applied");
    drv_json_set_string(plan, "operation", operation);
    if (!drv_store_put(store, BUCKET, id, json_object_to_json_string(plan), revision, NULL, error))
        return NULL;
    drv_fault("plan-applied");
    return begin(ctx, plan, error);
}

void drv_fleet_plans_take_up(drv_context *ctx)
{
    g_autoptr(json_object) answer = drv_fleet_plans_local(ctx, NULL);
    json_object *plans = drv_json_array(answer, "plans");

    for (gsize i = 0; i < drv_json_length(plans); i++) {
        json_object *plan = json_object_array_get_idx(plans, i);
        const char *id = drv_json_string(plan, "operation", NULL);
        g_autoptr(GError) error = NULL;
        g_autoptr(json_object) known = id ? drv_operations_local_view(ctx, id, -1, 0, &error) : NULL;
        g_autoptr(json_object) begun = NULL;

        if (!id || known || !g_error_matches(error, DRV_ERROR, DRV_ERROR_NOT_FOUND))
            continue;
        g_clear_error(&error);
        begun = begin(ctx, plan, &error);
        if (begun)
            drv_log_notice("beginning what was applied before a restart operation=%s", id);
        else
            drv_log_error("%s was applied and cannot be begun: %s", drv_json_string(plan, "id", "?"), error->message);
    }
}

json_object *drv_fleet_plans_ask(drv_context *ctx, const char *method, const char *rest, json_object *body,
                                 GError **error)
{
    g_autofree char *path = g_strconcat("/v1/peer/fleet-plans", rest, NULL);

    if (!g_str_equal(method, "GET") && !drv_leader_must_be_here(ctx, error))
        return NULL;
    return drv_leader_ask(ctx, "plans of the fleet are made", method, path, body, DRV_NODE_PATIENT, error);
}
