/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A live move, driven by libvirtd itself (peer-to-peer), whose three connections are
 * the relay's sockets in the session's directory.
 *
 * Flags, and why each:
 *   LIVE             the guest runs while its memory is copied
 *   PEER2PEER        libvirtd talks to libvirtd; this process may die
 *   PAUSED           the copy does not start by itself: a lost reply to Finish would leave two
 *   PERSIST_DEST, UNDEFINE_SOURCE
 *                    the definition moves along; a transient domain has none
 *   ABORT_ON_ERROR   an I/O error that stops the guest during the copy ends the move: it would
 *                    else arrive paused for that reason, and be resumed as if for the move
 *   NON_SHARED_DISK  QEMU mirrors the named disks first and keeps them equal until the switch
 */
#include "base/paths.h"
#include "hyper/connection.h"

typedef struct {
    virTypedParameterPtr params;
    int count, max;
    gboolean failed;
} param_list;

static void add_string(param_list *list, const char *name, const char *value)
{
    if (virTypedParamsAddString(&list->params, &list->count, &list->max, name, value) < 0)
        list->failed = TRUE;
}

static void add_uri(param_list *list, const char *name, const char *directory, const char *socket)
{
    g_autofree char *uri = g_strdup_printf("unix://%s/%s", directory, socket);

    add_string(list, name, uri);
}

/*
 * "Cannot recv data" and the like may be about our connection to the local libvirtd, or be
 * what that says of its own one to the target. Only in the first case may the move go on.
 */
static void tell_whose(virDomainPtr domain, GError *error)
{
    if (error->code == DRV_ERROR_UNREACHABLE &&
        virConnectIsAlive(virDomainGetConnect(domain)) == 1)
        error->code = DRV_ERROR_FAILED;
}

static gboolean start(virDomainPtr domain, const drv_migrate_params *params, gboolean persistent,
                      param_list *list, GError **error)
{
    g_autoptr(GError) failure = NULL;
    unsigned flags = VIR_MIGRATE_LIVE | VIR_MIGRATE_PEER2PEER | VIR_MIGRATE_PAUSED |
                     VIR_MIGRATE_ABORT_ON_ERROR;
    g_autofree char *destination = g_strdup_printf("qemu+unix:///system?socket=%s/%s",
                                                   params->session_dir, DRV_SOCKET_CONTROL);

    if (persistent)
        flags |= VIR_MIGRATE_PERSIST_DEST | VIR_MIGRATE_UNDEFINE_SOURCE;
    add_uri(list, VIR_MIGRATE_PARAM_URI, params->session_dir, DRV_SOCKET_RAM);
    if (params->copy_disks && params->copy_disks[0]) {
        flags |= VIR_MIGRATE_NON_SHARED_DISK;
        add_uri(list, VIR_MIGRATE_PARAM_DISKS_URI, params->session_dir, DRV_SOCKET_DISK);
        for (gsize i = 0; params->copy_disks[i]; i++)
            add_string(list, VIR_MIGRATE_PARAM_MIGRATE_DISKS, params->copy_disks[i]);
    }
    /* libvirt counts in MiB a second. */
    if (params->bandwidth_bps > 0 &&
        virTypedParamsAddULLong(&list->params, &list->count, &list->max,
                                VIR_MIGRATE_PARAM_BANDWIDTH,
                                (params->bandwidth_bps + (1 << 20) - 1) >> 20) < 0)
        list->failed = TRUE;
    if (list->failed) {
        drv_hyper_take_error(error, "VM %s: cannot prepare the move", virDomainGetName(domain));
        return FALSE;
    }
    if (virDomainMigrateToURI3(domain, destination, list->params, (unsigned)list->count, flags) <
        0) {
        drv_hyper_take_error(&failure, "VM %s could not be moved", virDomainGetName(domain));
        tell_whose(domain, failure);
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    return TRUE;
}

gboolean drv_hyper_migrate(drv_hyper *hyper, const drv_migrate_params *params, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    g_autoptr(virDomain) domain = lease ? drv_lease_domain(lease, params->uuid, error) : NULL;
    param_list list = {0};
    gboolean good;
    int persistent;

    if (!domain)
        return FALSE;
    persistent = virDomainIsPersistent(domain);
    if (persistent < 0) {
        drv_hyper_take_error(error, "cannot read VM %s", virDomainGetName(domain));
        return FALSE;
    }
    if (virDomainIsActive(domain) == 0) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                    "VM %s is shut off: only a running VM moves live", virDomainGetName(domain));
        return FALSE;
    }
    /* Accepted before the job as well; it cannot be given along. */
    if (params->max_pause_ms > 0 &&
        virDomainMigrateSetMaxDowntime(domain, params->max_pause_ms, 0) < 0) {
        drv_hyper_take_error(error, "VM %s: cannot set the allowed pause to %u ms",
                             virDomainGetName(domain), params->max_pause_ms);
        return FALSE;
    }
    good = start(domain, params, persistent == 1, &list, error);
    virTypedParamsFree(list.params, list.count);
    return good;
}
