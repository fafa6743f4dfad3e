/* SPDX-License-Identifier: Apache-2.0 */
/* The jobs of this node: see jobs.h. */
#include "move/jobs.h"

#define MOST_JOBS 200

json_object *drv_move_jobs(drv_context *ctx, GError **error)
{
    g_autoptr(GPtrArray) stored = drv_store_list(ctx->store, "job", MOST_JOBS, error);
    json_object *object, *jobs;

    if (!stored)
        return NULL;
    jobs = json_object_new_array();
    for (guint i = 0; i < stored->len; i++) {
        const drv_document *document = stored->pdata[i];
        g_autoptr(drv_job) live = drv_move_job(ctx, document->key);
        json_object *job = live ? drv_job_view(live) : drv_json_parse(document->json, "a stored job", NULL);

        if (job)
            json_object_array_add(jobs, job);
    }
    object = json_object_new_object();
    drv_json_set(object, "jobs", jobs);
    return object;
}

drv_job *drv_move_job(drv_context *ctx, const char *id)
{
    drv_job *job;

    g_mutex_lock(&ctx->lock);
    job = g_hash_table_lookup(ctx->jobs, id);
    if (job)
        drv_job_ref(job);
    g_mutex_unlock(&ctx->lock);
    return job;
}

json_object *drv_move_job_view(drv_context *ctx, const char *id, gint64 after, guint wait_ms, GError **error)
{
    g_autoptr(drv_job) live = drv_move_job(ctx, id);
    g_autoptr(drv_document) document = NULL;
    g_autoptr(GError) problem = NULL;

    if (live)
        return drv_job_wait(live, after, MIN(wait_ms, 30000));
    document = drv_store_get(ctx->store, "job", id, &problem);
    if (document)
        return drv_json_parse(document->json, "a stored job", error);
    if (g_error_matches(problem, DRV_ERROR, DRV_ERROR_NOT_FOUND))
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "there is no job %s; 'drover jobs' shows all", id);
    else
        g_propagate_error(error, g_steal_pointer(&problem));
    return NULL;
}
