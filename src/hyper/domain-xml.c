/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a domain's XML: what it is, its disks and its networks. */
#include "hyper/domain-xml.h"

#include <string.h>

#include <libxml/parser.h>

#include "hyper/goals.h"
#include "hyper/obstacle.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)

static xmlDocPtr parse(const char *xml, GError **error)
{
    /* No network, no entities from outside: the text comes from libvirt, yet may hold what users wrote. */
    xmlDocPtr doc = xmlReadMemory(xml, (int)MIN(strlen(xml), G_MAXINT), "domain.xml", NULL,
                                  XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);

    if (!doc || !drv_xml_is(xmlDocGetRootElement(doc), "domain")) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "what libvirt gave as a domain's XML is not: %.40s…", xml);
        xmlFreeDoc(doc);
        return NULL;
    }
    return doc;
}

/* libvirt always writes KiB; a golden file or an old definition may not. */
static guint64 memory_bytes(xmlNodePtr memory)
{
    static const struct {
        const char *unit;
        guint64 bytes;
        /* clang-format off */
    } units[] = {
        {"b", 1}, {"bytes", 1}, {"KB", 1000}, {"k", 1024}, {"KiB", 1024}, {"MB", 1000000},
        {"M", 1 << 20}, {"MiB", 1 << 20}, {"GB", 1000000000}, {"G", 1 << 30}, {"GiB", 1 << 30},
        {"TB", 1000000000000}, {"T", (guint64)1 << 40}, {"TiB", (guint64)1 << 40},
    };
    /* clang-format on */
    g_autofree char *text = drv_xml_text(memory);
    g_autofree char *unit = drv_xml_attr(memory, "unit");
    guint64 factor = 1024, value = text ? g_ascii_strtoull(text, NULL, 10) : 0;

    for (gsize i = 0; unit && i < G_N_ELEMENTS(units); i++)
        if (g_str_equal(unit, units[i].unit))
            factor = units[i].bytes;
    return value > G_MAXUINT64 / factor ? 0 : value * factor;
}

/* "nbd://host:10809/export", "nbd+unix:///export?socket=/path", "rbd://pool/image". */
static char *network_source(xmlNodePtr source)
{
    g_autofree char *protocol = drv_xml_attr(source, "protocol");
    g_autofree char *name = drv_xml_attr(source, "name");
    xmlNodePtr host = drv_xml_child(source, "host");
    g_autofree char *host_name = drv_xml_attr(host, "name");
    g_autofree char *port = drv_xml_attr(host, "port");
    g_autofree char *socket = drv_xml_attr(host, "socket");
    const char *path = name ? name : "";

    if (*path == '/')
        path++;
    if (socket)
        return g_strdup_printf("%s+unix:///%s?socket=%s", protocol ? protocol : "", path, socket);
    if (!host_name)
        return g_strdup_printf("%s://%s", protocol ? protocol : "", path);
    return g_strdup_printf("%s://%s%s%s/%s", protocol ? protocol : "", host_name, port ? ":" : "", port ? port : "",
                           path);
}

static char *disk_source(const char *type, xmlNodePtr source)
{
    if (!source)
        return NULL;
    if (g_str_equal(type, "file"))
        return drv_xml_attr(source, "file");
    if (g_str_equal(type, "block"))
        return drv_xml_attr(source, "dev");
    if (g_str_equal(type, "dir"))
        return drv_xml_attr(source, "dir");
    if (g_str_equal(type, "network"))
        return network_source(source);
    if (g_str_equal(type, "volume")) {
        g_autofree char *pool = drv_xml_attr(source, "pool");
        g_autofree char *volume = drv_xml_attr(source, "volume");
        return pool && volume ? g_strdup_printf("%s/%s", pool, volume) : NULL;
    }
    if (g_str_equal(type, "vhostuser") || g_str_equal(type, "vhostvdpa")) {
        char *path = drv_xml_attr(source, "path");
        return path ? path : drv_xml_attr(source, "dev");
    }
    if (g_str_equal(type, "nvme")) {
        g_autofree char *space = drv_xml_attr(source, "namespace");
        xmlNodePtr address = drv_xml_child(source, "address");
        g_autofree char *bus = drv_xml_attr(address, "bus");
        g_autofree char *slot = drv_xml_attr(address, "slot");
        return g_strdup_printf("nvme %s:%s namespace %s", bus ? bus : "?", slot ? slot : "?", space ? space : "?");
    }
    return NULL;
}

static void disk_free(gpointer data)
{
    drv_disk *disk = data;

    g_free(disk->target);
    g_free(disk->device);
    g_free(disk->type);
    g_free(disk->source);
    g_free(disk->format);
    g_free(disk->cache);
    g_free(disk->startup_policy);
    g_free(disk->alias);
    g_free(disk);
}

static drv_disk *read_disk(xmlNodePtr node)
{
    drv_disk *disk = g_new0(drv_disk, 1);

    disk->type = drv_xml_attr(node, "type");
    disk->device = drv_xml_attr(node, "device");
    disk->target = drv_xml_attr(drv_xml_child(node, "target"), "dev");
    disk->format = drv_xml_attr(drv_xml_child(node, "driver"), "type");
    disk->cache = drv_xml_attr(drv_xml_child(node, "driver"), "cache");
    disk->alias = drv_xml_attr(drv_xml_child(node, "alias"), "name");
    disk->startup_policy = drv_xml_attr(drv_xml_child(node, "source"), "startupPolicy");
    if (!disk->type)
        disk->type = g_strdup("file");
    if (!disk->device)
        disk->device = g_strdup("disk");
    if (!disk->target)
        disk->target = g_strdup("");
    if (!disk->format)
        disk->format = g_strdup("raw");
    disk->source = disk_source(disk->type, drv_xml_child(node, "source"));
    disk->readonly = drv_xml_child(node, "readonly") != NULL;
    disk->shareable = drv_xml_child(node, "shareable") != NULL;
    disk->encrypted = drv_xml_child(node, "encryption") || drv_xml_child(drv_xml_child(node, "source"), "encryption");
    return disk;
}

static char *read_mac(xmlNodePtr node)
{
    char *mac = drv_xml_attr(drv_xml_child(node, "mac"), "address");

    return mac ? mac : g_strdup("");
}

static char *read_network(xmlNodePtr node)
{
    static const char *const attributes[] = {"bridge", "network", "dev", "path"};
    g_autofree char *type = drv_xml_attr(node, "type");
    xmlNodePtr source = drv_xml_child(node, "source");
    g_autofree char *name = NULL;

    /* A running interface of type network also names the bridge: the network counts. */
    if (g_strcmp0(type, "network") == 0)
        name = drv_xml_attr(source, "network");
    for (gsize i = 0; !name && i < G_N_ELEMENTS(attributes); i++)
        name = drv_xml_attr(source, attributes[i]);
    if (g_strcmp0(type, "ethernet") == 0 && !name)
        name = drv_xml_attr(drv_xml_child(node, "target"), "dev");
    return name ? g_strdup_printf("%s:%s", type ? type : "?", name) : g_strdup(type ? type : "?");
}

drv_domain *drv_domain_from_xml(const char *xml, GError **error)
{
    g_autoptr(xmlDoc) doc = parse(xml, error);
    xmlNodePtr root;
    drv_domain *domain;
    g_autofree char *vcpus = NULL;
    g_autofree char *vcpus_now = NULL;

    if (!doc)
        return NULL;
    root = xmlDocGetRootElement(doc);
    domain = g_new0(drv_domain, 1);
    domain->name = drv_xml_text(drv_xml_child(root, "name"));
    domain->uuid = drv_xml_text(drv_xml_child(root, "uuid"));
    vcpus = drv_xml_text(drv_xml_child(root, "vcpu"));
    vcpus_now = drv_xml_attr(drv_xml_child(root, "vcpu"), "current");
    domain->vcpus = vcpus_now || vcpus ? (guint)g_ascii_strtoull(vcpus_now ? vcpus_now : vcpus, NULL, 10) : 1;
    domain->memory_bytes = memory_bytes(drv_xml_child(root, "memory"));
    domain->disks = g_ptr_array_new_with_free_func(disk_free);
    domain->networks = g_ptr_array_new_with_free_func(g_free);
    domain->macs = g_ptr_array_new_with_free_func(g_free);
    domain->obstacles = g_ptr_array_new_with_free_func(g_free);
    DRV_XML_FOREACH_CHILD(device, drv_xml_child(root, "devices"))
    {
        if (drv_xml_is(device, "disk"))
            g_ptr_array_add(domain->disks, read_disk(device));
        else if (drv_xml_is(device, "interface")) {
            g_ptr_array_add(domain->networks, read_network(device));
            g_ptr_array_add(domain->macs, read_mac(device));
        }
    }
    drv_domain_add_obstacles(root, domain->obstacles);
    domain->goals = drv_goals_read(root);
    domain->owner = drv_owner_read(root);
    if (!domain->name || !domain->uuid) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "a domain's XML from libvirt has no name or no UUID");
        g_clear_pointer(&domain, drv_domain_free);
    }
    return domain;
}

void drv_domain_free(drv_domain *domain)
{
    if (!domain)
        return;
    g_free(domain->name);
    g_free(domain->uuid);
    g_free(domain->reason);
    g_clear_pointer(&domain->disks, g_ptr_array_unref);
    g_clear_pointer(&domain->networks, g_ptr_array_unref);
    g_clear_pointer(&domain->macs, g_ptr_array_unref);
    g_clear_pointer(&domain->obstacles, g_ptr_array_unref);
    g_clear_pointer(&domain->goals, g_hash_table_unref);
    g_free(domain->owner);
    g_free(domain);
}

/* <source> under <disk>, <backingStore> (nested) and <mirror>. */
static void collect_files(xmlNodePtr node, GPtrArray *files)
{
    DRV_XML_FOREACH_CHILD(child, node)
    {
        if (drv_xml_is(child, "source")) {
            char *file = drv_xml_attr(child, "file");
            if (!file)
                file = drv_xml_attr(child, "dev");
            if (!file)
                file = disk_source("volume", child);
            if (file)
                g_ptr_array_add(files, file);
        }
        collect_files(child, files);
    }
}

GPtrArray *drv_domain_xml_files(const char *xml)
{
    g_autoptr(xmlDoc) doc = parse(xml, NULL);
    GPtrArray *files;

    if (!doc)
        return NULL;
    files = g_ptr_array_new_with_free_func(g_free);
    DRV_XML_FOREACH_CHILD(device, drv_xml_child(xmlDocGetRootElement(doc), "devices"))
    if (drv_xml_is(device, "disk"))
        collect_files(device, files);
    return files;
}
