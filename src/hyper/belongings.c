/* SPDX-License-Identifier: Apache-2.0 */
/* What belongs to a VM besides its memory and disks: see belongings.h. */
#include "hyper/belongings.h"

#include <libxml/parser.h>
#include <string.h>

#include "hyper/connection.h"
#include "hyper/domain-xml.h"
#include "hyper/flush.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virNetwork, virNetworkFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomainSnapshot, virDomainSnapshotFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomainCheckpoint, virDomainCheckpointFree)

static void read_xml(const char *xml, drv_belongings *into)
{
    g_autoptr(xmlDoc) doc = xmlReadMemory(xml, (int)strlen(xml), "domain.xml", NULL,
                                          XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    xmlNodePtr root = doc ? xmlDocGetRootElement(doc) : NULL;
    xmlNodePtr os = drv_xml_child(root, "os");
    xmlNodePtr nvram = drv_xml_child(os, "nvram");

    into->loader = drv_xml_text(drv_xml_child(os, "loader"));
    into->nvram = drv_xml_attr(drv_xml_child(nvram, "source"), "file");
    if (!into->nvram && !drv_xml_child(nvram, "source"))
        into->nvram = drv_xml_text(nvram);
    if (into->nvram && !*into->nvram)
        g_clear_pointer(&into->nvram, g_free);
    into->nvram_raw = !drv_xml_attr_is(nvram, "format", "qcow2");
    DRV_XML_FOREACH_CHILD(device, drv_xml_child(root, "devices"))
    if (drv_xml_is(device, "tpm") && drv_xml_attr_is(drv_xml_child(device, "backend"), "type", "emulator"))
        into->tpm = TRUE;
}

static gboolean read_checkpoints(virDomainPtr domain, drv_belongings *into, GError **error)
{
    virDomainCheckpointPtr *list = NULL;
    int count = virDomainListAllCheckpoints(domain, &list, VIR_DOMAIN_CHECKPOINT_LIST_TOPOLOGICAL);
    gboolean good = TRUE;

    if (count < 0) {
        if (virGetLastErrorCode() == VIR_ERR_NO_SUPPORT)
            return TRUE;
        drv_hyper_take_error(error, "cannot list the checkpoints of VM %s", virDomainGetName(domain));
        return FALSE;
    }
    for (int i = 0; i < count; i++) {
        char *xml = good ? virDomainCheckpointGetXMLDesc(list[i], VIR_DOMAIN_CHECKPOINT_XML_SECURE) : NULL;

        if (xml) {
            g_ptr_array_add(into->checkpoints, g_strdup(xml));
        } else if (good) {
            good = FALSE;
            drv_hyper_take_error(error, "cannot read the checkpoints of VM %s", virDomainGetName(domain));
        }
        free(xml);
        virDomainCheckpointFree(list[i]);
    }
    free(list);
    return good;
}

static gboolean read_snapshots(virDomainPtr domain, drv_belongings *into, GError **error)
{
    virDomainSnapshotPtr *list = NULL;
    int count = virDomainListAllSnapshots(domain, &list, VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL);
    gboolean good = TRUE;

    into->current_snapshot = -1;
    if (count < 0) {
        drv_hyper_take_error(error, "cannot list the snapshots of VM %s", virDomainGetName(domain));
        return FALSE;
    }
    for (int i = 0; i < count; i++) {
        char *xml = good ? virDomainSnapshotGetXMLDesc(list[i], VIR_DOMAIN_SNAPSHOT_XML_SECURE) : NULL;

        if (xml) {
            g_ptr_array_add(into->snapshots, g_strdup(xml));
            if (virDomainSnapshotIsCurrent(list[i], 0) == 1)
                into->current_snapshot = i;
        } else if (good) {
            good = FALSE;
            drv_hyper_take_error(error, "cannot read the snapshots of VM %s", virDomainGetName(domain));
        }
        free(xml);
        virDomainSnapshotFree(list[i]);
    }
    free(list);
    return good;
}

gboolean drv_hyper_belongings(drv_hyper *hyper, const char *uuid, drv_belongings *belongings, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    g_autoptr(virDomain) domain = lease ? drv_lease_domain(lease, uuid, error) : NULL;
    gboolean persistent;
    int autostart = 0;
    char *xml;

    memset(belongings, 0, sizeof *belongings);
    if (!domain)
        return FALSE;
    belongings->checkpoints = g_ptr_array_new_with_free_func(g_free);
    belongings->snapshots = g_ptr_array_new_with_free_func(g_free);
    persistent = virDomainIsPersistent(domain) == 1;
    xml = virDomainGetXMLDesc(domain, 0);
    if (!xml)
        goto unreadable;
    read_xml(xml, belongings);
    free(xml);
    if (persistent) {
        xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_MIGRATABLE);
        if (!xml)
            goto unreadable;
        belongings->definition = g_strdup(xml);
        free(xml);
        belongings->autostart = virDomainGetAutostart(domain, &autostart) == 0 && autostart;
        belongings->saved = virDomainHasManagedSaveImage(domain, 0) == 1;
    }
    if (read_checkpoints(domain, belongings, error) && read_snapshots(domain, belongings, error))
        return TRUE;
    drv_belongings_clear(belongings);
    return FALSE;
unreadable:
    drv_hyper_take_error(error, "cannot read VM %s", virDomainGetName(domain));
    drv_belongings_clear(belongings);
    return FALSE;
}

void drv_belongings_clear(drv_belongings *belongings)
{
    g_clear_pointer(&belongings->definition, g_free);
    g_clear_pointer(&belongings->loader, g_free);
    g_clear_pointer(&belongings->nvram, g_free);
    g_clear_pointer(&belongings->checkpoints, g_ptr_array_unref);
    g_clear_pointer(&belongings->snapshots, g_ptr_array_unref);
}

gboolean drv_hyper_define(drv_hyper *hyper, const char *xml, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    g_autoptr(virDomain) domain = lease ? virDomainDefineXML(lease->connection, xml) : NULL;

    if (lease && !domain)
        drv_hyper_take_error(error, "cannot define the VM on this host");
    return domain && drv_hyper_flush_definition(virDomainGetName(domain), error);
}

gboolean drv_hyper_undefine(drv_hyper *hyper, const char *uuid, GError **error)
{
    g_autoptr(GError) missing = NULL;
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, &missing);
    g_autoptr(virDomain) domain = lease ? drv_lease_domain(lease, uuid, &missing) : NULL;
    const unsigned flags = VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
                           VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | VIR_DOMAIN_UNDEFINE_NVRAM;
    char *xml;
    gboolean good;

    if (!domain) {
        /* Whoever has undefined it may have been killed before that was on the disk. */
        if (missing->code == DRV_ERROR_NOT_FOUND)
            return drv_hyper_flush_definition(NULL, error);
        g_propagate_error(error, g_steal_pointer(&missing));
        return FALSE;
    }
    xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_INACTIVE);
    good = xml && virDomainIsActive(domain) == 0;
    if (!good) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "VM %s has been started meanwhile", virDomainGetName(domain));
    } else if (virDomainUndefineFlags(domain, flags | VIR_DOMAIN_UNDEFINE_TPM) < 0 &&
               virDomainUndefineFlags(domain, flags) < 0) {
        good = FALSE;
        drv_hyper_take_error(error, "cannot undefine VM %s", virDomainGetName(domain));
    } else if (virDomainIsActive(domain) == 1) {
        /* Started between the two calls: what runs gets its definition back. */
        virDomainPtr again = virDomainDefineXML(lease->connection, xml);

        good = FALSE;
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "VM %s has been started meanwhile", virDomainGetName(domain));
        if (again)
            virDomainFree(again);
    }
    free(xml);
    virResetLastError();
    return good && drv_hyper_flush_definition(virDomainGetName(domain), error);
}

gboolean drv_hyper_set_autostart(drv_hyper *hyper, const char *uuid, gboolean on, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    g_autoptr(virDomain) domain = lease ? drv_lease_domain(lease, uuid, error) : NULL;

    if (!domain)
        return FALSE;
    if (virDomainSetAutostart(domain, on) == 0)
        return drv_hyper_flush_definition(virDomainGetName(domain), error);
    drv_hyper_take_error(error, "cannot set VM %s to start with its host", virDomainGetName(domain));
    return FALSE;
}

gboolean drv_hyper_redefine_checkpoints(drv_hyper *hyper, const char *uuid, GPtrArray *checkpoints, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    g_autoptr(virDomain) domain = lease ? drv_lease_domain(lease, uuid, error) : NULL;

    if (!domain)
        return FALSE;
    for (guint i = 0; i < checkpoints->len; i++) {
        g_autoptr(virDomainCheckpoint) checkpoint =
            virDomainCheckpointCreateXML(domain, checkpoints->pdata[i], VIR_DOMAIN_CHECKPOINT_CREATE_REDEFINE);

        if (!checkpoint) {
            drv_hyper_take_error(error, "cannot tell libvirt of a checkpoint of VM %s", virDomainGetName(domain));
            return FALSE;
        }
    }
    return drv_hyper_flush_definition(virDomainGetName(domain), error);
}

gboolean drv_hyper_redefine_snapshots(drv_hyper *hyper, const char *uuid, GPtrArray *snapshots, int current,
                                      GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    g_autoptr(virDomain) domain = lease ? drv_lease_domain(lease, uuid, error) : NULL;

    if (!domain)
        return FALSE;
    for (guint i = 0; i < snapshots->len; i++) {
        unsigned flags = VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE;
        g_autoptr(virDomainSnapshot) snapshot = NULL;

        if ((int)i == current)
            flags |= VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT;
        snapshot = virDomainSnapshotCreateXML(domain, snapshots->pdata[i], flags);
        if (!snapshot) {
            drv_hyper_take_error(error, "cannot tell libvirt of a snapshot of VM %s", virDomainGetName(domain));
            return FALSE;
        }
    }
    return drv_hyper_flush_definition(virDomainGetName(domain), error);
}

/* ---- what this host has ---- */

char *drv_hyper_pool_path(drv_hyper *hyper, const char *name, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    g_autoptr(virStoragePool) pool = lease ? virStoragePoolLookupByName(lease->connection, name) : NULL;
    char *xml = pool ? virStoragePoolGetXMLDesc(pool, 0) : NULL;
    g_autoptr(xmlDoc) doc =
        xml ? xmlReadMemory(xml, (int)strlen(xml), "pool.xml", NULL, XML_PARSE_NONET | XML_PARSE_NOERROR) : NULL;
    xmlNodePtr root = doc ? xmlDocGetRootElement(doc) : NULL;
    g_autofree char *type = drv_xml_attr(root, "type");
    char *path = NULL;

    free(xml);
    if (!lease)
        return NULL;
    if (!pool && virGetLastErrorCode() == VIR_ERR_NO_STORAGE_POOL)
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND,
                    "there is no storage pool %s ('virsh pool-list --all' shows all)", name);
    else if (!root)
        drv_hyper_take_error(error, "cannot read the storage pool %s", name);
    else if (g_strcmp0(type, "dir") != 0 && g_strcmp0(type, "fs") != 0 && g_strcmp0(type, "netfs") != 0)
        g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED,
                    "the storage pool %s is of type %s: images are made in pools of type dir, fs "
                    "and netfs",
                    name, type);
    else if (virStoragePoolIsActive(pool) != 1)
        g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED, "the storage pool %s is not active: virsh pool-start %s", name,
                    name);
    else
        path = drv_xml_text(drv_xml_child(drv_xml_child(root, "target"), "path"));
    virResetLastError();
    return path;
}

char *drv_hyper_volume_path(drv_hyper *hyper, const char *volume, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    g_auto(GStrv) parts = g_strsplit(volume, "/", 2);
    g_autoptr(virStoragePool) pool =
        lease ? virStoragePoolLookupByName(lease->connection, parts[0] ? parts[0] : "") : NULL;
    g_autoptr(virStorageVol) found = pool && parts[1] ? virStorageVolLookupByName(pool, parts[1]) : NULL;
    char *path = found ? virStorageVolGetPath(found) : NULL;
    char *copy = g_strdup(path);

    free(path);
    if (lease && !copy)
        drv_hyper_take_error(error, "cannot find the volume %s", volume);
    return copy;
}

gboolean drv_hyper_has_network(drv_hyper *hyper, const char *name)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, NULL);
    g_autoptr(virNetwork) network = lease ? virNetworkLookupByName(lease->connection, name) : NULL;
    gboolean active = network && virNetworkIsActive(network) == 1;

    virResetLastError();
    return active;
}
