/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of the fleet: nodes, VMs and jobs of every node, read at this moment. */
#include "serve/view.h"

#include "base/clock.h"
#include "cache/administration.h"
#include "facts/memory-sampler.h"
#include "fleet/fleet-plans.h"
#include "fleet/move-plans.h"
#include "fleet/operations-ask.h"
#include "fleet/snapshot.h"
#include "model/fleet-json.h"
#include "model/local.h"
#include "move/job.h"
#include "move/target/session-record.h"
#include "node/context.h"
#include "node/history.h"
#include "node/leader.h"
#include "plan/accuracy.h"

/* How long a node that takes connections may take before a list is shown without it. */
#define LIST_TIMEOUT_MS 10000

static int by_creation(const void *a, const void *b)
{
    gint64 left = drv_json_int(*(json_object *const *)a, "created_ms", 0);
    gint64 right = drv_json_int(*(json_object *const *)b, "created_ms", 0);

    return left < right ? -1 : left > right;
}

/* Whether @node is among those that did not answer; so is one that is not known. */
static gboolean is_silent(json_object *unreachable, const char *node)
{
    for (gsize i = 0; node && i < json_object_array_length(unreachable); i++)
        if (g_str_equal(drv_json_string(json_object_array_get_idx(unreachable, i), "node", ""), node))
            return TRUE;
    return node == NULL;
}

static void append(json_object *list, json_object *more)
{
    for (gsize i = 0; i < drv_json_length(more); i++)
        json_object_array_add(list, json_object_get(json_object_array_get_idx(more, i)));
}

json_object *drv_serve_jobs(drv_context *ctx, GError **error)
{
    drv_merged list = drv_snapshot_merge(ctx, "/v1/peer/jobs", "jobs");
    g_autofree char *leader = drv_leader_name(ctx);
    g_autoptr(json_object) operations = is_silent(list.unreachable, leader) ? NULL : drv_operations_ask(ctx, "", NULL);

    drv_outbox_add_jobs(ctx, list.all, list.unreachable);
    append(list.all, drv_json_array(operations, "operations"));
    json_object_array_sort(list.all, by_creation);
    return drv_snapshot_merged_json(&list);
}

json_object *drv_serve_links(drv_context *ctx, GError **error)
{
    drv_merged list = drv_snapshot_merge(ctx, "/v1/peer/links", "links");

    return drv_snapshot_merged_json(&list);
}

json_object *drv_serve_plans(drv_context *ctx, GError **error)
{
    drv_store *store = drv_leader_cluster_store(ctx);
    drv_merged list;
    g_autofree char *leader = drv_leader_name(ctx);
    g_autoptr(json_object) own = NULL;
    g_autoptr(json_object) plans = NULL;

    /* With etcd each node would name them all. */
    if (store && drv_store_is_shared(store)) {
        own = drv_fleet_local_plans(ctx, error);
        if (!own)
            return NULL;
        list = (drv_merged){"plans", json_object_get(drv_json_array(own, "plans")), json_object_new_array()};
    } else {
        list = drv_snapshot_merge(ctx, "/v1/peer/plans", "plans");
    }
    plans = is_silent(list.unreachable, leader) ? NULL : drv_fleet_plans_ask(ctx, "GET", "", NULL, NULL);
    append(list.all, drv_json_array(plans, "plans"));
    json_object_array_sort(list.all, by_creation);
    return drv_snapshot_merged_json(&list);
}

json_object *drv_serve_local_vms(drv_context *ctx, GError **error)
{
    json_object *vms = drv_model_local_vms(ctx->hyper, ctx->node, error);
    g_autoptr(json_object) kept = vms && ctx->content ? drv_content_list(ctx->content) : NULL;
    json_object *object;
    GHashTableIter iter;
    gpointer value;

    if (!vms)
        return NULL;
    for (gsize i = 0; i < json_object_array_length(vms); i++) {
        json_object *vm = json_object_array_get_idx(vms, i);

        if (drv_incoming_is_arriving(ctx, drv_json_string(vm, "uuid", "")))
            drv_json_set_bool(vm, "arriving", TRUE);
        drv_json_set(vm, "job", NULL);
        drv_observe_add(ctx, vm, kept ? drv_json_array(kept, "contents") : NULL);
    }
    g_mutex_lock(&ctx->lock);
    g_hash_table_iter_init(&iter, ctx->jobs);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        for (gsize i = 0; i < json_object_array_length(vms); i++) {
            json_object *vm = json_object_array_get_idx(vms, i);

            if (g_str_equal(drv_json_string(vm, "uuid", ""), drv_job_uuid(value)))
                drv_json_set_string(vm, "job", drv_job_id(value));
        }
    g_mutex_unlock(&ctx->lock);
    object = json_object_new_object();
    drv_json_set(object, "vms", vms);
    return object;
}

json_object *drv_serve_job(drv_context *ctx, const char *id, gint64 after, guint wait_ms, GError **error)
{
    g_autofree char *owner = drv_node_of_id(id, "job", error);
    g_autofree char *path = NULL;
    g_autoptr(GError) problem = NULL;
    json_object *job;

    if (!owner)
        return NULL;
    if (drv_operations_is_id(id))
        return drv_operations_ask_wait(ctx, id, after, wait_ms, error);
    wait_ms = MIN(wait_ms, 30000);
    path = g_strdup_printf("/v1/peer/jobs/%s?after=%" G_GINT64_FORMAT "&wait_ms=%u", id, after, wait_ms);
    job = drv_node_call(ctx, owner, "GET", path, NULL, DRV_NODE_PEER_TIMEOUT_MS + wait_ms, &problem);
    if (!job)
        job = drv_outbox_recorded_job(ctx, id);
    if (!job)
        g_propagate_error(error, g_steal_pointer(&problem));
    return job;
}

json_object *drv_serve_reconcile(drv_context *ctx, const char *id, GError **error)
{
    g_autofree char *owner = drv_node_of_id(id, "job", error);
    g_autofree char *path = g_strdup_printf("/v1/peer/jobs/%s/reconcile", id);

    if (!owner)
        return NULL;
    if (drv_operations_is_id(id)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "%s is not one move but several: 'drover job %s' shows its jobs, which can be "
                    "reconciled one by one",
                    id, id);
        return NULL;
    }
    return drv_leader_act(ctx, owner, "POST", path, NULL, DRV_NODE_PEER_TIMEOUT_MS, error);
}

json_object *drv_serve_cancel(drv_context *ctx, const char *id, GError **error)
{
    g_autofree char *owner = drv_node_of_id(id, "job", error);
    g_autofree char *path = g_strdup_printf("/v1/peer/jobs/%s/cancel", id);

    if (!owner)
        return NULL;
    if (drv_operations_is_id(id))
        return drv_operations_ask_to(ctx, id, "cancel", error);
    return drv_leader_act(ctx, owner, "POST", path, NULL, DRV_NODE_PEER_TIMEOUT_MS, error);
}

json_object *drv_serve_job_act(drv_context *ctx, const char *id, const char *action, GError **error)
{
    if (g_str_equal(action, "cancel"))
        return drv_serve_cancel(ctx, id, error);
    if (drv_operations_is_id(id))
        return drv_operations_ask_to(ctx, id, action, error);
    g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED,
                "%s is one move, which cannot be paused: its VM would go on changing its memory; 'drover "
                "cancel %s' ends it, and it can be begun again later",
                id, id);
    return NULL;
}

json_object *drv_serve_node_settings_set(drv_context *ctx, const char *node, json_object *what, GError **error)
{
    g_autofree char *path = g_strconcat("/v1/peer/node-settings/", node, NULL);

    /* A node may say so of itself. */
    if (!g_str_equal(node, ctx->node) && !drv_leader_must_be_here(ctx, error))
        return NULL;
    return drv_leader_ask(ctx, "maintenance is kept", "PUT", path, what, DRV_NODE_PEER_TIMEOUT_MS, error);
}

json_object *drv_serve_node_settings(drv_context *ctx, const char *node, GError **error)
{
    g_autoptr(json_object) answer = drv_leader_ask(ctx, "maintenance is kept", "GET", "/v1/peer/node-settings", NULL,
                                                   DRV_NODE_PEER_TIMEOUT_MS, error);
    json_object *own = drv_json_object(drv_json_object(answer, "settings"), node);

    if (!answer)
        return NULL;
    return own ? json_object_get(own) : json_object_new_object();
}

void drv_serve_lead_status(drv_context *ctx, json_object *status)
{
    g_autofree char *leader = drv_leader_name(ctx);

    drv_json_set_string(status, "leader", leader);
    drv_json_set_int(status, "unrecorded", drv_outbox_waiting(ctx));
}

json_object *drv_serve_accuracy(drv_context *ctx, GError **error)
{
    g_autoptr(json_object) jobs = drv_serve_jobs(ctx, error);
    json_object *accuracy = jobs ? drv_plan_accuracy(drv_json_array(jobs, "jobs")) : NULL;

    if (accuracy)
        drv_json_set(accuracy, "unreachable", json_object_get(json_object_object_get(jobs, "unreachable")));
    return accuracy;
}
