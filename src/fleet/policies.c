/* SPDX-License-Identifier: Apache-2.0 */
/* Policies where they are kept, and how other nodes ask for them: see policies.h. */
#include "fleet/policies.h"

#include "fleet/snapshot.h"
#include "node/leader.h"
#include "plan/goals.h"

#define BUCKET "policy"
#define MOST_POLICIES 1000

/* ---- where they are kept ---- */

static drv_store *kept(drv_context *ctx)
{
    return drv_leader_cluster_store(ctx) ?: ctx->store;
}

static json_object *with_name(json_object *goals, const char *name)
{
    json_object *policy = drv_json_copy(goals);

    drv_json_set_string(policy, "name", name);
    return policy;
}

json_object *drv_policies_local(drv_context *ctx, GError **error)
{
    g_autoptr(GPtrArray) stored = drv_store_list(kept(ctx), BUCKET, 0, error);
    json_object *answer, *list;

    if (!stored)
        return NULL;
    list = json_object_new_array();
    for (guint i = 0; i < stored->len; i++) {
        const drv_document *document = stored->pdata[i];
        g_autoptr(json_object) goals = drv_json_parse(document->json, "a stored policy", NULL);

        if (goals)
            json_object_array_add(list, with_name(goals, document->key));
    }
    answer = json_object_new_object();
    drv_json_set(answer, "policies", list);
    return answer;
}

json_object *drv_policies_local_set(drv_context *ctx, const char *name, json_object *goals, GError **error)
{
    g_autoptr(GPtrArray) stored = NULL;

    if (!drv_goals_check_name(name, error) || !drv_goals_check_kept(goals, FALSE, error))
        return NULL;
    stored = drv_store_list(kept(ctx), BUCKET, 0, error);
    if (!stored)
        return NULL;
    if (stored->len >= MOST_POLICIES) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED,
                    "there are %d policies already: delete some ('drover policy delete NAME')", MOST_POLICIES);
        return NULL;
    }
    return drv_store_put(kept(ctx), BUCKET, name, json_object_to_json_string(goals), DRV_REVISION_ANY, NULL, error)
               ? with_name(goals, name)
               : NULL;
}

json_object *drv_policies_local_delete(drv_context *ctx, const char *name, GError **error)
{
    g_autoptr(GError) problem = NULL;

    if (!drv_goals_check_name(name, error))
        return NULL;
    if (drv_store_delete(kept(ctx), BUCKET, name, DRV_REVISION_ANY, &problem))
        return json_object_new_object();
    if (g_error_matches(problem, DRV_ERROR, DRV_ERROR_NOT_FOUND))
        drv_policies_no_such(name, error);
    else
        g_propagate_error(error, g_steal_pointer(&problem));
    return NULL;
}

/* ---- at any node ---- */

static json_object *ask_founder(drv_context *ctx, const drv_fleet *fleet, const char *method, const char *path,
                                json_object *body, GError **error)
{
    g_autofree char *founder = drv_leader_name(ctx);
    const drv_fleet_node *node = fleet && founder ? drv_fleet_find_node(fleet, founder) : NULL;
    g_autoptr(GError) problem = NULL;
    json_object *answer = NULL;

    if (drv_leader_cluster_store(ctx))
        return drv_node_call(ctx, ctx->node, method, path, body, DRV_NODE_PEER_TIMEOUT_MS, error);
    if (!founder)
        g_set_error(&problem, DRV_ERROR, DRV_ERROR_UNREACHABLE,
                    "this node does not know it yet: try again in some seconds");
    else if (node && !node->up)
        g_set_error(&problem, DRV_ERROR, DRV_ERROR_UNREACHABLE, "%s", node->error ? node->error : "it does not answer");
    else
        answer = drv_node_call(ctx, founder, method, path, body, DRV_NODE_PEER_TIMEOUT_MS, &problem);
    if (answer)
        return answer;
    if (problem->code == DRV_ERROR_UNREACHABLE)
        g_prefix_error(&problem, "policies are kept by the cluster's founder, node %s: ", founder ? founder : "?");
    g_propagate_error(error, g_steal_pointer(&problem));
    return NULL;
}

/* An operator's: where they are kept. */
static json_object *act(drv_context *ctx, const char *method, const char *path, json_object *body, GError **error)
{
    if (!drv_leader_cluster_store(ctx) && !drv_leader_must_be_here(ctx, error))
        return NULL;
    return drv_node_call(ctx, ctx->node, method, path, body, DRV_NODE_PEER_TIMEOUT_MS, error);
}

json_object *drv_policies_ask(drv_context *ctx, const drv_fleet *fleet, GError **error)
{
    return ask_founder(ctx, fleet, "GET", "/v1/peer/policies", NULL, error);
}

json_object *drv_policies_find(json_object *answer, const char *name)
{
    json_object *list = drv_json_array(answer, "policies");

    for (gsize i = 0; i < drv_json_length(list); i++) {
        json_object *one = json_object_array_get_idx(list, i);

        if (g_str_equal(drv_json_string(one, "name", ""), name))
            return one;
    }
    return NULL;
}

void drv_policies_no_such(const char *name, GError **error)
{
    g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "there is no policy %.64s; 'drover policy list' shows all",
                name);
}

json_object *drv_fleet_policies(drv_context *ctx, GError **error)
{
    return drv_policies_ask(ctx, NULL, error);
}

json_object *drv_fleet_policy(drv_context *ctx, const char *name, GError **error)
{
    g_autoptr(json_object) all = drv_policies_ask(ctx, NULL, error);
    json_object *one = drv_policies_find(all, name);

    if (all && !one)
        drv_policies_no_such(name, error);
    return json_object_get(one);
}

json_object *drv_fleet_policy_set(drv_context *ctx, const char *name, json_object *goals, GError **error)
{
    g_autofree char *path = g_strconcat("/v1/peer/policies/", name, NULL);

    if (!drv_goals_check_name(name, error) || !drv_goals_check_kept(goals, FALSE, error))
        return NULL;
    return act(ctx, "PUT", path, goals, error);
}

/* Whoever names it could not be moved any more. */
static gboolean is_unused(drv_context *ctx, const char *name, GError **error)
{
    g_autoptr(json_object) answer = drv_snapshot_vms(ctx, error);
    json_object *vms = drv_json_array(answer, "vms");
    json_object *silent = drv_json_array(answer, "unreachable");
    g_autoptr(GString) users = g_string_new(NULL);

    if (!answer)
        return FALSE;
    for (gsize i = 0; i < drv_json_length(vms); i++) {
        json_object *vm = json_object_array_get_idx(vms, i);

        if (g_strcmp0(drv_json_string(vm, "policy", NULL), name) == 0)
            g_string_append_printf(users, "%s%s", users->len ? ", " : "", drv_json_string(vm, "name", "?"));
    }
    if (users->len)
        g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED,
                    "policy %s is named by %s: give them another one ('drover vm goals VM --policy "
                    "NAME'), or say --force, and they cannot be moved before they have one",
                    name, users->str);
    else if (drv_json_length(silent))
        g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE,
                    "node %s does not answer, and VMs there may name policy %s: try again when it "
                    "is back, or say --force",
                    drv_json_string(json_object_array_get_idx(silent, 0), "node", "?"), name);
    else
        return TRUE;
    return FALSE;
}

json_object *drv_fleet_policy_delete(drv_context *ctx, const char *name, gboolean force, GError **error)
{
    g_autofree char *path = g_strconcat("/v1/peer/policies/", name, NULL);

    if (!drv_goals_check_name(name, error) || (!force && !is_unused(ctx, name, error)))
        return NULL;
    return act(ctx, "DELETE", path, NULL, error);
}
