/* SPDX-License-Identifier: Apache-2.0 */
/* The operations that have not ended, of the node that leads: see operations-table.h. */
#include "fleet/operations-table.h"

#include <string.h>

#include "base/log.h"
#include "node/leader.h"

static void put_json(gpointer object)
{
    json_object_put(object);
}

static void unref_operation(gpointer operation)
{
    drv_operation_unref(operation);
}

drv_operations *drv_operations_of(drv_context *ctx)
{
    drv_operations *operations = g_new0(drv_operations, 1);

    operations->ctx = ctx;
    g_mutex_init(&operations->adding);
    g_mutex_init(&operations->lock);
    g_cond_init(&operations->changed);
    operations->active = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, unref_operation);
    operations->closing = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return operations;
}

void drv_operations_free(drv_operations *operations)
{
    if (!operations)
        return;
    g_hash_table_unref(operations->active);
    g_hash_table_unref(operations->closing);
    g_mutex_clear(&operations->adding);
    g_mutex_clear(&operations->lock);
    g_cond_clear(&operations->changed);
    g_free(operations);
}

void drv_operations_wake(drv_operations *operations)
{
    g_mutex_lock(&operations->lock);
    operations->woken = TRUE;
    g_cond_broadcast(&operations->changed);
    g_mutex_unlock(&operations->lock);
}

static int by_creation(gconstpointer a, gconstpointer b, gpointer docs)
{
    gint64 left = drv_json_int(*(json_object *const *)a, "created_ms", 0);
    gint64 right = drv_json_int(*(json_object *const *)b, "created_ms", 0);

    (void)docs;
    return left < right ? -1 : left > right;
}

GPtrArray *drv_operations_running(drv_operations *operations)
{
    GPtrArray *docs = g_ptr_array_new_with_free_func(put_json);
    GHashTableIter iter;
    gpointer operation;

    g_mutex_lock(&operations->lock);
    g_hash_table_iter_init(&iter, operations->active);
    while (g_hash_table_iter_next(&iter, NULL, &operation))
        g_ptr_array_add(docs, drv_operation_view(operation));
    g_mutex_unlock(&operations->lock);
    g_ptr_array_sort_with_data(docs, by_creation, NULL);
    return docs;
}

drv_operation *drv_operations_find(drv_operations *operations, const char *id)
{
    drv_operation *operation;

    g_mutex_lock(&operations->lock);
    operation = g_hash_table_lookup(operations->active, id);
    if (operation)
        drv_operation_ref(operation);
    g_mutex_unlock(&operations->lock);
    return operation;
}

void drv_operations_add(drv_operations *operations, drv_operation *operation)
{
    g_mutex_lock(&operations->lock);
    g_hash_table_insert(operations->active, g_strdup(drv_operation_id(operation)), drv_operation_ref(operation));
    g_mutex_unlock(&operations->lock);
}

void drv_operations_forget(drv_operations *operations, drv_operation *operation)
{
    g_mutex_lock(&operations->lock);
    g_hash_table_remove(operations->active, drv_operation_id(operation));
    g_mutex_unlock(&operations->lock);
}

json_object *drv_operations_begin(drv_context *ctx, const char *id, json_object *plan, GError **error)
{
    drv_store *store = drv_leader_store(ctx, error);
    g_autoptr(drv_operation) operation = NULL;

    g_mutex_lock(&ctx->operations->adding);
    operation = store ? drv_operation_new(store, id, plan, error) : NULL;
    if (operation && drv_leader_is_here(ctx))
        drv_operations_add(ctx->operations, operation);
    g_mutex_unlock(&ctx->operations->adding);
    if (!operation)
        return NULL;
    drv_operations_wake(ctx->operations);
    return drv_operation_view(operation);
}
