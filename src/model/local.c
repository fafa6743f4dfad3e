/* SPDX-License-Identifier: Apache-2.0 */
/* This node and its VMs as JSON: see local.h. */
#include "model/local.h"

#include "drv-config.h"

json_object *drv_model_local_node(drv_hyper *hyper, const char *node, GError **error)
{
    drv_host_facts facts = {0};
    json_object *object;

    if (!drv_hyper_host(hyper, &facts, error))
        return NULL;
    object = json_object_new_object();
    drv_json_set_string(object, "name", node);
    drv_json_set_string(object, "hostname", facts.hostname);
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
    return object;
}

static json_object *strings(GPtrArray *array)
{
    json_object *list = json_object_new_array();

    for (guint i = 0; array && i < array->len; i++)
        json_object_array_add(list, json_object_new_string(array->pdata[i]));
    return list;
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
    drv_json_set_string(object, "policy",
                        domain->goals ? g_hash_table_lookup(domain->goals, "policy") : NULL);
    drv_json_set(object, "goals", goals_json(domain->goals));
    drv_json_set(object, "networks", strings(domain->networks));
    drv_json_set(object, "obstacles", strings(domain->obstacles));
    return object;
}

json_object *drv_model_local_vms(drv_hyper *hyper, const char *node, GError **error)
{
    g_autoptr(GPtrArray) domains = drv_hyper_domains(hyper, error);
    json_object *list;

    if (!domains)
        return NULL;
    list = json_object_new_array();
    for (guint i = 0; i < domains->len; i++)
        json_object_array_add(list, domain_json(domains->pdata[i], node));
    return list;
}

json_object *drv_model_local_vm(drv_hyper *hyper, const char *node, const char *name,
                                GError **error)
{
    g_autoptr(drv_domain) domain = drv_hyper_domain(hyper, name, error);
    json_object *object, *disks;

    if (!domain)
        return NULL;
    object = domain_json(domain, node);
    disks = json_object_new_array();
    for (guint i = 0; domain->disks && i < domain->disks->len; i++)
        json_object_array_add(disks, disk_json(domain->disks->pdata[i]));
    drv_json_set(object, "disks", disks);
    drv_json_set_string(object, "owner", domain->owner);
    return object;
}
