/* SPDX-License-Identifier: Apache-2.0 */
/* Known content as operators see it: every node is asked for its own. See serve/serve.h. */
#include "cache/nodes.h"

#include "cache/administration.h"
#include "model/json.h"
#include "node/leader.h"

static json_object *no_store(GError **error)
{
    g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "this node keeps no content");
    return NULL;
}

json_object *drv_cache_local(drv_context *ctx, GError **error)
{
    return ctx->content ? drv_content_list(ctx->content) : no_store(error);
}

json_object *drv_cache_local_prune(drv_context *ctx, json_object *what, GError **error)
{
    return ctx->content ? drv_content_prune(ctx->content, what, error) : no_store(error);
}

json_object *drv_cache_local_set(drv_context *ctx, json_object *what, GError **error)
{
    return ctx->content ? drv_content_set(ctx->content, what, error) : no_store(error);
}

static void add_contents(json_object *answer, json_object *all, const char *node)
{
    json_object *list = drv_json_array(answer, "contents");

    for (gsize i = 0; i < drv_json_length(list); i++) {
        json_object *one = json_object_array_get_idx(list, i);

        drv_json_set_string(one, "node", node);
        json_object_array_add(all, json_object_get(one));
    }
    json_object_object_del(answer, "contents");
}

static void add_silent(json_object *unreachable, const char *node, const GError *problem)
{
    json_object *entry = json_object_new_object();

    drv_json_set_string(entry, "node", node);
    drv_json_set_string(entry, "message", problem->message);
    json_object_array_add(unreachable, entry);
}

/* Asks the node that is named in @body, or all. What is wrong with what was asked is an error. */
static json_object *ask(drv_context *ctx, const char *method, const char *path, json_object *body, GError **error)
{
    const char *only = drv_json_string(body, "node", NULL);
    g_autoptr(GPtrArray) members = ctx->peers->members(ctx->peers->data);
    g_autoptr(json_object) answer = json_object_new_object();
    json_object *nodes = json_object_new_array(), *all = json_object_new_array();
    json_object *unreachable = json_object_new_array();
    guint asked = 0;

    drv_json_set(answer, "nodes", nodes);
    drv_json_set(answer, "contents", all);
    drv_json_set(answer, "unreachable", unreachable);
    for (guint i = 0; i < members->len; i++) {
        const char *name = ((const drv_member *)members->pdata[i])->name;
        g_autoptr(GError) problem = NULL;
        json_object *one;

        if (only && !g_str_equal(only, name))
            continue;
        asked++;
        one = drv_node_call(ctx, name, method, path, body, DRV_NODE_PEER_TIMEOUT_MS, &problem);
        if (one) {
            add_contents(one, all, name);
            drv_json_set_string(one, "node", name);
            json_object_array_add(nodes, one);
        } else if (problem->code == DRV_ERROR_INVALID) {
            g_propagate_error(error, g_steal_pointer(&problem));
            return NULL;
        } else {
            add_silent(unreachable, name, problem);
        }
    }
    if (only && !asked) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "there is no node %.64s", only);
        return NULL;
    }
    return g_steal_pointer(&answer);
}

/* What is not for this node alone is for the one that leads, which the others obey. */
static gboolean may_act(drv_context *ctx, json_object *what, GError **error)
{
    return !g_strcmp0(drv_json_string(what, "node", NULL), ctx->node) || drv_leader_must_be_here(ctx, error);
}

json_object *drv_cache_contents(drv_context *ctx, GError **error)
{
    return ask(ctx, "GET", "/v1/peer/content", NULL, error);
}

json_object *drv_cache_contents_prune(drv_context *ctx, json_object *what, GError **error)
{
    return may_act(ctx, what, error) ? ask(ctx, "POST", "/v1/peer/content", what, error) : NULL;
}

json_object *drv_cache_contents_set(drv_context *ctx, json_object *what, GError **error)
{
    return may_act(ctx, what, error) ? ask(ctx, "PUT", "/v1/peer/content", what, error) : NULL;
}
