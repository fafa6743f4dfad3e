/* SPDX-License-Identifier: Apache-2.0 */
/* A migration job watched and steered: statistics while it runs and after, pause, abort. */
#include "hyper/job.h"

#include <string.h>

#include "hyper/connection.h"
#include "hyper/job-params.h"

static guint64 get(const virTypedParameter *params, int count, const char *name)
{
    unsigned long long value = 0;

    /* libvirt's accessor wants a mutable list but does not change it. */
    if (virTypedParamsGetULLong((virTypedParameterPtr)params, count, name, &value) < 0)
        virResetLastError();
    return value;
}

gboolean drv_job_stats_from_params(const virTypedParameter *params, int count, int type, drv_job_stats *stats)
{
    int operation = VIR_DOMAIN_JOB_OPERATION_UNKNOWN, throttle = 0;

    memset(stats, 0, sizeof(*stats));
    if (virTypedParamsGetInt((virTypedParameterPtr)params, count, VIR_DOMAIN_JOB_OPERATION, &operation) < 0)
        virResetLastError();
    if (operation != VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT && operation != VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN)
        return FALSE;

    stats->active = type == VIR_DOMAIN_JOB_BOUNDED || type == VIR_DOMAIN_JOB_UNBOUNDED;
    stats->outgoing = operation == VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT;
    stats->elapsed_ms = get(params, count, VIR_DOMAIN_JOB_TIME_ELAPSED);
    stats->downtime_ms = get(params, count, VIR_DOMAIN_JOB_DOWNTIME);
    stats->memory_total_bytes = get(params, count, VIR_DOMAIN_JOB_MEMORY_TOTAL);
    stats->memory_processed_bytes = get(params, count, VIR_DOMAIN_JOB_MEMORY_PROCESSED);
    stats->memory_remaining_bytes = get(params, count, VIR_DOMAIN_JOB_MEMORY_REMAINING);
    stats->memory_bps = get(params, count, VIR_DOMAIN_JOB_MEMORY_BPS);
    stats->page_size_bytes = get(params, count, VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE);
    stats->dirty_rate_bps = get(params, count, VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE) * stats->page_size_bytes;
    stats->rounds = get(params, count, VIR_DOMAIN_JOB_MEMORY_ITERATION);
    if (virTypedParamsGetInt((virTypedParameterPtr)params, count, VIR_DOMAIN_JOB_AUTO_CONVERGE_THROTTLE, &throttle) < 0)
        virResetLastError();
    stats->throttle_percent = (guint)CLAMP(throttle, 0, 100);
    stats->disk_total_bytes = get(params, count, VIR_DOMAIN_JOB_DISK_TOTAL);
    stats->disk_processed_bytes = get(params, count, VIR_DOMAIN_JOB_DISK_PROCESSED);
    stats->disk_remaining_bytes = get(params, count, VIR_DOMAIN_JOB_DISK_REMAINING);
    stats->disk_bps = get(params, count, VIR_DOMAIN_JOB_DISK_BPS);
    /* libvirt's "processed" is QEMU's "transferred": what went into the stream. */
    stats->qemu_bytes = stats->memory_processed_bytes;
    return TRUE;
}

static gboolean read_stats(virDomainPtr domain, unsigned flags, drv_job_stats *stats, GError **error)
{
    virTypedParameterPtr params = NULL;
    int count = 0, type = VIR_DOMAIN_JOB_NONE;

    memset(stats, 0, sizeof(*stats));
    if (virDomainGetJobStats(domain, &type, &params, &count, flags) < 0) {
        /* "migration statistics are available only on the source host": an incoming one runs. */
        if (virGetLastErrorCode() == VIR_ERR_OPERATION_UNSUPPORTED && !(flags & VIR_DOMAIN_JOB_STATS_COMPLETED)) {
            stats->active = TRUE;
            return TRUE;
        }
        drv_hyper_take_error(error, "cannot read the job of VM %s", virDomainGetName(domain));
        return FALSE;
    }
    if (type != VIR_DOMAIN_JOB_NONE && drv_job_stats_from_params(params, count, type, stats) &&
        !(flags & VIR_DOMAIN_JOB_STATS_COMPLETED))
        stats->active = TRUE; /* "cancelled" and "completed" too: libvirt is still ending it */
    virTypedParamsFree(params, count);
    return TRUE;
}

gboolean drv_hyper_job(drv_hyper *hyper, const char *uuid, drv_job_stats *stats, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    g_autoptr(virDomain) domain = lease ? drv_lease_domain(lease, uuid, error) : NULL;
    int state = 0, reason = 0;

    if (!domain || !read_stats(domain, 0, stats, error))
        return FALSE;
    /* libvirt has no phase in its statistics, but it marks the guest as soon as QEMU has stopped it. */
    if (virDomainGetState(domain, &state, &reason, 0) == 0 && state == VIR_DOMAIN_PAUSED) {
        stats->switching = stats->active && stats->outgoing && reason == VIR_DOMAIN_PAUSED_MIGRATION;
        stats->post_copy_broken = reason == VIR_DOMAIN_PAUSED_POSTCOPY_FAILED;
        stats->post_copy = stats->post_copy_broken || reason == VIR_DOMAIN_PAUSED_POSTCOPY;
    }
    return TRUE;
}

gboolean drv_hyper_job_completed(drv_hyper *hyper, const char *uuid, drv_job_stats *stats, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    g_autoptr(virDomain) domain = lease ? drv_lease_domain(lease, uuid, error) : NULL;

    return domain &&
           read_stats(domain, VIR_DOMAIN_JOB_STATS_COMPLETED | VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED, stats, error);
}

gboolean drv_hyper_job_abort(drv_hyper *hyper, const char *uuid, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    g_autoptr(virDomain) domain = lease ? drv_lease_domain(lease, uuid, error) : NULL;

    if (!domain)
        return FALSE;
    if (virDomainAbortJob(domain) < 0) {
        drv_hyper_take_error(error, "cannot abort the job of VM %s", virDomainGetName(domain));
        return FALSE;
    }
    return TRUE;
}

gboolean drv_hyper_set_max_pause(drv_hyper *hyper, const char *uuid, guint ms, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    g_autoptr(virDomain) domain = lease ? drv_lease_domain(lease, uuid, error) : NULL;

    if (!domain)
        return FALSE;
    if (virDomainMigrateSetMaxDowntime(domain, ms, 0) < 0) {
        drv_hyper_take_error(error, "VM %s: cannot set the allowed pause to %u ms", virDomainGetName(domain), ms);
        return FALSE;
    }
    return TRUE;
}

gboolean drv_hyper_answers(drv_hyper *hyper, const char *uuid)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, NULL);
    g_autoptr(virDomain) domain = lease ? drv_lease_domain(lease, uuid, NULL) : NULL;
    unsigned long long ms = 0;

    /* Something that libvirt cannot know by itself. */
    return domain && virDomainMigrateGetMaxDowntime(domain, &ms, 0) == 0;
}

gboolean drv_hyper_start_post_copy(drv_hyper *hyper, const char *uuid, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    g_autoptr(virDomain) domain = lease ? drv_lease_domain(lease, uuid, error) : NULL;

    if (!domain)
        return FALSE;
    if (virDomainMigrateStartPostCopy(domain, 0) < 0) {
        drv_hyper_take_error(error, "VM %s: cannot be handed over to the target", virDomainGetName(domain));
        return FALSE;
    }
    return TRUE;
}
