/* SPDX-License-Identifier: Apache-2.0 */
/* Operations looked at, paused, resumed, cancelled: by the node that leads, and by others who ask it. */
#include "fleet/operations-ask.h"

#include <string.h>

#include "fleet/operations.h"
#include "node/leader.h"

#define MOST_OPERATIONS 200

/* ---- what is asked of the leader ---- */

json_object *drv_operations_local(drv_context *ctx, GError **error)
{
    drv_store *store = drv_leader_store(ctx, error);
    g_autoptr(GPtrArray) stored = store ? drv_store_list(store, DRV_OPERATIONS_BUCKET, MOST_OPERATIONS, error) : NULL;
    json_object *answer, *list;

    if (!stored)
        return NULL;
    list = json_object_new_array();
    for (guint i = 0; i < stored->len; i++) {
        const drv_document *document = stored->pdata[i];
        g_autoptr(drv_operation) live = drv_operations_find(ctx->operations, document->key);
        g_autoptr(drv_operation) ended = live ? NULL : drv_operation_load(store, document, NULL);

        if (live || ended)
            json_object_array_add(list, drv_operation_view(live ? live : ended));
    }
    answer = json_object_new_object();
    drv_json_set(answer, "operations", list);
    return answer;
}

json_object *drv_operations_local_view(drv_context *ctx, const char *id, gint64 after, guint wait_ms, GError **error)
{
    drv_store *store = drv_leader_store(ctx, error);
    g_autoptr(drv_operation) live = drv_operations_find(ctx->operations, id);
    g_autoptr(drv_operation) ended = NULL;
    g_autoptr(drv_document) document = NULL;
    g_autoptr(GError) problem = NULL;

    if (!store)
        return NULL;
    if (live)
        return drv_operation_wait(live, after, MIN(wait_ms, 30000));
    document = drv_store_get(store, DRV_OPERATIONS_BUCKET, id, &problem);
    if (document) {
        ended = drv_operation_load(store, document, error);
        return ended ? drv_operation_view(ended) : NULL;
    }
    if (g_error_matches(problem, DRV_ERROR, DRV_ERROR_NOT_FOUND))
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "there is no operation %s; 'drover jobs' shows all", id);
    else
        g_propagate_error(error, g_steal_pointer(&problem));
    return NULL;
}

static gboolean set_paused(json_object *doc, gpointer data, GError **error)
{
    drv_op_state state = drv_op_state_from_name(drv_json_string(doc, "state", NULL));

    if (state == DRV_OP_PLANNED)
        drv_operation_enter(doc, DRV_OP_RUNNING);
    if (state != DRV_OP_PAUSED)
        drv_operation_enter(doc, DRV_OP_PAUSED);
    return TRUE;
}

static gboolean set_resumed(json_object *doc, gpointer data, GError **error)
{
    if (g_str_equal(drv_json_string(doc, "state", ""), "paused"))
        drv_operation_enter(doc, DRV_OP_RUNNING);
    return TRUE;
}

static gboolean set_cancelled(json_object *doc, gpointer data, GError **error)
{
    if (drv_json_bool(doc, "cancel_requested"))
        drv_json_set_bool(doc, "cancel_repeated", TRUE);
    drv_json_set_bool(doc, "cancel_requested", TRUE);
    return TRUE;
}

json_object *drv_operations_local_act(drv_context *ctx, const char *id, const char *action, GError **error)
{
    g_autoptr(drv_operation) operation = drv_operations_find(ctx->operations, id);
    drv_operation_editor edit = g_str_equal(action, "pause")    ? set_paused
                                : g_str_equal(action, "resume") ? set_resumed
                                                                : set_cancelled;

    if (!operation || drv_operation_ended(operation)) {
        g_autoptr(json_object) ended = drv_operations_local_view(ctx, id, -1, 0, error);

        if (ended && drv_json_bool(ended, "ended"))
            g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "operation %s is over already (%s)", id,
                        drv_json_string(ended, "state", "?"));
        else if (ended)
            g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE,
                        "operation %s is just being taken up by the node that leads: try again in some "
                        "seconds",
                        id);
        return NULL;
    }
    if (!drv_operation_change(operation, TRUE, edit, NULL, error))
        return NULL;
    drv_operations_wake(ctx->operations);
    return drv_operation_view(operation);
}

void drv_operations_cancel_drains(drv_context *ctx, const char *node)
{
    g_autoptr(GPtrArray) docs = drv_operations_running(ctx->operations);

    for (guint i = 0; i < docs->len; i++) {
        json_object *goal = drv_json_object(docs->pdata[i], "goal");
        g_autoptr(json_object) cancelled = NULL;

        if (drv_json_bool(goal, "drain") && g_str_equal(drv_json_string(goal, "node", ""), node))
            cancelled = drv_operations_local_act(ctx, drv_json_string(docs->pdata[i], "id", ""), "cancel", NULL);
    }
}

/* ---- at any node ---- */

gboolean drv_operations_is_id(const char *id)
{
    return g_str_has_prefix(id, "op-") && !strchr(id + 3, '-');
}

json_object *drv_operations_ask(drv_context *ctx, const char *rest, GError **error)
{
    g_autofree char *path = g_strconcat("/v1/peer/operations", rest, NULL);

    return drv_leader_ask(ctx, "operations are driven", "GET", path, NULL, DRV_NODE_PEER_TIMEOUT_MS, error);
}

json_object *drv_operations_ask_wait(drv_context *ctx, const char *id, gint64 after, guint wait_ms, GError **error)
{
    g_autofree char *path = NULL;

    wait_ms = MIN(wait_ms, 30000);
    path = g_strdup_printf("/v1/peer/operations/%s?after=%" G_GINT64_FORMAT "&wait_ms=%u", id, after, wait_ms);
    return drv_leader_ask(ctx, "operations are driven", "GET", path, NULL, DRV_NODE_PEER_TIMEOUT_MS + wait_ms, error);
}

json_object *drv_operations_ask_to(drv_context *ctx, const char *id, const char *action, GError **error)
{
    g_autofree char *path = g_strdup_printf("/v1/peer/operations/%s/%s", id, action);

    return drv_leader_must_be_here(ctx, error)
               ? drv_node_call(ctx, ctx->node, "POST", path, NULL, DRV_NODE_PEER_TIMEOUT_MS, error)
               : NULL;
}
