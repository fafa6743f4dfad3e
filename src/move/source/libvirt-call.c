/* SPDX-License-Identifier: Apache-2.0 */
/* libvirt's migrate call, in a thread that may outlast the move and droverd's interest in it: see libvirt-call.h. */
#include "move/source/libvirt-call.h"

#include "hyper/migrate.h"
#include "move/job.h"
#include "move/source/belongings.h"
#include "move/source/finish.h"

struct drv_call {
    gatomicrefcount references;
    drv_outgoing *outgoing; /* NULL once nobody waits any more; guarded by lock */
    GMutex lock;
    drv_hyper *hyper;
    char *uuid;
    char *dir;
    GStrv disks;
    guint max_pause_ms;
    guint64 bandwidth_bps;
    gboolean post_copy;
    gboolean recover;
    drv_rewrite *rewrite;
    gboolean proven_shared;
};

static void call_unref(drv_call *call)
{
    if (!g_atomic_ref_count_dec(&call->references))
        return;
    g_mutex_clear(&call->lock);
    g_free(call->uuid);
    g_free(call->dir);
    g_strfreev(call->disks);
    drv_rewrite_free(call->rewrite);
    g_free(call);
}

static gpointer call_thread(gpointer data)
{
    drv_call *call = data;
    drv_migrate_params params = {.uuid = call->uuid,
                                 .session_dir = call->dir,
                                 .copy_disks = (const char *const *)call->disks,
                                 .max_pause_ms = call->max_pause_ms,
                                 .bandwidth_bps = call->bandwidth_bps,
                                 .post_copy = call->post_copy,
                                 .recover = call->recover,
                                 .rewrite = call->rewrite,
                                 .proven_shared = call->proven_shared};
    g_autoptr(GError) error = NULL;
    gboolean ok = drv_hyper_migrate(call->hyper, &params, &error);

    g_mutex_lock(&call->lock);
    if (call->outgoing) {
        drv_outgoing *outgoing = call->outgoing;

        g_mutex_lock(&outgoing->lock);
        outgoing->over = TRUE;
        outgoing->call_ok = ok;
        outgoing->call_error = g_steal_pointer(&error);
        g_cond_broadcast(&outgoing->changed);
        g_mutex_unlock(&outgoing->lock);
    }
    g_mutex_unlock(&call->lock);
    call_unref(call);
    return NULL;
}

drv_call *drv_call_start(drv_outgoing *outgoing, gboolean recover)
{
    json_object *step = drv_job_step(outgoing->job);
    drv_call *call = g_new0(drv_call, 1);

    g_mutex_lock(&outgoing->lock);
    outgoing->over = FALSE;
    outgoing->call_ok = FALSE;
    g_clear_error(&outgoing->call_error);
    g_mutex_unlock(&outgoing->lock);

    g_atomic_ref_count_init(&call->references);
    g_atomic_ref_count_inc(&call->references);
    g_mutex_init(&call->lock);
    call->outgoing = outgoing;
    call->hyper = outgoing->ctx->hyper;
    call->uuid = g_strdup(drv_job_uuid(outgoing->job));
    call->dir = g_strdup(outgoing->dir);
    call->max_pause_ms = outgoing->ladder.set_ms;
    call->post_copy = outgoing->ladder.post_copy;
    call->recover = recover;
    /* What libvirt recovers it knows already. */
    call->disks = recover ? NULL : drv_departure_disks(step);
    call->rewrite = recover ? NULL : drv_departure_rewrite(step, &call->proven_shared);
    call->bandwidth_bps = (guint64)drv_json_int(step, "bandwidth_bps", 0);
    g_thread_unref(g_thread_new("migrate", call_thread, call));
    return call;
}

void drv_call_forget(drv_call *call)
{
    if (!call)
        return;
    g_mutex_lock(&call->lock);
    call->outgoing = NULL;
    g_mutex_unlock(&call->lock);
    call_unref(call);
}
