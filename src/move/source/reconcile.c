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
static GPtrArray *jobs_in_need(drv_run *run)
{
    GPtrArray *jobs = g_ptr_array_new_with_free_func((GDestroyNotify)drv_job_unref);
    GHashTableIter iter;
    gpointer job;

    g_mutex_lock(&run->lock);
    g_hash_table_iter_init(&iter, run->attention);
    while (g_hash_table_iter_next(&iter, NULL, &job))
        g_ptr_array_add(jobs, drv_job_ref(job));
    g_mutex_unlock(&run->lock);
    return jobs;
}

static gpointer look_again(gpointer data)
{
    drv_run *run = data;

    do {
        g_autoptr(GPtrArray) jobs = jobs_in_need(run);

        for (guint i = 0; i < jobs->len && !drv_run_stopping(run); i++) {
            drv_job *job = jobs->pdata[i];

            /* A VM that is in another move is looked at after it. */
            if (drv_outgoing_would_settle(run, job) && drv_outgoing_reconcile(run, job, NULL))
                drv_log_notice("looking again at a move that needed attention vm=%s job=%s",
                               drv_job_vm(job), drv_job_id(job));
        }
    } while (drv_run_pause(run, LOOK_EVERY_MS));
    drv_run_thread_ended(run);
    return NULL;
}

void drv_run_reconcile_start(drv_run *run)
{
    drv_run_thread(run, "reconcile", look_again, run);
}

json_object *drv_run_local_reconcile(drv_run *run, const char *id, GError **error)
{
    g_autoptr(drv_job) job = NULL;

    g_mutex_lock(&run->lock);
    job = g_hash_table_lookup(run->attention, id);
    if (job)
        drv_job_ref(job);
    g_mutex_unlock(&run->lock);
    /* One that runs settles by itself, one that has ended is settled. */
    if (!job)
        return drv_run_local_job_view(run, id, -1, 0, error);
    return drv_outgoing_reconcile(run, job, error) ? drv_job_view(job) : NULL;
}
