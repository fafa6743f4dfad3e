/* SPDX-License-Identifier: Apache-2.0 */
/* What all rooms of the control plane share: see context.h. */
#include "node/context.h"

#include <string.h>

#include "model/json.h"

void drv_run_thread(drv_run *run, const char *name, GThreadFunc func, gpointer data)
{
    g_mutex_lock(&run->lock);
    run->threads++;
    g_mutex_unlock(&run->lock);
    g_thread_unref(g_thread_new(name, func, data));
}

void drv_run_thread_ended(drv_run *run)
{
    g_mutex_lock(&run->lock);
    run->threads--;
    g_cond_broadcast(&run->idle);
    g_mutex_unlock(&run->lock);
}

void drv_run_touch(drv_run *run)
{
    g_mutex_lock(&run->lock);
    g_mutex_unlock(&run->lock);
}

gboolean drv_run_stopping(drv_run *run)
{
    gboolean stopping;

    g_mutex_lock(&run->lock);
    stopping = run->stopping;
    g_mutex_unlock(&run->lock);
    return stopping;
}

gboolean drv_run_pause(drv_run *run, guint ms)
{
    gint64 until = g_get_monotonic_time() + (gint64)ms * 1000;
    gboolean go_on;

    g_mutex_lock(&run->lock);
    while (!run->stopping && g_cond_wait_until(&run->idle, &run->lock, until))
        ;
    go_on = !run->stopping;
    g_mutex_unlock(&run->lock);
    return go_on;
}

json_object *drv_run_call(drv_run *run, const char *node, const char *method, const char *path,
                          json_object *body, guint timeout_ms, GError **error)
{
    if (g_str_equal(node, run->node))
        return run->answer(run, run->node, method, path + strlen("/v1/peer/"), body, error);
    return run->peers->call(run->peers->data, node, method, path, body, timeout_ms, error);
}

gboolean drv_run_is_copied(json_object *disk)
{
    return g_str_equal(drv_json_string(disk, "how", ""), "copy");
}

gboolean drv_run_is_leaving(drv_run *run, const char *uuid)
{
    gboolean leaving;

    g_mutex_lock(&run->lock);
    leaving = g_hash_table_contains(run->leaving, uuid);
    g_mutex_unlock(&run->lock);
    return leaving;
}

char *drv_run_leaving_by(drv_run *run, const char *uuid)
{
    char *job;

    g_mutex_lock(&run->lock);
    job = g_strdup(g_hash_table_lookup(run->leaving, uuid));
    g_mutex_unlock(&run->lock);
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

char *drv_run_in_need(drv_run *run, const char *uuid)
{
    char *job;

    g_mutex_lock(&run->lock);
    job = g_strdup(key_of(run->in_need, uuid));
    g_mutex_unlock(&run->lock);
    return job;
}

gboolean drv_run_is_coming_locked(drv_run *run, const char *uuid)
{
    return key_of(run->coming, uuid) != NULL;
}

gboolean drv_run_is_coming(drv_run *run, const char *uuid)
{
    gboolean coming;

    g_mutex_lock(&run->lock);
    coming = drv_run_is_coming_locked(run, uuid);
    g_mutex_unlock(&run->lock);
    return coming;
}

char *drv_run_owner(const char *id, const char *what, GError **error)
{
    const char *dash = strrchr(id, '-');

    if (dash && dash != id && dash[1])
        return g_strndup(id, (gsize)(dash - id));
    g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND,
                "'%s' is not the id of a %s; one looks like h1-7", id, what);
    return NULL;
}
