/* SPDX-License-Identifier: Apache-2.0 */
/* A step becomes a job at its source: see new-job.h. */
#include "move/source/new-job.h"

#include "base/fault.h"
#include "hyper/domain-xml.h"
#include "hyper/domain.h"
#include "move/jobs.h"
#include "move/source/migration.h"
#include "move/step.h"

/* "op-3.2.1" → {"job"}: which job is, or was to be, that attempt of that step. */
#define BUCKET "step-job"

char *drv_new_job_key(const char *operation, gint64 index, gint64 attempt)
{
    return g_strdup_printf("%s.%" G_GINT64_FORMAT ".%" G_GINT64_FORMAT, operation, index, attempt);
}

void drv_new_job_set_moving(const char *vm, const char *job, GError **error)
{
    g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                "%s is being moved already by job %s: wait for its end ('drover job %s --follow'), or cancel "
                "it ('drover cancel %s')",
                vm, job, job, job);
}

static gboolean still_here(drv_context *ctx, json_object *step, GError **error)
{
    g_autoptr(drv_domain) domain = drv_hyper_domain(ctx->hyper, drv_json_string(step, "uuid", ""), error);
    gboolean offline, storage;

    if (!domain)
        return FALSE;
    if (domain->busy) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                    "libvirt is busy with another job on %s: wait for its end ('virsh domjobinfo "
                    "%s')",
                    domain->name, domain->name);
        return FALSE;
    }
    offline = g_str_equal(drv_json_string(step, "method", ""), "offline");
    storage = g_str_equal(drv_json_string(step, "method", ""), "storage");
    if ((domain->state == DRV_DOMAIN_RUNNING) != drv_json_bool(step, "was_running") ||
        (offline && domain->state != DRV_DOMAIN_SHUT_OFF) ||
        (!offline && !storage && domain->state != DRV_DOMAIN_RUNNING && domain->state != DRV_DOMAIN_PAUSED)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "%s is %s now, which is not what was planned for: plan again",
                    domain->name, drv_domain_state_name(domain->state));
        return FALSE;
    }
    return TRUE;
}

/* Whether nothing else is being done to the VM. */
static gboolean is_free(drv_context *ctx, json_object *step, GError **error)
{
    const char *uuid = drv_json_string(step, "uuid", "");
    g_autofree char *other = NULL;

    if (drv_node_is_coming(ctx, uuid)) {
        /* Its source would find it nowhere, and could not settle. */
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                    "%s has just arrived and its source has not confirmed the end of that move: "
                    "try again when 'drover jobs' shows it as done",
                    drv_json_string(step, "vm", "?"));
        return FALSE;
    }
    other = drv_node_leaving_by(ctx, uuid);
    if (!other)
        return TRUE;
    drv_new_job_set_moving(drv_json_string(step, "vm", "?"), other, error);
    return FALSE;
}

/* The job's id of a key. Transfer full; NULL without @error: there is none. */
static char *job_of_key(drv_context *ctx, const char *key, GError **error)
{
    g_autoptr(GError) problem = NULL;
    g_autoptr(drv_document) document = drv_store_get(ctx->store, BUCKET, key, &problem);
    g_autoptr(json_object) object = NULL;

    if (!document) {
        if (!g_error_matches(problem, DRV_ERROR, DRV_ERROR_NOT_FOUND))
            g_propagate_error(error, g_steal_pointer(&problem));
        return NULL;
    }
    object = drv_json_parse(document->json, "a stored step", error);
    return object ? g_strdup(drv_json_string(object, "job", "")) : NULL;
}

static gboolean is_kept(drv_context *ctx, const char *id)
{
    g_autoptr(drv_document) document = drv_store_get(ctx->store, "job", id, NULL);

    return document != NULL;
}

json_object *drv_new_job_find(drv_context *ctx, const char *key, GError **error)
{
    g_autoptr(GError) problem = NULL;
    g_autofree char *id = job_of_key(ctx, key, &problem);

    if (id && is_kept(ctx, id))
        return drv_move_job_view(ctx, id, -1, 0, error);
    if (problem)
        g_propagate_error(error, g_steal_pointer(&problem));
    else
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "%s has no job for step %s", ctx->node, key);
    return NULL;
}

/* Which id the job gets. One that was begun for this attempt and never recorded keeps its own. */
static char *id_for(drv_context *ctx, const char *key, GError **error)
{
    g_autoptr(GError) problem = NULL;
    g_autofree char *id = key ? job_of_key(ctx, key, &problem) : NULL;
    g_autoptr(json_object) object = NULL;
    gint64 number;

    if (id)
        return g_steal_pointer(&id);
    if (problem) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return NULL;
    }
    number = drv_store_next(ctx->store, "job", error);
    if (!number)
        return NULL;
    id = g_strdup_printf("%s-%" G_GINT64_FORMAT, ctx->node, number);
    if (!key)
        return g_steal_pointer(&id);
    object = json_object_new_object();
    drv_json_set_string(object, "job", id);
    if (!drv_store_put(ctx->store, BUCKET, key, json_object_to_json_string(object), DRV_REVISION_NEW, NULL, error))
        return NULL;
    drv_fault("step-job-kept");
    return g_steal_pointer(&id);
}

/* A request that was long under way: a later attempt has been begun meanwhile. */
static gboolean is_newest(drv_context *ctx, json_object *request, GError **error)
{
    g_autofree char *next = drv_new_job_key(drv_json_string(request, "operation", ""),
                                            drv_json_int(request, "index", 0), drv_json_int(request, "attempt", 0) + 1);
    g_autoptr(GError) problem = NULL;
    g_autofree char *id = job_of_key(ctx, next, &problem);

    if (!id && !problem)
        return TRUE;
    if (problem)
        g_propagate_error(error, g_steal_pointer(&problem));
    else
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "this attempt is over: the next one, %s, has begun", id);
    return FALSE;
}

json_object *drv_new_job(drv_context *ctx, json_object *request, GError **error)
{
    static GMutex one_at_a_time; /* between the check that a VM is not moving and its job */
    json_object *step = drv_json_object(request, "step");
    const char *operation = drv_json_string(request, "operation", NULL);
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&one_at_a_time);
    g_autofree char *key = NULL;
    g_autofree char *id = NULL;
    g_autoptr(drv_job) job = NULL;
    drv_step_names names;

    if (!step || g_strcmp0(drv_json_string(step, "source", NULL), ctx->node) != 0) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "the job's step does not begin at %s", ctx->node);
        return NULL;
    }
    if (!drv_step_parse(step, &names, error))
        return NULL;
    if (operation) {
        g_autoptr(GError) problem = NULL;
        json_object *known;

        key = drv_new_job_key(operation, drv_json_int(request, "index", 0), drv_json_int(request, "attempt", 0));
        known = drv_new_job_find(ctx, key, &problem);
        if (known)
            return known;
        if (!g_error_matches(problem, DRV_ERROR, DRV_ERROR_NOT_FOUND)) {
            g_propagate_error(error, g_steal_pointer(&problem));
            return NULL;
        }
        if (!is_newest(ctx, request, error))
            return NULL;
    }
    if (!is_free(ctx, step, error) || !still_here(ctx, step, error))
        return NULL;
    id = id_for(ctx, key, error);
    job = id ? drv_job_new(ctx->store, id, drv_json_string(request, "plan", NULL), operation, step, error) : NULL;
    if (!job)
        return NULL;
    drv_outgoing_start(ctx, job, FALSE);
    return drv_job_view(job);
}
