/* SPDX-License-Identifier: Apache-2.0 */
/* A little of libxml2, with GLib's ownership: see xml.h. */
#include "hyper/xml.h"

#include <string.h>

xmlNodePtr drv_xml_child(xmlNodePtr node, const char *name)
{
    DRV_XML_FOREACH_CHILD(child, node)
    if (drv_xml_is(child, name))
        return child;
    return NULL;
}

char *drv_xml_attr(xmlNodePtr node, const char *name)
{
    xmlChar *value = node ? xmlGetProp(node, BAD_CAST name) : NULL;
    char *copy = g_strdup((const char *)value);

    if (value)
        xmlFree(value);
    return copy;
}

char *drv_xml_text(xmlNodePtr node)
{
    xmlChar *text = node ? xmlNodeGetContent(node) : NULL;
    char *copy = g_strdup((const char *)text);

    if (text)
        xmlFree(text);
    return copy ? g_strstrip(copy) : NULL;
}

gboolean drv_xml_attr_is(xmlNodePtr node, const char *name, const char *value)
{
    g_autofree char *is = drv_xml_attr(node, name);

    return g_strcmp0(is, value) == 0;
}

gboolean drv_xml_is(xmlNodePtr node, const char *name)
{
    return node && node->type == XML_ELEMENT_NODE && xmlStrEqual(node->name, BAD_CAST name);
}
