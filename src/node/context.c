/* SPDX-License-Identifier: Apache-2.0 */
/* What all rooms of the control plane share: see context.h. */
#include "node/context.h"

#include <string.h>

#include "model/json.h"

void drv_node_thread(drv_context *ctx, const char *name, GThreadFunc func, gpointer data)
{
    g_mutex_lock(&ctx->lock);
    ctx->threads++;
    g_mutex_unlock(&ctx->lock);
    g_thread_unref(g_thread_new(name, func, data));
}

void drv_node_thread_ended(drv_context *ctx)
{
    g_mutex_lock(&ctx->lock);
    ctx->threads--;
    g_cond_broadcast(&ctx->idle);
    g_mutex_unlock(&ctx->lock);
}

void drv_node_touch(drv_context *ctx)
{
    g_mutex_lock(&ctx->lock);
    g_mutex_unlock(&ctx->lock);
}

gboolean drv_node_is_stopping(drv_context *ctx)
{
    gboolean stopping;

    g_mutex_lock(&ctx->lock);
    stopping = ctx->stopping;
    g_mutex_unlock(&ctx->lock);
    return stopping;
}

gboolean drv_node_pause(drv_context *ctx, guint ms)
{
    gint64 until = g_get_monotonic_time() + (gint64)ms * 1000;
    gboolean go_on;

    g_mutex_lock(&ctx->lock);
    while (!ctx->stopping && g_cond_wait_until(&ctx->idle, &ctx->lock, until))
        ;
    go_on = !ctx->stopping;
    g_mutex_unlock(&ctx->lock);
    return go_on;
}

json_object *drv_node_call(drv_context *ctx, const char *node, const char *method, const char *path, json_object *body,
                           guint timeout_ms, GError **error)
{
    if (g_str_equal(node, ctx->node))
        return ctx->answer(ctx, ctx->node, method, path + strlen("/v1/peer/"), body, error);
    return ctx->peers->call(ctx->peers->data, node, method, path, body, timeout_ms, error);
}

gboolean drv_node_is_copied(json_object *disk)
{
    return g_str_equal(drv_json_string(disk, "how", ""), "copy");
}

gboolean drv_node_is_leaving(drv_context *ctx, const char *uuid)
{
    gboolean leaving;

    g_mutex_lock(&ctx->lock);
    leaving = g_hash_table_contains(ctx->leaving, uuid);
    g_mutex_unlock(&ctx->lock);
    return leaving;
}

char *drv_node_leaving_by(drv_context *ctx, const char *uuid)
{
    char *job;

    g_mutex_lock(&ctx->lock);
    job = g_strdup(g_hash_table_lookup(ctx->leaving, uuid));
    g_mutex_unlock(&ctx->lock);
    return job;
}

/* The key whose value is @uuid, or NULL. Called with the lock held. */
static const char *key_of(GHashTable *table, const char *uuid)
{
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init(&iter, table);
    while (g_hash_table_iter_next(&iter, &key, &value))
        if (g_str_equal(value, uuid))
            return key;
    return NULL;
}

char *drv_node_in_need(drv_context *ctx, const char *uuid)
{
    char *job;

    g_mutex_lock(&ctx->lock);
    job = g_strdup(key_of(ctx->in_need, uuid));
    g_mutex_unlock(&ctx->lock);
    return job;
}

gboolean drv_node_is_coming_locked(drv_context *ctx, const char *uuid)
{
    return key_of(ctx->coming, uuid) != NULL;
}

gboolean drv_node_is_coming(drv_context *ctx, const char *uuid)
{
    gboolean coming;

    g_mutex_lock(&ctx->lock);
    coming = drv_node_is_coming_locked(ctx, uuid);
    g_mutex_unlock(&ctx->lock);
    return coming;
}

char *drv_node_of_id(const char *id, const char *what, GError **error)
{
    const char *dash = strrchr(id, '-');

    if (dash && dash != id && dash[1])
        return g_strndup(id, (gsize)(dash - id));
    g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "'%s' is not the id of a %s; one looks like h1-7", id, what);
    return NULL;
}
