/* SPDX-License-Identifier: Apache-2.0 */
/* Rewrites a domain's XML for another place: see rewrite.h. */
#include "hyper/rewrite.h"

#include <string.h>

#include <libxml/parser.h>

#include "hyper/domain-xml.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)

static void disk_free(gpointer data)
{
    drv_rewrite_disk *disk = data;

    g_free(disk->target);
    g_free(disk->was);
    g_free(disk->path);
    g_free(disk);
}

static void network_free(gpointer data)
{
    drv_rewrite_network *network = data;

    g_free(network->from);
    g_free(network->to);
    g_free(network);
}

drv_rewrite *drv_rewrite_new(void)
{
    drv_rewrite *rewrite = g_new0(drv_rewrite, 1);

    rewrite->disks = g_ptr_array_new_with_free_func(disk_free);
    rewrite->networks = g_ptr_array_new_with_free_func(network_free);
    return rewrite;
}

void drv_rewrite_free(drv_rewrite *rewrite)
{
    if (!rewrite)
        return;
    g_ptr_array_unref(rewrite->disks);
    g_ptr_array_unref(rewrite->networks);
    g_free(rewrite);
}

void drv_rewrite_add_disk(drv_rewrite *rewrite, const char *target, const char *path, gboolean block, gboolean flatten,
                          gboolean unmap)
{
    drv_rewrite_disk *disk = g_new0(drv_rewrite_disk, 1);

    disk->target = g_strdup(target);
    disk->path = g_strdup(path);
    disk->block = block;
    disk->flatten = flatten;
    disk->unmap = unmap;
    g_ptr_array_add(rewrite->disks, disk);
}

void drv_rewrite_add_disk_back(drv_rewrite *rewrite, const char *target, const char *was, const char *path)
{
    drv_rewrite_add_disk(rewrite, target, path, g_str_has_prefix(path, "/dev/"), FALSE, FALSE);
    ((drv_rewrite_disk *)rewrite->disks->pdata[rewrite->disks->len - 1])->was = g_strdup(was);
}

void drv_rewrite_add_network(drv_rewrite *rewrite, const char *from, const char *to)
{
    drv_rewrite_network *network = g_new0(drv_rewrite_network, 1);

    network->from = g_strdup(from);
    network->to = g_strdup(to);
    g_ptr_array_add(rewrite->networks, network);
}

gboolean drv_rewrite_is_empty(const drv_rewrite *rewrite)
{
    return !rewrite || (rewrite->disks->len == 0 && rewrite->networks->len == 0);
}

static void set(xmlNodePtr node, const char *name, const char *value)
{
    xmlSetProp(node, BAD_CAST name, BAD_CAST value);
}

static void unset(xmlNodePtr node, const char *const *names)
{
    for (; node && *names; names++)
        xmlUnsetProp(node, BAD_CAST * names);
}

static void drop(xmlNodePtr parent, const char *name)
{
    xmlNodePtr child;

    while ((child = drv_xml_child(parent, name))) {
        xmlUnlinkNode(child);
        xmlFreeNode(child);
    }
}

static void change_source(xmlNodePtr disk, const drv_rewrite_disk *change)
{
    static const char *const old[] = {"file", "dev", "pool", "volume", "mode", "index", "startupPolicy", NULL};
    xmlNodePtr source = drv_xml_child(disk, "source");

    if (!source)
        return;
    unset(source, old);
    /* A label of the old place. */
    drop(source, "seclabel");
    set(disk, "type", change->block ? "block" : "file");
    set(source, change->block ? "dev" : "file", change->path);
}

static void change_disk(xmlNodePtr disk, const drv_rewrite_disk *change, gboolean live)
{
    xmlNodePtr driver = drv_xml_child(disk, "driver");

    if (change->was && !drv_xml_attr_is(drv_xml_child(disk, "source"), "file", change->was))
        return;
    drop(disk, "mirror");
    if (change->path)
        change_source(disk, change);
    if (change->flatten) {
        drop(disk, "backingStore");
        /* The empty element says "no more of it"; a definition has nothing and libvirt looks. */
        if (live) {
            xmlNodePtr store = xmlNewNode(NULL, BAD_CAST "backingStore");
            xmlNodePtr source = drv_xml_child(disk, "source");

            if (source)
                xmlAddNextSibling(source, store);
            else
                xmlAddChild(disk, store);
        }
    }
    if (change->unmap && live && driver && !xmlHasProp(driver, BAD_CAST "detect_zeroes") &&
        !xmlHasProp(driver, BAD_CAST "discard")) {
        set(driver, "discard", "unmap");
        set(driver, "detect_zeroes", "unmap");
    }
}

static void change_interface(xmlNodePtr interface, const drv_rewrite *rewrite)
{
    static const char *const old[] = {"bridge", "network", "portid", "portgroup", NULL};
    xmlNodePtr source = drv_xml_child(interface, "source");
    g_autofree char *type = drv_xml_attr(interface, "type");
    g_autofree char *name = type ? drv_xml_attr(source, type) : NULL;
    g_autofree char *is = name ? g_strdup_printf("%s:%s", type, name) : NULL;

    for (guint i = 0; is && i < rewrite->networks->len; i++) {
        const drv_rewrite_network *change = rewrite->networks->pdata[i];
        const char *colon = strchr(change->to, ':');
        g_autofree char *kind = colon ? g_strndup(change->to, (gsize)(colon - change->to)) : NULL;

        if (!kind || !g_str_equal(change->from, is))
            continue;
        unset(source, old);
        set(interface, "type", kind);
        set(source, kind, colon + 1);
        return;
    }
}

static void change_device(xmlNodePtr device, const drv_rewrite *rewrite, gboolean live)
{
    if (drv_xml_is(device, "interface")) {
        change_interface(device, rewrite);
    } else if (drv_xml_is(device, "disk")) {
        xmlNodePtr target = drv_xml_child(device, "target");

        for (guint i = 0; i < rewrite->disks->len; i++) {
            const drv_rewrite_disk *change = rewrite->disks->pdata[i];

            if (drv_xml_attr_is(target, "dev", change->target))
                change_disk(device, change, live);
        }
    }
}

char *drv_rewrite_xml(const drv_rewrite *rewrite, const char *xml, gboolean live, GError **error)
{
    g_autoptr(xmlDoc) doc = xmlReadMemory(xml, (int)MIN(strlen(xml), G_MAXINT), "domain.xml", NULL,
                                          XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    xmlNodePtr root = doc ? xmlDocGetRootElement(doc) : NULL;
    xmlBufferPtr buffer;
    char *text = NULL;

    if (!drv_xml_is(root, "domain")) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "what libvirt gave as a domain's XML is not: %.40s…", xml);
        return NULL;
    }
    DRV_XML_FOREACH_CHILD(device, drv_xml_child(root, "devices"))
    change_device(device, rewrite, live);
    buffer = xmlBufferCreate();
    if (buffer && xmlNodeDump(buffer, doc, root, 0, 0) > 0)
        text = g_strdup((const char *)xmlBufferContent(buffer));
    xmlBufferFree(buffer);
    if (!text)
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "no memory for a domain's XML");
    return text;
}
