/* SPDX-License-Identifier: Apache-2.0 */
/* What this host has for VMs: see capacity.h. */
#include "hyper/capacity.h"

#include <string.h>

#include "hyper/connection.h"
#include "hyper/load.h"
#include "hyper/machine-xml.h"
#include "hyper/machine.h"
#include "hyper/xml.h"

/* How often a VM's CPU is looked at. */
#define FEATURES_AGE_US (60 * G_USEC_PER_SEC)

static void pool_free(gpointer data)
{
    drv_capacity_pool *pool = data;

    g_free(pool->name);
    g_free(pool->path);
    g_free(pool);
}

void drv_capacity_clear(drv_capacity *capacity)
{
    g_clear_pointer(&capacity->cpu_features, g_ptr_array_unref);
    g_clear_pointer(&capacity->networks, g_ptr_array_unref);
    g_clear_pointer(&capacity->pools, g_ptr_array_unref);
}

/* ---- processors ---- */

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GPtrArray *drv_cpu_features(const char *xml)
{
    xmlDocPtr doc =
        xmlReadMemory(xml, (int)strlen(xml), NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    xmlNodePtr root = doc ? xmlDocGetRootElement(doc) : NULL;
    GPtrArray *names = NULL;

    if (root && drv_xml_is(root, "cpu")) {
        names = g_ptr_array_new_with_free_func(g_free);
        DRV_XML_FOREACH_CHILD(feature, root)
        if (drv_xml_is(feature, "feature") && !drv_xml_attr_is(feature, "policy", "disable") &&
            !drv_xml_attr_is(feature, "policy", "forbid")) {
            char *name = drv_xml_attr(feature, "name");

            if (name)
                g_ptr_array_add(names, name);
        }
        g_ptr_array_sort(names, by_name);
    }
    xmlFreeDoc(doc);
    return names;
}

/* All that the model stands for, by name. */
static GPtrArray *expand(virConnectPtr connection, const drv_machine *as, const char *cpu)
{
    const char *list[] = {cpu};
    char *xml = virConnectBaselineHypervisorCPU(connection, as ? as->emulator : NULL, as ? as->arch : NULL,
                                                as ? as->type : NULL, as ? as->virt_type : NULL, list, 1,
                                                VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES);
    GPtrArray *names = xml ? drv_cpu_features(xml) : NULL;

    free(xml);
    virResetLastError();
    return names;
}

static GPtrArray *host_features(virConnectPtr connection)
{
    char *xml = virConnectGetDomainCapabilities(connection, NULL, NULL, NULL, NULL, 0);
    g_autofree char *cpu = xml ? drv_cpu_from_capabilities(xml) : NULL;

    free(xml);
    virResetLastError();
    return cpu ? expand(connection, NULL, cpu) : NULL;
}

/* What the host lacks as well the guest never had. */
static void keep_common(GPtrArray *names, GPtrArray *host)
{
    for (guint i = names->len; i-- > 0;)
        if (!host || !bsearch(&names->pdata[i], host->pdata, host->len, sizeof host->pdata[0], by_name))
            g_ptr_array_remove_index(names, i);
}

static GPtrArray *vm_features(drv_hyper *hyper, const char *uuid)
{
    g_autoptr(drv_machine) machine = drv_hyper_machine(hyper, uuid, NULL);
    g_autoptr(drv_lease) lease = machine && machine->cpu ? drv_hyper_lease(hyper, NULL) : NULL;
    g_autoptr(GPtrArray) host = NULL;
    GPtrArray *names;

    if (!lease)
        return NULL;
    names = expand(lease->connection, machine, machine->cpu);
    if (!names)
        return NULL;
    host = host_features(lease->connection);
    keep_common(names, host);
    return names;
}

static GPtrArray *copy_names(GPtrArray *names)
{
    GPtrArray *copy = names ? g_ptr_array_new_with_free_func(g_free) : NULL;

    for (guint i = 0; names && i < names->len; i++)
        g_ptr_array_add(copy, g_strdup(names->pdata[i]));
    return copy;
}

GPtrArray *drv_hyper_vm_features(drv_hyper *hyper, const char *uuid)
{
    gint64 now_us = g_get_monotonic_time();
    g_autoptr(GPtrArray) names = NULL;

    if (drv_load_remembered(drv_hyper_load(hyper), uuid, now_us - FEATURES_AGE_US, &names))
        return copy_names(names);
    names = vm_features(hyper, uuid);
    drv_load_remember(drv_hyper_load(hyper), uuid, now_us, copy_names(names));
    return g_steal_pointer(&names);
}

/* ---- the host ---- */

static double host_used(drv_hyper *hyper, virConnectPtr connection)
{
    int count = 0;
    guint64 used_ns = 0;

    if (virNodeGetCPUStats(connection, VIR_NODE_CPU_STATS_ALL_CPUS, NULL, &count, 0) < 0 || count <= 0)
        return -1;
    g_autofree virNodeCPUStats *stats = g_new0(virNodeCPUStats, (gsize)count);
    if (virNodeGetCPUStats(connection, VIR_NODE_CPU_STATS_ALL_CPUS, stats, &count, 0) < 0)
        return -1;
    for (int i = 0; i < count; i++)
        if (g_str_equal(stats[i].field, VIR_NODE_CPU_STATS_USER) ||
            g_str_equal(stats[i].field, VIR_NODE_CPU_STATS_KERNEL))
            used_ns += stats[i].value;
    return drv_load_rate(drv_hyper_load(hyper), "", used_ns, g_get_monotonic_time());
}

static void add_bridges(GPtrArray *networks)
{
    g_autoptr(GDir) devices = g_dir_open("/sys/class/net", 0, NULL);
    const char *name;

    while (devices && (name = g_dir_read_name(devices))) {
        g_autofree char *path = g_build_filename("/sys/class/net", name, "bridge", NULL);

        if (g_file_test(path, G_FILE_TEST_IS_DIR))
            g_ptr_array_add(networks, g_strconcat("bridge:", name, NULL));
    }
}

static GPtrArray *read_networks(virConnectPtr connection)
{
    virNetworkPtr *list = NULL;
    int count = virConnectListAllNetworks(connection, &list, VIR_CONNECT_LIST_NETWORKS_ACTIVE);
    GPtrArray *networks;

    if (count < 0) {
        virResetLastError();
        return NULL;
    }
    networks = g_ptr_array_new_with_free_func(g_free);
    for (int i = 0; i < count; i++) {
        g_ptr_array_add(networks, g_strconcat("network:", virNetworkGetName(list[i]), NULL));
        virNetworkFree(list[i]);
    }
    free(list);
    add_bridges(networks);
    return networks;
}

static void read_pool_xml(virStoragePoolPtr pool, drv_capacity_pool *into)
{
    static const char *const local[] = {"dir", "fs", "logical", "disk", "zfs", NULL};
    char *xml = virStoragePoolGetXMLDesc(pool, 0);
    xmlDocPtr doc = xml ? xmlReadMemory(xml, (int)strlen(xml), NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR) : NULL;
    xmlNodePtr root = doc ? xmlDocGetRootElement(doc) : NULL;
    g_autofree char *type = root ? drv_xml_attr(root, "type") : NULL;

    into->shared = type && !g_strv_contains(local, type);
    into->path = root ? drv_xml_text(drv_xml_child(drv_xml_child(root, "target"), "path")) : NULL;
    xmlFreeDoc(doc);
    free(xml);
}

static GPtrArray *read_pools(virConnectPtr connection)
{
    virStoragePoolPtr *list = NULL;
    int count = virConnectListAllStoragePools(connection, &list, VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE);
    GPtrArray *pools;

    if (count < 0) {
        virResetLastError();
        return NULL;
    }
    pools = g_ptr_array_new_with_free_func(pool_free);
    for (int i = 0; i < count; i++) {
        virStoragePoolInfo info;

        if (virStoragePoolGetInfo(list[i], &info) == 0) {
            drv_capacity_pool *pool = g_new0(drv_capacity_pool, 1);

            pool->name = g_strdup(virStoragePoolGetName(list[i]));
            pool->free_bytes = info.available;
            read_pool_xml(list[i], pool);
            g_ptr_array_add(pools, pool);
        }
        virStoragePoolFree(list[i]);
    }
    free(list);
    virResetLastError();
    return pools;
}

void drv_hyper_capacity(drv_hyper *hyper, drv_capacity *capacity)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, NULL);

    *capacity = (drv_capacity){.cpu_used = -1};
    if (!lease)
        return;
    capacity->cpu_features = host_features(lease->connection);
    capacity->networks = read_networks(lease->connection);
    capacity->pools = read_pools(lease->connection);
    capacity->cpu_used = host_used(hyper, lease->connection);
}

/* ---- VMs ---- */

/* virDomainGetInfo() asks no QEMU: one that answers nobody must not keep lists waiting. */
GHashTable *drv_hyper_vm_loads(drv_hyper *hyper)
{
    GHashTable *loads = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, NULL);
    virDomainPtr *domains = NULL;
    gint64 now_us = g_get_monotonic_time();
    int count;

    if (!lease)
        return loads;
    count = virConnectListAllDomains(lease->connection, &domains, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
    for (int i = 0; i < count; i++) {
        char uuid[VIR_UUID_STRING_BUFLEN];
        virDomainInfo info;
        double rate;

        if (virDomainGetUUIDString(domains[i], uuid) == 0 && virDomainGetInfo(domains[i], &info) == 0 &&
            (rate = drv_load_rate(drv_hyper_load(hyper), uuid, info.cpuTime, now_us)) >= 0)
            g_hash_table_insert(loads, g_strdup(uuid), g_memdup2(&rate, sizeof rate));
        virDomainFree(domains[i]);
    }
    free(domains);
    virResetLastError();
    return loads;
}
