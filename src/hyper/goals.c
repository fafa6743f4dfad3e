/* SPDX-License-Identifier: Apache-2.0 */
/* The goals in a VM's metadata: see goals.h. */
#include "hyper/goals.h"

#include "hyper/connection.h"
#include "hyper/xml.h"

/* libvirt puts it before the names: <drover:goals xmlns:drover="…">. */
#define PREFIX "drover"

GHashTable *drv_goals_read(xmlNodePtr domain)
{
    DRV_XML_FOREACH_CHILD(element, drv_xml_child(domain, "metadata"))
    {
        GHashTable *attributes;

        if (!drv_xml_is(element, "goals") || !element->ns ||
            !xmlStrEqual(element->ns->href, BAD_CAST DRV_GOALS_NAMESPACE))
            continue;
        attributes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        for (xmlAttrPtr one = element->properties; one; one = one->next)
            if (!one->ns)
                g_hash_table_replace(attributes, g_strdup((const char *)one->name),
                                     drv_xml_attr(element, (const char *)one->name));
        return attributes;
    }
    return NULL;
}

char *drv_goals_element(GHashTable *attributes)
{
    GString *text = g_string_new("<goals");
    g_autoptr(GList) names = g_list_sort(g_hash_table_get_keys(attributes), (GCompareFunc)g_strcmp0);

    for (GList *at = names; at; at = at->next) {
        g_autofree char *value = g_markup_escape_text(g_hash_table_lookup(attributes, at->data), -1);

        g_string_append_printf(text, " %s=\"%s\"", (const char *)at->data, value);
    }
    g_string_append(text, "/>");
    return g_string_free(text, FALSE);
}

char *drv_owner_read(xmlNodePtr domain)
{
    DRV_XML_FOREACH_CHILD(element, drv_xml_child(domain, "metadata"))
    {
        if (drv_xml_is(element, "owner") && element->ns && xmlStrEqual(element->ns->href, BAD_CAST DRV_OWNER_NAMESPACE))
            return drv_xml_attr(element, "name");
    }
    return NULL;
}

/* Of the running VM and of its definition. @element: NULL removes it. */
static gboolean set_metadata(drv_hyper *hyper, const char *uuid, const char *space, const char *element,
                             const char *what, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    g_autoptr(virDomain) domain = lease ? drv_lease_domain(lease, uuid, error) : NULL;
    int active, persistent;
    unsigned flags;

    if (!domain)
        return FALSE;
    active = virDomainIsActive(domain);
    persistent = active < 0 ? -1 : virDomainIsPersistent(domain);
    if (persistent < 0) {
        drv_hyper_take_error(error, "cannot read VM %s", virDomainGetName(domain));
        return FALSE;
    }
    flags = (active ? VIR_DOMAIN_AFFECT_LIVE : 0) | (persistent ? VIR_DOMAIN_AFFECT_CONFIG : 0);
    if (virDomainSetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, element, element ? PREFIX : NULL, space, flags) == 0)
        return TRUE;
    drv_hyper_take_error(error, "cannot write the %s of VM %s into its metadata", what, virDomainGetName(domain));
    return FALSE;
}

gboolean drv_hyper_set_goals(drv_hyper *hyper, const char *uuid, GHashTable *attributes, GError **error)
{
    g_autofree char *element = attributes ? drv_goals_element(attributes) : NULL;

    return set_metadata(hyper, uuid, DRV_GOALS_NAMESPACE, element, "goals", error);
}

gboolean drv_hyper_set_owner(drv_hyper *hyper, const char *uuid, const char *owner, GError **error)
{
    g_autofree char *element = owner ? g_markup_printf_escaped("<owner name=\"%s\"/>", owner) : NULL;

    return set_metadata(hyper, uuid, DRV_OWNER_NAMESPACE, element, "owner", error);
}
