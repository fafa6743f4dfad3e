/* SPDX-License-Identifier: Apache-2.0 */
/* A little of libxml2, with GLib's ownership. */
#pragma once

#include <glib.h>
#include <libxml/tree.h>

/** drv_xml_child() - the first child element of that name; NULL also for a NULL @node. */
xmlNodePtr drv_xml_child(xmlNodePtr node, const char *name);
/** drv_xml_attr() - an attribute, or NULL. Transfer full (g_free). @node may be NULL. */
char *drv_xml_attr(xmlNodePtr node, const char *name);
/** drv_xml_text() - an element's text without surrounding white space, or NULL. Transfer full. */
char *drv_xml_text(xmlNodePtr node);
/** drv_xml_attr_is() - whether the attribute exists and has that value. */
gboolean drv_xml_attr_is(xmlNodePtr node, const char *name, const char *value);

#define DRV_XML_FOREACH_CHILD(child, parent)                                                                           \
    for (xmlNodePtr child = (parent) ? (parent)->children : NULL; child; child = child->next)                          \
        if (child->type == XML_ELEMENT_NODE)

/** drv_xml_is() - whether the element has that name. */
gboolean drv_xml_is(xmlNodePtr node, const char *name);
