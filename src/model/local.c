/* SPDX-License-Identifier: Apache-2.0 */
/* This node and its VMs as JSON: see local.h. */
#include "model/local.h"

#include "drv-config.h"
#include "hyper/capacity.h"
#include "hyper/domain-xml.h"
#include "hyper/domain.h"
#include "hyper/host.h"
#include "hyper/probe.h"

static json_object *strings(GPtrArray *array)
{
    json_object *list = json_object_new_array();

    for (guint i = 0; array && i < array->len; i++)
        json_object_array_add(list, json_object_new_string(array->pdata[i]));
    return list;
}

static void set_load(json_object *object, double used)
{
    if (used >= 0)
        drv_json_set(object, "cpu_used", json_object_new_double(used));
}

static json_object *pools_json(GPtrArray *pools)
{
    json_object *list = json_object_new_array();

    for (guint i = 0; i < pools->len; i++) {
        const drv_capacity_pool *pool = pools->pdata[i];
        json_object *object = json_object_new_object();

        drv_json_set_string(object, "name", pool->name);
        drv_json_set_int(object, "free_bytes", (gint64)pool->free_bytes);
        drv_json_set_bool(object, "shared", pool->shared);
        json_object_array_add(list, object);
    }
    return list;
}

static void set_capacity(drv_hyper *hyper, json_object *object)
{
    drv_capacity capacity;

    drv_hyper_capacity(hyper, &capacity);
    set_load(object, capacity.cpu_used);
    if (capacity.cpu_features)
        drv_json_set(object, "cpu_features", strings(capacity.cpu_features));
    if (capacity.networks)
        drv_json_set(object, "networks", strings(capacity.networks));
    if (capacity.pools)
        drv_json_set(object, "pools", pools_json(capacity.pools));
    drv_capacity_clear(&capacity);
}

json_object *drv_model_local_node(drv_hyper *hyper, const char *node, GError **error)
{
    drv_host_facts facts = {0};
    json_object *object;

    if (!drv_hyper_host(hyper, &facts, error))
        return NULL;
    object = json_object_new_object();
    drv_json_set_string(object, "name", node);
    drv_json_set_string(object, "hostname", facts.hostname);
    drv_json_set_string(object, "host_uuid", facts.uuid);
    drv_json_set_int(object, "cpus", facts.cpus);
    drv_json_set_string(object, "cpu_model", facts.cpu_model);
    drv_json_set_int(object, "memory_bytes", (gint64)facts.memory_bytes);
    drv_json_set_int(object, "memory_free_bytes", (gint64)facts.memory_free_bytes);
    drv_json_set_int(object, "vms", facts.domains_running);
    drv_json_set_string(object, "libvirt", facts.libvirt_version);
    drv_json_set_string(object, "qemu", facts.qemu_version);
    drv_json_set_string(object, "version", DRV_VERSION);
    drv_json_set_int(object, "clock_ms", facts.clock_real_ms);
    drv_host_facts_clear(&facts);
    set_capacity(hyper, object);
    return object;
}

static json_object *disk_json(const drv_disk *disk)
{
    json_object *object = json_object_new_object();

    drv_json_set_string(object, "target", disk->target);
    drv_json_set_string(object, "device", disk->device);
    drv_json_set_string(object, "type", disk->type);
    drv_json_set_string(object, "path", disk->source);
    drv_json_set_string(object, "format", disk->format);
    drv_json_set_bool(object, "readonly", disk->readonly);
    drv_json_set_bool(object, "shareable", disk->shareable);
    drv_json_set_int(object, "capacity_bytes", (gint64)disk->capacity_bytes);
    drv_json_set_int(object, "allocation_bytes", (gint64)disk->allocation_bytes);
    return object;
}

/* As they are written in its metadata: what they are worth is for the planner to say. */
static json_object *goals_json(GHashTable *attributes)
{
    json_object *object = json_object_new_object();
    GHashTableIter iter;
    gpointer name, value;

    if (attributes) {
        g_hash_table_iter_init(&iter, attributes);
        while (g_hash_table_iter_next(&iter, &name, &value))
            drv_json_set_string(object, name, value);
    }
    return object;
}

static json_object *domain_json(const drv_domain *domain, const char *node)
{
    json_object *object = json_object_new_object();

    drv_json_set_string(object, "name", domain->name);
    drv_json_set_string(object, "uuid", domain->uuid);
    drv_json_set_string(object, "node", node);
    drv_json_set_string(object, "state", drv_domain_state_name(domain->state));
    drv_json_set_string(object, "reason", domain->reason);
    drv_json_set_int(object, "vcpus", domain->vcpus);
    drv_json_set_int(object, "memory_bytes", (gint64)domain->memory_bytes);
    drv_json_set_bool(object, "persistent", domain->persistent);
    drv_json_set_bool(object, "busy", domain->busy);
    drv_json_set_string(object, "policy", domain->goals ? g_hash_table_lookup(domain->goals, "policy") : NULL);
    drv_json_set(object, "goals", goals_json(domain->goals));
    drv_json_set(object, "obstacles", strings(domain->obstacles));
    return object;
}

/* ---- what the planner wants to know of a VM ---- */

static const char *pool_of(GPtrArray *pools, const char *path)
{
    g_autofree char *directory = g_path_get_dirname(path);

    for (guint i = 0; pools && i < pools->len; i++) {
        const drv_capacity_pool *pool = pools->pdata[i];

        if (g_strcmp0(pool->path, directory) == 0)
            return pool->name;
    }
    return NULL;
}

/* Whether a disk is there at other hosts as well is proven when a move is planned; here it is guessed. */
static json_object *need_of_disk(const drv_disk *disk, GPtrArray *pools)
{
    json_object *object = json_object_new_object();
    drv_file_facts facts = {0};
    gboolean is_file = g_str_equal(disk->type, "file") && drv_probe_file(disk->source, &facts, NULL);

    drv_json_set_string(object, "target", disk->target);
    drv_json_set_int(object, "bytes", (gint64)facts.allocation_bytes);
    drv_json_set_bool(object, "shared", !is_file || facts.known_shared);
    if (is_file && pool_of(pools, disk->source))
        drv_json_set_string(object, "pool", pool_of(pools, disk->source));
    drv_file_facts_clear(&facts);
    return object;
}

/* Networks of other kinds (a host's device, a socket) cannot be compared by name. */
static json_object *known_networks(GPtrArray *networks)
{
    json_object *list = json_object_new_array();

    for (guint i = 0; i < networks->len; i++)
        if (g_str_has_prefix(networks->pdata[i], "bridge:") || g_str_has_prefix(networks->pdata[i], "network:"))
            json_object_array_add(list, json_object_new_string(networks->pdata[i]));
    return list;
}

static void add_needs(drv_hyper *hyper, json_object *vm, const drv_domain *domain, GPtrArray *pools)
{
    gboolean active = domain->state == DRV_DOMAIN_RUNNING || domain->state == DRV_DOMAIN_PAUSED;
    g_autoptr(GPtrArray) features = active && !domain->busy ? drv_hyper_vm_features(hyper, domain->uuid) : NULL;
    json_object *disks = json_object_new_array();

    for (guint i = 0; i < domain->disks->len; i++) {
        const drv_disk *disk = domain->disks->pdata[i];

        if (g_str_equal(disk->device, "disk") && disk->source)
            json_object_array_add(disks, need_of_disk(disk, pools));
    }
    drv_json_set(vm, "disks", disks);
    drv_json_set(vm, "networks", known_networks(domain->networks));
    if (features)
        drv_json_set(vm, "cpu_features", strings(features));
}

json_object *drv_model_local_vms(drv_hyper *hyper, const char *node, GError **error)
{
    g_autoptr(GPtrArray) domains = drv_hyper_domains(hyper, error);
    g_autoptr(GHashTable) loads = NULL;
    drv_capacity capacity;
    json_object *list;

    if (!domains)
        return NULL;
    loads = drv_hyper_vm_loads(hyper);
    drv_hyper_capacity(hyper, &capacity);
    list = json_object_new_array();
    for (guint i = 0; i < domains->len; i++) {
        const drv_domain *domain = domains->pdata[i];
        const double *used = g_hash_table_lookup(loads, domain->uuid);
        json_object *vm = domain_json(domain, node);

        set_load(vm, used ? *used : -1);
        add_needs(hyper, vm, domain, capacity.pools);
        json_object_array_add(list, vm);
    }
    drv_capacity_clear(&capacity);
    return list;
}

json_object *drv_model_local_vm(drv_hyper *hyper, const char *node, const char *uuid, GError **error)
{
    g_autoptr(drv_domain) domain = drv_hyper_domain(hyper, uuid, error);
    json_object *object, *disks;

    if (!domain)
        return NULL;
    object = domain_json(domain, node);
    disks = json_object_new_array();
    for (guint i = 0; domain->disks && i < domain->disks->len; i++)
        json_object_array_add(disks, disk_json(domain->disks->pdata[i]));
    drv_json_set(object, "disks", disks);
    drv_json_set(object, "networks", strings(domain->networks));
    drv_json_set_string(object, "owner", domain->owner);
    return object;
}
