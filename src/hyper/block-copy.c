/* SPDX-License-Identifier: Apache-2.0 */
/* A disk of a running VM to another image on the same host: see block-copy.h. */
#include "hyper/block-copy.h"

#include <libxml/parser.h>
#include <string.h>

#include "hyper/connection.h"
#include "hyper/domain-xml.h"
#include "hyper/flush.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)

gboolean drv_hyper_block_copy(drv_hyper *hyper, const char *uuid, const char *disk, const char *path,
                              const char *format, guint64 rate_bps, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    g_autoptr(virDomain) domain = lease ? drv_lease_domain(lease, uuid, error) : NULL;
    g_autofree char *escaped = g_markup_escape_text(path, -1);
    g_autofree char *xml = g_strdup_printf(
        "<disk type='file'><driver type='%s'/><source file='%s'/><backingStore/></disk>", format, escaped);
    virTypedParameterPtr params = NULL;
    int count = 0, most = 0, rc;

    if (!domain)
        return FALSE;
    if (rate_bps > 0)
        virTypedParamsAddULLong(&params, &count, &most, VIR_DOMAIN_BLOCK_COPY_BANDWIDTH, rate_bps);
    rc = virDomainBlockCopy(domain, disk, xml, params, count,
                            VIR_DOMAIN_BLOCK_COPY_REUSE_EXT | VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB);
    if (rc < 0)
        drv_hyper_take_error(error, "VM %s: cannot copy disk %s to %s", virDomainGetName(domain), disk, path);
    virTypedParamsFree(params, count);
    return rc == 0;
}

/* The only place where libvirt tells "ready" from "nearly". */
static gboolean mirror_is_ready(virDomainPtr domain, const char *disk)
{
    char *xml = virDomainGetXMLDesc(domain, 0);
    g_autoptr(xmlDoc) doc =
        xml ? xmlReadMemory(xml, (int)strlen(xml), "domain.xml", NULL, XML_PARSE_NONET | XML_PARSE_NOERROR) : NULL;
    xmlNodePtr devices = doc ? drv_xml_child(xmlDocGetRootElement(doc), "devices") : NULL;
    gboolean ready = FALSE;

    free(xml);
    DRV_XML_FOREACH_CHILD(device, devices)
    if (drv_xml_is(device, "disk") && drv_xml_attr_is(drv_xml_child(device, "target"), "dev", disk))
        ready = drv_xml_attr_is(drv_xml_child(device, "mirror"), "ready", "yes");
    return ready;
}

gboolean drv_hyper_block_copy_look(drv_hyper *hyper, const char *uuid, const char *disk, drv_block_copy_state *state,
                                   guint64 *done_bytes, guint64 *total_bytes, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    g_autoptr(virDomain) domain = lease ? drv_lease_domain(lease, uuid, error) : NULL;
    virDomainBlockJobInfo info = {0};
    int rc;

    if (!domain)
        return FALSE;
    rc = virDomainGetBlockJobInfo(domain, disk, &info, 0);
    if (rc < 0) {
        drv_hyper_take_error(error, "VM %s: cannot see how far the copy of disk %s is", virDomainGetName(domain), disk);
        return FALSE;
    }
    *done_bytes = info.cur;
    *total_bytes = info.end;
    *state = rc == 0 ? DRV_BLOCK_COPY_NONE : mirror_is_ready(domain, disk) ? DRV_BLOCK_COPY_READY : DRV_BLOCK_COPY_RUNS;
    return TRUE;
}

gboolean drv_hyper_block_copy_end(drv_hyper *hyper, const char *uuid, const char *disk, gboolean pivot, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    g_autoptr(virDomain) domain = lease ? drv_lease_domain(lease, uuid, error) : NULL;

    if (!domain)
        return FALSE;
    if (virDomainBlockJobAbort(domain, disk, pivot ? VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT : 0) == 0)
        return TRUE;
    drv_hyper_take_error(error, "VM %s: cannot %s the copy of disk %s", virDomainGetName(domain),
                         pivot ? "go on with" : "stop", disk);
    return FALSE;
}

gboolean drv_hyper_change_definition(drv_hyper *hyper, const char *uuid, const drv_rewrite *rewrite, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    g_autoptr(virDomain) domain = lease ? drv_lease_domain(lease, uuid, error) : NULL;
    g_autoptr(virDomain) again = NULL;
    g_autofree char *changed = NULL;
    char *xml;

    if (!domain)
        return FALSE;
    if (virDomainIsPersistent(domain) != 1)
        return TRUE;
    xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_INACTIVE);
    changed = xml ? drv_rewrite_xml(rewrite, xml, FALSE, error) : NULL;
    again = changed ? virDomainDefineXML(lease->connection, changed) : NULL;
    if (!again && (!xml || changed))
        drv_hyper_take_error(error, "VM %s: cannot change its definition", virDomainGetName(domain));
    free(xml);
    return again && drv_hyper_flush_definition(virDomainGetName(again), error);
}
