/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs that need attention are looked at again: at start-up, when a peer is back, when an
 * operator has done something or asks for it. The look changes nothing; only what fits the
 * table of move/outcome.c by then becomes a job that is finishing again, and ends.
 */
#include "move/source/reconcile.h"

#include "base/log.h"
#include "move/jobs.h"
#include "move/source/migration.h"
#include "node/context.h"

#define LOOK_EVERY_MS 5000

/* Transfer full. */
static GPtrArray *jobs_in_need(drv_context *ctx)
{
    GPtrArray *jobs = g_ptr_array_new_with_free_func((GDestroyNotify)drv_job_unref);
    GHashTableIter iter;
    gpointer job;

    g_mutex_lock(&ctx->lock);
    g_hash_table_iter_init(&iter, ctx->attention);
    while (g_hash_table_iter_next(&iter, NULL, &job))
        g_ptr_array_add(jobs, drv_job_ref(job));
    g_mutex_unlock(&ctx->lock);
    return jobs;
}

static gpointer look_again(gpointer data)
{
    drv_context *ctx = data;

    do {
        g_autoptr(GPtrArray) jobs = jobs_in_need(ctx);

        for (guint i = 0; i < jobs->len && !drv_node_is_stopping(ctx); i++) {
            drv_job *job = jobs->pdata[i];

            /* A VM that is in another move is looked at after it. */
            if (drv_outgoing_would_settle(ctx, job) && drv_outgoing_reconcile(ctx, job, NULL))
                drv_log_notice("looking again at a move that needed attention vm=%s job=%s", drv_job_vm(job),
                               drv_job_id(job));
        }
    } while (drv_node_pause(ctx, LOOK_EVERY_MS));
    drv_node_thread_ended(ctx);
    return NULL;
}

void drv_move_reconcile_start(drv_context *ctx)
{
    drv_node_thread(ctx, "reconcile", look_again, ctx);
}

json_object *drv_move_reconcile(drv_context *ctx, const char *id, GError **error)
{
    g_autoptr(drv_job) job = NULL;

    g_mutex_lock(&ctx->lock);
    job = g_hash_table_lookup(ctx->attention, id);
    if (job)
        drv_job_ref(job);
    g_mutex_unlock(&ctx->lock);
    /* One that runs settles by itself, one that has ended is settled. */
    if (!job)
        return drv_move_job_view(ctx, id, -1, 0, error);
    return drv_outgoing_reconcile(ctx, job, error) ? drv_job_view(job) : NULL;
}
