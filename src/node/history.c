/* SPDX-License-Identifier: Apache-2.0 */
/* What waits to be recorded for the cluster: see history.h. */
#include "node/history.h"

#include <string.h>

#include "base/log.h"
#include "model/json.h"
#include "node/leader.h"

#define BUCKET "outbox" /* key: "bucket:key" of the document, which is the "json" in it, as text */
#define LOOK_MS 2000
#define PRUNE_S 3600
#define RECORDED_MOST 5000
#define PLANS_MOST 500
#define HISTORY_MOST 100 /* of nodes that are away, the newest */

static gboolean with_etcd(drv_context *ctx)
{
    drv_store *store = drv_leader_cluster_store(ctx);

    return store && drv_store_is_shared(store);
}

void drv_outbox_record(drv_context *ctx, const char *bucket, const char *key, const char *json)
{
    g_autofree char *name = g_strconcat(bucket, ":", key, NULL);
    g_autoptr(json_object) entry = NULL;
    g_autoptr(GError) error = NULL;

    if (!with_etcd(ctx))
        return;
    entry = json_object_new_object();
    drv_json_set_string(entry, "bucket", bucket);
    drv_json_set_string(entry, "key", key);
    drv_json_set_string(entry, "json", json);
    if (!drv_store_put(ctx->store, BUCKET, name, json_object_to_json_string(entry), DRV_REVISION_ANY, NULL, &error))
        drv_log_error("%s/%s will not be recorded for the cluster: %s", bucket, key, error->message);
}

gint64 drv_outbox_waiting(drv_context *ctx)
{
    g_autoptr(GPtrArray) waiting = drv_store_list(ctx->store, BUCKET, 0, NULL);

    return waiting ? (gint64)waiting->len : -1;
}

/* Whether it is there now; then it need not wait any more. One that nobody can take is thrown away. */
static gboolean give(drv_context *ctx, const drv_document *document, GError **error)
{
    g_autoptr(json_object) entry = json_tokener_parse(document->json);
    g_autoptr(GError) problem = NULL;

    if (!drv_store_put(ctx->shared, drv_json_string(entry, "bucket", ""), drv_json_string(entry, "key", ""),
                       drv_json_string(entry, "json", ""), DRV_REVISION_ANY, NULL, &problem)) {
        if (!g_error_matches(problem, DRV_ERROR, DRV_ERROR_INVALID)) {
            g_propagate_error(error, g_steal_pointer(&problem));
            return FALSE;
        }
        drv_log_error("%s cannot be recorded for the cluster: %s", document->key, problem->message);
    }
    /* What was written there meanwhile stays for the next round. */
    drv_store_delete(ctx->store, BUCKET, document->key, document->revision, NULL);
    return TRUE;
}

/* Return: FALSE and @error: the cluster's store takes nothing now. */
static gboolean give_all(drv_context *ctx, GError **error)
{
    g_autoptr(GPtrArray) waiting = drv_store_list(ctx->store, BUCKET, 0, error);

    for (guint i = 0; waiting && i < waiting->len && !drv_node_is_stopping(ctx); i++)
        if (!give(ctx, waiting->pdata[i], error))
            return FALSE;
    return waiting != NULL;
}

static int by_revision(gconstpointer a, gconstpointer b)
{
    const drv_document *const *left = a, *const *right = b;

    return (*left)->revision < (*right)->revision ? -1 : (*left)->revision > (*right)->revision;
}

/* etcd holds all in memory: what was changed last stays. */
static void prune(drv_context *ctx, const char *bucket, guint most)
{
    g_autoptr(GPtrArray) documents = drv_store_list(ctx->shared, bucket, 0, NULL);

    if (!documents || documents->len <= most)
        return;
    g_ptr_array_sort(documents, by_revision);
    for (guint i = 0; i < documents->len - most && drv_leader_is_here(ctx); i++) {
        const drv_document *document = documents->pdata[i];

        drv_store_delete(ctx->shared, bucket, document->key, document->revision, NULL);
    }
}

/* The leader does it, now and then. */
static void prune_all(drv_context *ctx, gint64 *next_us)
{
    if (g_get_monotonic_time() < *next_us || !with_etcd(ctx) || !drv_leader_is_here(ctx))
        return;
    *next_us = g_get_monotonic_time() + (gint64)PRUNE_S * G_USEC_PER_SEC;
    prune(ctx, DRV_HISTORY_BUCKET, RECORDED_MOST);
    prune(ctx, "plan", PLANS_MOST);
}

static gpointer outbox_thread(gpointer data)
{
    drv_context *ctx = data;
    gint64 revision = -1, prune_us = 0;
    gboolean complained = FALSE;

    do {
        g_autoptr(GError) error = NULL;

        prune_all(ctx, &prune_us);

        if (!with_etcd(ctx) || give_all(ctx, &error)) {
            complained = FALSE;
        } else if (!complained) {
            drv_log_warning("what has ended here is recorded for the cluster later: %s", error->message);
            complained = TRUE;
        }
        /* A new one wakes it; one that could not be given is tried again after a pause. */
        if (!complained)
            revision = drv_store_wait(ctx->store, BUCKET, revision, LOOK_MS, NULL);
    } while (complained || revision < 0 ? drv_node_pause(ctx, LOOK_MS) : !drv_node_is_stopping(ctx));
    drv_node_thread_ended(ctx);
    return NULL;
}

void drv_outbox_start(drv_context *ctx)
{
    if (ctx->shared)
        drv_node_thread(ctx, "outbox", outbox_thread, ctx);
}

/* ---- reading it ---- */

json_object *drv_outbox_recorded_job(drv_context *ctx, const char *id)
{
    g_autoptr(drv_document) document = with_etcd(ctx) ? drv_store_get(ctx->shared, DRV_HISTORY_BUCKET, id, NULL) : NULL;

    return document ? drv_json_parse(document->json, "a recorded job", NULL) : NULL;
}

static gboolean is_silent(json_object *silent, const char *id)
{
    g_autofree char *owner = drv_node_of_id(id, "job", NULL);

    for (gsize i = 0; owner && i < drv_json_length(silent); i++)
        if (!g_strcmp0(drv_json_string(json_object_array_get_idx(silent, i), "node", NULL), owner))
            return TRUE;
    return FALSE;
}

void drv_outbox_add_jobs(drv_context *ctx, json_object *jobs, json_object *silent)
{
    g_autoptr(GPtrArray) recorded = NULL;

    if (!drv_json_length(silent) || !with_etcd(ctx))
        return;
    recorded = drv_store_list(ctx->shared, DRV_HISTORY_BUCKET, HISTORY_MOST, NULL);
    for (guint i = 0; recorded && i < recorded->len; i++) {
        const drv_document *document = recorded->pdata[i];
        json_object *job =
            is_silent(silent, document->key) ? drv_json_parse(document->json, "a recorded job", NULL) : NULL;

        if (job)
            json_object_array_add(jobs, job);
    }
}
