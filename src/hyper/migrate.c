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
 *   AUTO_CONVERGE    from the beginning, since it cannot be switched on during a job. QEMU keeps a
 *                    guest from running only when in two rounds it dirtied more than half of what
 *                    was sent: 1 % of its time first, which is nothing, 10 % more every two such
 *                    rounds
 *   POSTCOPY         instead of PAUSED, with which libvirt refuses it, and of AUTO_CONVERGE. The
 *                    allowed pause is the least there is, so that QEMU does not switch by itself
 *                    but when it is told to. (Not 0: QEMU 7.2 then switches when the first pass is
 *                    over without looking what has become dirty: seconds of pause, tried)
 *   POSTCOPY_RESUME  a broken post-copy goes on over new connections
 *   NON_SHARED_DISK  QEMU mirrors the named disks first and keeps them equal until the switch
 *   UNSAFE           only where both hosts were seen to have the same file on a file system that
 *                    libvirt does not know as shared; the cache modes were checked by the planner
 */
#include "hyper/migrate.h"

#include "base/paths.h"
#include "hyper/connection.h"
#include "hyper/rewrite.h"

/* Percent: see AUTO_CONVERGE above. */
#define THROTTLE_FIRST 1
#define THROTTLE_STEP 10

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
    if (error->code == DRV_ERROR_UNREACHABLE && virConnectIsAlive(virDomainGetConnect(domain)) == 1)
        error->code = DRV_ERROR_FAILED;
}

static unsigned way_flags(const drv_migrate_params *params)
{
    if (params->recover)
        return VIR_MIGRATE_POSTCOPY | VIR_MIGRATE_POSTCOPY_RESUME;
    return params->post_copy ? VIR_MIGRATE_POSTCOPY : VIR_MIGRATE_PAUSED | VIR_MIGRATE_AUTO_CONVERGE;
}

/* Both definitions: with the live one alone the old paths would stay in the persistent one. */
static gboolean add_rewritten(virDomainPtr domain, const drv_migrate_params *params, gboolean persistent,
                              param_list *list, GError **error)
{
    static const struct {
        const char *param;
        unsigned flags;
        gboolean live;
    } kinds[] = {
        {VIR_MIGRATE_PARAM_DEST_XML, VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_MIGRATABLE, TRUE},
        {VIR_MIGRATE_PARAM_PERSIST_XML, VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_MIGRATABLE | VIR_DOMAIN_XML_INACTIVE,
         FALSE},
    };

    if (drv_rewrite_is_empty(params->rewrite))
        return TRUE;
    for (gsize i = 0; i < (persistent ? 2 : 1); i++) {
        char *xml = virDomainGetXMLDesc(domain, kinds[i].flags);
        g_autofree char *changed = NULL;

        if (!xml) {
            drv_hyper_take_error(error, "cannot read VM %s", virDomainGetName(domain));
            return FALSE;
        }
        changed = drv_rewrite_xml(params->rewrite, xml, kinds[i].live, error);
        free(xml);
        if (!changed)
            return FALSE;
        add_string(list, kinds[i].param, changed);
    }
    return TRUE;
}

static gboolean start(virDomainPtr domain, const drv_migrate_params *params, gboolean persistent, param_list *list,
                      GError **error)
{
    g_autoptr(GError) failure = NULL;
    unsigned flags = VIR_MIGRATE_LIVE | VIR_MIGRATE_PEER2PEER | VIR_MIGRATE_ABORT_ON_ERROR | way_flags(params);
    g_autofree char *destination =
        g_strdup_printf("qemu+unix:///system?socket=%s/%s", params->session_dir, DRV_SOCKET_CONTROL);

    if (persistent)
        flags |= VIR_MIGRATE_PERSIST_DEST | VIR_MIGRATE_UNDEFINE_SOURCE;
    if (params->proven_shared)
        flags |= VIR_MIGRATE_UNSAFE;
    if (!add_rewritten(domain, params, persistent, list, error))
        return FALSE;
    add_uri(list, VIR_MIGRATE_PARAM_URI, params->session_dir, DRV_SOCKET_RAM);
    if (params->copy_disks && params->copy_disks[0]) {
        flags |= VIR_MIGRATE_NON_SHARED_DISK;
        add_uri(list, VIR_MIGRATE_PARAM_DISKS_URI, params->session_dir, DRV_SOCKET_DISK);
        for (gsize i = 0; params->copy_disks[i]; i++)
            add_string(list, VIR_MIGRATE_PARAM_MIGRATE_DISKS, params->copy_disks[i]);
    }
    /* libvirt counts in MiB a second. */
    if (params->bandwidth_bps > 0 &&
        virTypedParamsAddULLong(&list->params, &list->count, &list->max, VIR_MIGRATE_PARAM_BANDWIDTH,
                                (params->bandwidth_bps + (1 << 20) - 1) >> 20) < 0)
        list->failed = TRUE;
    if ((flags & VIR_MIGRATE_AUTO_CONVERGE) &&
        (virTypedParamsAddInt(&list->params, &list->count, &list->max, VIR_MIGRATE_PARAM_AUTO_CONVERGE_INITIAL,
                              THROTTLE_FIRST) < 0 ||
         virTypedParamsAddInt(&list->params, &list->count, &list->max, VIR_MIGRATE_PARAM_AUTO_CONVERGE_INCREMENT,
                              THROTTLE_STEP) < 0))
        list->failed = TRUE;
    if (list->failed) {
        drv_hyper_take_error(error, "VM %s: cannot prepare the move", virDomainGetName(domain));
        return FALSE;
    }
    if (virDomainMigrateToURI3(domain, destination, list->params, (unsigned)list->count, flags) < 0) {
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
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "VM %s is shut off: only a running VM moves live",
                    virDomainGetName(domain));
        return FALSE;
    }
    /* Accepted before the job as well; it cannot be given along. */
    if (!params->recover && (params->max_pause_ms > 0 || params->post_copy) &&
        virDomainMigrateSetMaxDowntime(domain, params->post_copy ? 1 : params->max_pause_ms, 0) < 0) {
        drv_hyper_take_error(error, "VM %s: cannot set the allowed pause", virDomainGetName(domain));
        return FALSE;
    }
    good = start(domain, params, persistent == 1, &list, error);
    virTypedParamsFree(list.params, list.count);
    return good;
}
