/* SPDX-License-Identifier: Apache-2.0 */
/* What is true of this host: processors, memory, versions. */
#include "hyper/host.h"

#include <string.h>

#include <libxml/parser.h>
#include <libxml/xpath.h>

#include "base/clock.h"
#include "hyper/connection.h"

static char *string_at(xmlXPathContextPtr context, const char *path)
{
    xmlXPathObjectPtr found = context ? xmlXPathEvalExpression(BAD_CAST path, context) : NULL;
    char *text = found && found->stringval && *found->stringval ? g_strdup((const char *)found->stringval) : NULL;

    xmlXPathFreeObject(found);
    return text;
}

/* The model that libvirt found the processor to be like, else its architecture; and the host's UUID. */
static void read_capabilities(virConnectPtr connection, const char *arch, drv_host_facts *facts)
{
    char *xml = virConnectGetCapabilities(connection);
    xmlDocPtr doc = xml ? xmlReadMemory(xml, (int)strlen(xml), NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR) : NULL;
    xmlXPathContextPtr context = doc ? xmlXPathNewContext(doc) : NULL;

    facts->uuid = string_at(context, "string(/capabilities/host/uuid)");
    facts->cpu_model = string_at(context, "string(/capabilities/host/cpu/model)");
    if (!facts->cpu_model)
        facts->cpu_model = g_strdup(arch);
    xmlXPathFreeContext(context);
    xmlFreeDoc(doc);
    free(xml);
}

/*
 * Free, and what the kernel would give back: libvirt reads /proc/meminfo of its host. So is
 * the total: what virNodeGetInfo() says is only that of the NUMA cells it can see.
 */
static void read_memory(virConnectPtr connection, drv_host_facts *facts)
{
    int count = 0;
    guint64 free_kib = 0;

    facts->memory_free_bytes = virNodeGetFreeMemory(connection);
    if (virNodeGetMemoryStats(connection, VIR_NODE_MEMORY_STATS_ALL_CELLS, NULL, &count, 0) < 0 || count <= 0)
        return;
    g_autofree virNodeMemoryStats *stats = g_new0(virNodeMemoryStats, (gsize)count);
    if (virNodeGetMemoryStats(connection, VIR_NODE_MEMORY_STATS_ALL_CELLS, stats, &count, 0) < 0)
        return;
    for (int i = 0; i < count; i++) {
        if (g_str_equal(stats[i].field, VIR_NODE_MEMORY_STATS_TOTAL))
            facts->memory_bytes = stats[i].value * 1024;
        else if (g_str_equal(stats[i].field, VIR_NODE_MEMORY_STATS_FREE) ||
                 g_str_equal(stats[i].field, VIR_NODE_MEMORY_STATS_BUFFERS) ||
                 g_str_equal(stats[i].field, VIR_NODE_MEMORY_STATS_CACHED))
            free_kib += stats[i].value;
    }
    facts->memory_free_bytes = free_kib * 1024;
}

/* libvirt packs a version as major * 1,000,000 + minor * 1,000 + release. */
static char *version_text(unsigned long version)
{
    return version == 0 ? g_strdup("unknown")
                        : g_strdup_printf("%lu.%lu.%lu", version / 1000000, version / 1000 % 1000, version % 1000);
}

gboolean drv_hyper_host(drv_hyper *hyper, drv_host_facts *facts, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    virConnectPtr connection = lease ? lease->connection : NULL;
    unsigned long libvirt_version = 0, qemu_version = 0;
    drv_host_facts found = {0};
    virNodeInfo info;
    char *hostname;
    int running;

    if (!connection)
        return FALSE;
    if (virNodeGetInfo(connection, &info) < 0) {
        drv_hyper_take_error(error, "cannot read what this host is");
        return FALSE;
    }
    running = virConnectNumOfDomains(connection);
    if (running < 0) {
        drv_hyper_take_error(error, "cannot count this host's VMs");
        return FALSE;
    }
    /* A libvirt without QEMU answers 0 or an error: then its version is "unknown". */
    if (virConnectGetLibVersion(connection, &libvirt_version) < 0 ||
        virConnectGetVersion(connection, &qemu_version) < 0)
        virResetLastError();

    hostname = virConnectGetHostname(connection);
    found.hostname = g_strdup(hostname ? hostname : g_get_host_name());
    free(hostname);
    read_capabilities(connection, info.model, &found);
    found.cpus = info.cpus;
    found.memory_bytes = (guint64)info.memory * 1024;
    read_memory(connection, &found);
    found.libvirt_version = version_text(libvirt_version);
    found.qemu_version = version_text(qemu_version);
    found.domains_running = (guint)running;
    found.clock_real_ms = drv_clock_real_ms();
    *facts = found;
    return TRUE;
}

void drv_host_facts_clear(drv_host_facts *facts)
{
    g_free(facts->hostname);
    g_free(facts->cpu_model);
    g_free(facts->uuid);
    g_free(facts->libvirt_version);
    g_free(facts->qemu_version);
    memset(facts, 0, sizeof(*facts));
}
