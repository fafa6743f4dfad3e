/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/hyper and its tests: what Drover reads out of a domain's XML. Pure functions. */
#pragma once

#include <libxml/tree.h>

#include "hyper/hyper.h"

/**
 * drv_domain_from_xml() - name, UUID, vCPUs, memory, disks, networks and obstacles; what XML
 * does not say (state, sizes) stays zero. DRV_ERROR_INVALID. Transfer full; any thread.
 */
drv_domain *drv_domain_from_xml(const char *xml, GError **error);

/**
 * drv_domain_xml_files() - every path that the domain's disks use: sources, their
 * backing chains, and mirrors. Transfer full, of char*; NULL: not XML.
 */
GPtrArray *drv_domain_xml_files(const char *xml);

/** drv_domain_add_obstacles() - what in <domain> cannot move live, as sentences, to @obstacles. */
void drv_domain_add_obstacles(xmlNodePtr domain, GPtrArray *obstacles);

/* A little of libxml2, with GLib's ownership. */

/** drv_xml_child() - the first child element of that name; NULL also for a NULL @node. */
xmlNodePtr drv_xml_child(xmlNodePtr node, const char *name);
/** drv_xml_attr() - an attribute, or NULL. Transfer full (g_free). @node may be NULL. */
char *drv_xml_attr(xmlNodePtr node, const char *name);
/** drv_xml_text() - an element's text without surrounding white space, or NULL. Transfer full. */
char *drv_xml_text(xmlNodePtr node);
/** drv_xml_attr_is() - whether the attribute exists and has that value. */
gboolean drv_xml_attr_is(xmlNodePtr node, const char *name, const char *value);

#define DRV_XML_FOREACH_CHILD(child, parent)                                                      \
    for (xmlNodePtr child = (parent) ? (parent)->children : NULL; child; child = child->next)     \
        if (child->type == XML_ELEMENT_NODE)

/** drv_xml_is() - whether the element has that name. */
gboolean drv_xml_is(xmlNodePtr node, const char *name);
