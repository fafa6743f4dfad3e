/* SPDX-License-Identifier: Apache-2.0 */
/* Domains as they are now: listed, looked up, resumed, ended. */
#include "hyper/domain.h"

#include <string.h>

#include "hyper/connection.h"
#include "hyper/domain-xml.h"
#include "hyper/flush.h"

static const char *const state_names[] = {
    [DRV_DOMAIN_SHUT_OFF] = "shut off", [DRV_DOMAIN_RUNNING] = "running", [DRV_DOMAIN_PAUSED] = "paused",
    [DRV_DOMAIN_CRASHED] = "crashed",   [DRV_DOMAIN_OTHER] = "other",
};
G_STATIC_ASSERT(G_N_ELEMENTS(state_names) == DRV_DOMAIN_OTHER + 1);

const char *drv_domain_state_name(drv_domain_state state)
{
    return (guint)state < G_N_ELEMENTS(state_names) ? state_names[state] : "other";
}

gboolean drv_domain_just_arrived(const drv_domain *domain)
{
    static const char *const of_an_arrival[] = {"migration", "user", "starting-up", "unknown", NULL};

    return domain->state == DRV_DOMAIN_PAUSED &&
           g_strv_contains(of_an_arrival, domain->reason ? domain->reason : "unknown");
}

static drv_domain_state state_from(int state)
{
    switch (state) {
    case VIR_DOMAIN_RUNNING:
    case VIR_DOMAIN_BLOCKED:
        return DRV_DOMAIN_RUNNING;
    case VIR_DOMAIN_PAUSED:
        return DRV_DOMAIN_PAUSED;
    case VIR_DOMAIN_SHUTOFF:
        return DRV_DOMAIN_SHUT_OFF;
    case VIR_DOMAIN_CRASHED:
        return DRV_DOMAIN_CRASHED;
    default: /* shutting down, suspended by the guest's power management */
        return DRV_DOMAIN_OTHER;
    }
}

static const char *const running_reasons[] = {
    [VIR_DOMAIN_RUNNING_UNKNOWN] = "unknown",
    [VIR_DOMAIN_RUNNING_BOOTED] = "booted",
    [VIR_DOMAIN_RUNNING_MIGRATED] = "migrated",
    [VIR_DOMAIN_RUNNING_RESTORED] = "restored",
    [VIR_DOMAIN_RUNNING_FROM_SNAPSHOT] = "from-snapshot",
    [VIR_DOMAIN_RUNNING_UNPAUSED] = "unpaused",
    [VIR_DOMAIN_RUNNING_MIGRATION_CANCELED] = "migration-canceled",
    [VIR_DOMAIN_RUNNING_SAVE_CANCELED] = "save-canceled",
    [VIR_DOMAIN_RUNNING_WAKEUP] = "wakeup",
    [VIR_DOMAIN_RUNNING_CRASHED] = "crashed",
    [VIR_DOMAIN_RUNNING_POSTCOPY] = "postcopy",
    [VIR_DOMAIN_RUNNING_POSTCOPY_FAILED] = "postcopy-failed",
};

static const char *const paused_reasons[] = {
    [VIR_DOMAIN_PAUSED_UNKNOWN] = "unknown",
    [VIR_DOMAIN_PAUSED_USER] = "user",
    [VIR_DOMAIN_PAUSED_MIGRATION] = "migration",
    [VIR_DOMAIN_PAUSED_SAVE] = "save",
    [VIR_DOMAIN_PAUSED_DUMP] = "dump",
    [VIR_DOMAIN_PAUSED_IOERROR] = "ioerror",
    [VIR_DOMAIN_PAUSED_WATCHDOG] = "watchdog",
    [VIR_DOMAIN_PAUSED_FROM_SNAPSHOT] = "from-snapshot",
    [VIR_DOMAIN_PAUSED_SHUTTING_DOWN] = "shutting-down",
    [VIR_DOMAIN_PAUSED_SNAPSHOT] = "snapshot",
    [VIR_DOMAIN_PAUSED_CRASHED] = "crashed",
    [VIR_DOMAIN_PAUSED_STARTING_UP] = "starting-up",
    [VIR_DOMAIN_PAUSED_POSTCOPY] = "postcopy",
    [VIR_DOMAIN_PAUSED_POSTCOPY_FAILED] = "postcopy-failed",
};

static const char *const shutoff_reasons[] = {
    [VIR_DOMAIN_SHUTOFF_UNKNOWN] = "unknown",     [VIR_DOMAIN_SHUTOFF_SHUTDOWN] = "shutdown",
    [VIR_DOMAIN_SHUTOFF_DESTROYED] = "destroyed", [VIR_DOMAIN_SHUTOFF_CRASHED] = "crashed",
    [VIR_DOMAIN_SHUTOFF_MIGRATED] = "migrated",   [VIR_DOMAIN_SHUTOFF_SAVED] = "saved",
    [VIR_DOMAIN_SHUTOFF_FAILED] = "failed",       [VIR_DOMAIN_SHUTOFF_FROM_SNAPSHOT] = "from-snapshot",
    [VIR_DOMAIN_SHUTOFF_DAEMON] = "daemon",
};

static const char *reason_name(int state, int reason)
{
#define REASON(table) ((guint)reason < G_N_ELEMENTS(table) && table[reason] ? table[reason] : "unknown")
    switch (state) {
    case VIR_DOMAIN_RUNNING:
    case VIR_DOMAIN_BLOCKED:
        return REASON(running_reasons);
    case VIR_DOMAIN_PAUSED:
        return REASON(paused_reasons);
    case VIR_DOMAIN_SHUTOFF:
        return REASON(shutoff_reasons);
    case VIR_DOMAIN_CRASHED:
        return reason == VIR_DOMAIN_CRASHED_PANICKED ? "panicked" : "unknown";
    case VIR_DOMAIN_SHUTDOWN:
        return "shutting-down";
    case VIR_DOMAIN_PMSUSPENDED:
        return "pmsuspended";
    default:
        return "unknown";
    }
#undef REASON
}

typedef enum {
    JOB_NONE,
    JOB_RUNS,
    JOB_INCOMING, /* libvirt keeps who asks QEMU for anything waiting until it has arrived */
    JOB_STUCK,    /* one that keeps even this question waiting */
} job_kind;

static job_kind job_of(virDomainPtr domain)
{
    virDomainJobInfo info;

    if (virDomainGetJobInfo(domain, &info) == 0)
        return info.type != VIR_DOMAIN_JOB_NONE ? JOB_RUNS : JOB_NONE;
    switch (virGetLastErrorCode()) {
    case VIR_ERR_OPERATION_UNSUPPORTED: /* "statistics are available only on the source host" */
        return JOB_INCOMING;
    case VIR_ERR_OPERATION_TIMEOUT:
        return JOB_STUCK;
    default:
        return JOB_NONE;
    }
}

static void read_sizes(virDomainPtr domain, GPtrArray *disks)
{
    for (guint i = 0; i < disks->len; i++) {
        drv_disk *disk = g_ptr_array_index(disks, i);
        virDomainBlockInfo info;

        if (!disk->source)
            continue;
        if (virDomainGetBlockInfo(domain, disk->target, &info, 0) == 0) {
            disk->capacity_bytes = info.capacity;
            disk->allocation_bytes = info.allocation;
        } else if (virGetLastErrorCode() == VIR_ERR_OPERATION_TIMEOUT) {
            break; /* the others would cost another half minute each */
        }
    }
    virResetLastError();
}

static drv_domain *read_domain(virDomainPtr domain, gboolean whole, GError **error)
{
    g_autoptr(drv_domain) result = NULL;
    int state = 0, reason = 0, autostart = 0;
    job_kind job;
    char *xml = virDomainGetXMLDesc(domain, 0);

    if (!xml || virDomainGetState(domain, &state, &reason, 0) < 0) {
        drv_hyper_take_error(error, "cannot read VM %s", virDomainGetName(domain));
        free(xml);
        return NULL;
    }
    result = drv_domain_from_xml(xml, error);
    free(xml);
    if (!result)
        return NULL;

    result->state = state_from(state);
    result->reason = g_strdup(reason_name(state, reason));
    result->persistent = virDomainIsPersistent(domain) == 1;
    if (result->persistent && virDomainGetAutostart(domain, &autostart) == 0)
        result->autostart = autostart != 0;
    job = result->state == DRV_DOMAIN_SHUT_OFF ? JOB_NONE : job_of(domain);
    result->busy = job != JOB_NONE;
    if (whole && (job == JOB_NONE || job == JOB_RUNS))
        read_sizes(domain, result->disks);
    virResetLastError();
    return g_steal_pointer(&result);
}

GPtrArray *drv_hyper_domains(drv_hyper *hyper, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    virConnectPtr connection = lease ? lease->connection : NULL;
    g_autoptr(GPtrArray) result = g_ptr_array_new_with_free_func((GDestroyNotify)drv_domain_free);
    virDomainPtr *domains = NULL;
    gboolean good = TRUE;
    int count;

    if (!connection)
        return NULL;
    count = virConnectListAllDomains(connection, &domains, 0);
    if (count < 0) {
        drv_hyper_take_error(error, "cannot list this host's VMs");
        return NULL;
    }
    for (int i = 0; i < count; i++) {
        g_autoptr(GError) failure = NULL;
        drv_domain *domain = good ? read_domain(domains[i], FALSE, &failure) : NULL;

        if (domain) {
            g_ptr_array_add(result, domain);
        } else if (failure && failure->code != DRV_ERROR_NOT_FOUND) {
            g_propagate_error(error, g_steal_pointer(&failure));
            good = FALSE;
        } /* else: gone since it was listed */
        virDomainFree(domains[i]);
    }
    free(domains);
    return good ? g_steal_pointer(&result) : NULL;
}

drv_domain *drv_hyper_domain(drv_hyper *hyper, const char *uuid, GError **error)
{
    g_autoptr(drv_lease) lease = NULL;
    g_autoptr(virDomain) domain = NULL;

    if (!g_uuid_string_is_valid(uuid)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "'%s' is not a UUID", uuid);
        return NULL;
    }
    lease = drv_hyper_lease(hyper, error);
    domain = lease ? drv_lease_domain(lease, uuid, error) : NULL;
    return domain ? read_domain(domain, TRUE, error) : NULL;
}

drv_domain *drv_hyper_domain_named(drv_hyper *hyper, const char *name, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    g_autoptr(virDomain) domain = NULL;

    if (!lease)
        return NULL;
    domain = virDomainLookupByName(lease->connection, name);
    if (!domain) {
        if (virGetLastErrorCode() == VIR_ERR_NO_DOMAIN)
            g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "there is no VM %s on this host", name);
        else
            drv_hyper_take_error(error, "cannot look up VM %s", name);
        return NULL;
    }
    return read_domain(domain, TRUE, error);
}

gboolean drv_hyper_resume(drv_hyper *hyper, const char *uuid, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    g_autoptr(virDomain) domain = lease ? drv_lease_domain(lease, uuid, error) : NULL;

    if (!domain)
        return FALSE;
    if (virDomainResume(domain) < 0) {
        g_autoptr(GError) failure = NULL;
        int state = 0;

        drv_hyper_take_error(&failure, "cannot resume VM %s", virDomainGetName(domain));
        /* To libvirt an error; who resumes twice, after a crash between, wants it running. */
        if (virDomainGetState(domain, &state, NULL, 0) == 0 && state == VIR_DOMAIN_RUNNING)
            return TRUE;
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    return TRUE;
}

static gboolean undefine(virDomainPtr domain, GError **error)
{
    /* An older libvirt, or another driver, does not know the later ones. */
    static const unsigned later[] = {VIR_DOMAIN_UNDEFINE_TPM, VIR_DOMAIN_UNDEFINE_NVRAM,
                                     VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA};
    unsigned flags = VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
                     VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | VIR_DOMAIN_UNDEFINE_NVRAM | VIR_DOMAIN_UNDEFINE_TPM;

    for (gsize i = 0;; i++) {
        int code;

        if (virDomainUndefineFlags(domain, flags) == 0)
            return TRUE;
        code = virGetLastErrorCode();
        if (code == VIR_ERR_NO_DOMAIN)
            return TRUE;
        if (code != VIR_ERR_INVALID_ARG || i == G_N_ELEMENTS(later))
            break;
        flags &= ~later[i];
    }
    drv_hyper_take_error(error, "cannot undefine VM %s", virDomainGetName(domain));
    return FALSE;
}

gboolean drv_hyper_destroy(drv_hyper *hyper, const char *uuid, gboolean undefine_too, GError **error)
{
    g_autoptr(GError) missing = NULL;
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, &missing);
    g_autoptr(virDomain) domain = lease ? drv_lease_domain(lease, uuid, &missing) : NULL;

    if (!domain) {
        /* Whoever has undefined it may have been killed before that was on the disk. */
        if (missing->code == DRV_ERROR_NOT_FOUND)
            return !undefine_too || drv_hyper_flush_definition(NULL, error);
        g_propagate_error(error, g_steal_pointer(&missing));
        return FALSE;
    }
    /* Not running is fine (to libvirt an invalid operation), and a transient one is gone with its process. */
    if (virDomainDestroy(domain) < 0) {
        g_autoptr(GError) failure = NULL;

        drv_hyper_take_error(&failure, "cannot end VM %s", virDomainGetName(domain));
        if (failure->code == DRV_ERROR_NOT_FOUND)
            return TRUE;
        if (failure->code != DRV_ERROR_CONFLICT || virDomainIsActive(domain) == 1) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return FALSE;
        }
    }
    if (!undefine_too)
        return TRUE;
    switch (virDomainIsPersistent(domain)) {
    case 1:
        return undefine(domain, error) && drv_hyper_flush_definition(virDomainGetName(domain), error);
    case 0:
        return TRUE;
    default:
        if (virGetLastErrorCode() == VIR_ERR_NO_DOMAIN)
            return TRUE;
        drv_hyper_take_error(error, "cannot read VM %s", virDomainGetName(domain));
        return FALSE;
    }
}
