/* SPDX-License-Identifier: Apache-2.0 */
/* The fleet as JSON: see fleet-json.h. */
#include "model/fleet-json.h"

#include <string.h>

static const char *const maintenance_names[] = {
    [DRV_MAINTENANCE_NONE] = "none",
    [DRV_MAINTENANCE_DRAINING] = "draining",
    [DRV_MAINTENANCE_DRAINED] = "drained",
};

/* ---- in ---- */

/*
 * More than any host, disk or link has (4 PiB), and so little that thousands of them can be added up: what says
 * more is taken for that.
 */
#define AMOUNT_MOST (G_GINT64_CONSTANT(1) << 52)

static guint64 unsigned_of(json_object *object, const char *key)
{
    return (guint64)CLAMP(drv_json_int(object, key, 0), 0, AMOUNT_MOST);
}

static guint small_of(json_object *object, const char *key)
{
    return (guint)CLAMP(drv_json_int(object, key, 0), 0, G_MAXINT);
}

/* NULL: there is no such array, so it is not known. */
static const drv_names *names_of(drv_names_pool *pool, json_object *object, const char *key)
{
    json_object *array = drv_json_array(object, key);
    g_autoptr(GPtrArray) names = NULL;

    if (!array)
        return NULL;
    names = g_ptr_array_sized_new((guint)drv_json_length(array));
    for (gsize i = 0; i < drv_json_length(array); i++) {
        json_object *one = json_object_array_get_idx(array, i);

        if (json_object_is_type(one, json_type_string))
            g_ptr_array_add(names, (gpointer)json_object_get_string(one));
    }
    return drv_names_get(pool, (const char *const *)names->pdata, names->len);
}

/* {"rack": "7"} as "rack=7". */
static const drv_names *labels_of(drv_names_pool *pool, json_object *object, const char *key)
{
    json_object *labels = drv_json_object(object, key);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

    if (!labels)
        return NULL;
    json_object_object_foreach(labels, name, value)
    {
        if (json_object_is_type(value, json_type_string))
            g_ptr_array_add(names, g_strconcat(name, "=", json_object_get_string(value), NULL));
    }
    return drv_names_get(pool, (const char *const *)names->pdata, names->len);
}

void drv_fleet_node_from_json(drv_fleet *fleet, drv_fleet_node *node, json_object *object)
{
    json_object *pools = drv_json_array(object, "pools");
    const char *maintenance = drv_json_string(object, "maintenance", "none");

    node->up = g_str_equal(drv_json_string(object, "state", "up"), "up");
    node->since_ms = drv_json_int(object, "since_ms", 0);
    node->error = drv_fleet_text(fleet, drv_json_string(object, "error", NULL));
    node->off = g_str_equal(drv_json_string(object, "power", "on"), "off");
    for (guint i = 0; i < G_N_ELEMENTS(maintenance_names); i++)
        if (g_str_equal(maintenance, maintenance_names[i]))
            node->maintenance = (drv_maintenance)i;
    node->cpus = small_of(object, "cpus");
    node->cpu_used = drv_json_double(object, "cpu_used", DRV_FLEET_UNKNOWN);
    node->memory_bytes = unsigned_of(object, "memory_bytes");
    node->memory_free_bytes = unsigned_of(object, "memory_free_bytes");
    node->relay_bytes = unsigned_of(object, "relay_memory_bytes");
    node->relay_left_bytes = unsigned_of(object, "relay_memory_left_bytes");
    node->cpu_model = drv_fleet_text(fleet, drv_json_string(object, "cpu_model", NULL));
    node->cpu_features = names_of(fleet->features, object, "cpu_features");
    node->networks = names_of(fleet->networks, object, "networks");
    node->labels = labels_of(fleet->labels, object, "labels");
    node->site = drv_fleet_text(fleet, drv_json_string(object, "site", NULL));
    node->pool_count = (guint)drv_json_length(pools);
    node->pools = node->pool_count ? g_new0(drv_fleet_pool, node->pool_count) : NULL;
    for (guint i = 0; i < node->pool_count; i++) {
        json_object *pool = json_object_array_get_idx(pools, i);

        node->pools[i].name = drv_fleet_text(fleet, drv_json_string(pool, "name", "?"));
        node->pools[i].free_bytes = unsigned_of(pool, "free_bytes");
        node->pools[i].shared = drv_json_bool(pool, "shared");
    }
}

void drv_fleet_rules_from_json(drv_fleet *fleet, drv_fleet_vm *vm, json_object *object)
{
    vm->priority = (int)CLAMP(drv_json_int(object, "priority", 0), G_MININT / 2, G_MAXINT / 2);
    vm->depends_on = names_of(fleet->others, object, "depends_on");
    vm->apart = names_of(fleet->apart, object, "apart");
    vm->together = names_of(fleet->together, object, "together");
    vm->node_labels = labels_of(fleet->labels, object, "node_labels");
}

/* An obstacle is one sentence: what is in the way; what to do. */
static const char *first_text(json_object *array)
{
    json_object *first = drv_json_length(array) ? json_object_array_get_idx(array, 0) : NULL;

    return json_object_is_type(first, json_type_string) ? json_object_get_string(first) : NULL;
}

drv_fleet_vm *drv_fleet_vm_from_json(drv_fleet *fleet, drv_fleet_node *node, json_object *object)
{
    json_object *disks = drv_json_array(object, "disks");
    drv_fleet_vm *vm = drv_fleet_add_vm(fleet, node, drv_json_string(object, "name", ""),
                                        drv_json_string(object, "uuid", ""), drv_json_string(object, "state", ""),
                                        unsigned_of(object, "memory_bytes"), drv_json_bool(object, "arriving"));

    vm->vcpus = small_of(object, "vcpus");
    vm->cpu_used = drv_json_double(object, "cpu_used", DRV_FLEET_UNKNOWN);
    vm->dirty_bps = CLAMP(drv_json_int(object, "dirty_bps", -1), -1, AMOUNT_MOST);
    vm->networks = names_of(fleet->networks, object, "networks");
    vm->cpu_features = names_of(fleet->features, object, "cpu_features");
    vm->obstacle = drv_fleet_text(fleet, first_text(drv_json_array(object, "obstacles")));
    if (drv_json_string(object, "job", NULL))
        vm->busy = drv_fleet_text(fleet, drv_json_string(object, "job", NULL));
    else if (drv_json_bool(object, "busy"))
        vm->busy = "libvirt";
    vm->disk_count = (guint)drv_json_length(disks);
    vm->disks = vm->disk_count ? g_new0(drv_fleet_disk, vm->disk_count) : NULL;
    for (guint i = 0; i < vm->disk_count; i++) {
        json_object *disk = json_object_array_get_idx(disks, i);

        vm->disks[i].target = drv_fleet_text(fleet, drv_json_string(disk, "target", "?"));
        vm->disks[i].pool = drv_fleet_text(fleet, drv_json_string(disk, "pool", NULL));
        vm->disks[i].bytes = unsigned_of(disk, "bytes");
        vm->disks[i].shared = drv_json_bool(disk, "shared");
    }
    vm->expects = json_object_get(drv_json_object(object, "expects"));
    vm->goals = json_object_get(drv_json_object(object, "goals"));
    drv_fleet_rules_from_json(fleet, vm, object);
    return vm;
}

void drv_fleet_links_from_json(drv_fleet *fleet, json_object *links)
{
    for (gsize i = 0; i < drv_json_length(links); i++) {
        json_object *object = json_object_array_get_idx(links, i);
        const drv_fleet_link link = {.from = drv_fleet_find_node(fleet, drv_json_string(object, "from", "")),
                                     .to = drv_fleet_find_node(fleet, drv_json_string(object, "to", "")),
                                     .rate_bps = unsigned_of(object, "rate_bps"),
                                     .rtt_us = unsigned_of(object, "rtt_us"),
                                     .measured_ms = drv_json_int(object, "measured_ms", 0)};

        if (link.from && link.to)
            drv_fleet_add_link(fleet, &link);
    }
}

void drv_fleet_promises_from_json(drv_fleet *fleet, json_object *promises)
{
    for (gsize i = 0; i < drv_json_length(promises); i++) {
        json_object *promise = json_object_array_get_idx(promises, i);
        drv_fleet_node *node = drv_fleet_find_node(fleet, drv_json_string(promise, "node", ""));
        const char *by = drv_json_string(promise, "by", "another plan");
        gboolean is_there = FALSE;

        for (drv_fleet_vm *vm = drv_fleet_with_uuid(fleet, drv_json_string(promise, "uuid", "?")); vm;
             vm = vm->same_uuid) {
            is_there |= vm->on == node;
            if (!vm->busy)
                vm->busy = drv_fleet_text(fleet, by);
        }
        if (node && !is_there)
            node->promised_bytes += unsigned_of(promise, "memory_bytes");
    }
}

static gboolean add_nodes(drv_fleet *fleet, json_object *nodes, GError **error)
{
    for (gsize i = 0; i < drv_json_length(nodes); i++) {
        json_object *object = json_object_array_get_idx(nodes, i);
        const char *name = drv_json_string(object, "name", NULL);

        if (!name || drv_fleet_find_node(fleet, name)) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                        name ? "the fleet has two nodes called %s: rename one"
                             : "node %s of the fleet has no name: give it a \"name\"",
                        name ? name : json_object_to_json_string(object));
            return FALSE;
        }
        drv_fleet_node_from_json(fleet, drv_fleet_add_node(fleet, name), object);
    }
    return TRUE;
}

drv_fleet *drv_fleet_from_json(json_object *object, GError **error)
{
    g_autoptr(drv_fleet) fleet = drv_fleet_new();
    json_object *nodes = drv_json_array(object, "nodes");
    json_object *vms = drv_json_array(object, "vms");

    if (!nodes) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "this is no fleet: it has no \"nodes\" (docs/planner.rst says what a fleet has)");
        return NULL;
    }
    fleet->taken_ms = drv_json_int(object, "taken_ms", 0);
    if (!add_nodes(fleet, nodes, error))
        return NULL;
    for (gsize i = 0; i < drv_json_length(vms); i++) {
        json_object *vm = json_object_array_get_idx(vms, i);
        const char *name = drv_json_string(vm, "node", "");
        drv_fleet_node *node = drv_fleet_find_node(fleet, name);

        if (!node) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                        "VM %s of the fleet is on node '%s', which the fleet does not have",
                        drv_json_string(vm, "name", "?"), name);
            return NULL;
        }
        drv_fleet_vm_from_json(fleet, node, vm);
    }
    drv_fleet_links_from_json(fleet, drv_json_array(object, "links"));
    drv_fleet_promises_from_json(fleet, drv_json_array(object, "promises"));
    return g_steal_pointer(&fleet);
}

drv_fleet *drv_fleet_load(const char *path, GError **error)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) problem = NULL;
    g_autoptr(json_object) object = NULL;

    if (!g_file_get_contents(path, &text, NULL, &problem)) {
        g_set_error(error, DRV_ERROR,
                    g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_NOENT) ? DRV_ERROR_NOT_FOUND : DRV_ERROR_FAILED,
                    "cannot read a fleet: %s", problem->message);
        return NULL;
    }
    object = drv_json_parse(text, path, error);
    return object ? drv_fleet_from_json(object, error) : NULL;
}

/* ---- out ---- */

static void set_names(json_object *object, const char *key, const drv_names *names)
{
    json_object *array;

    if (!names)
        return;
    array = json_object_new_array_ext((int)names->count);
    for (guint i = 0; i < names->count; i++)
        json_object_array_add(array, json_object_new_string(drv_names_text(names->pool, names->ids[i])));
    drv_json_set(object, key, array);
}

static void set_labels(json_object *object, const char *key, const drv_names *labels)
{
    json_object *into;

    if (!labels)
        return;
    into = json_object_new_object();
    for (guint i = 0; i < labels->count; i++) {
        const char *text = drv_names_text(labels->pool, labels->ids[i]);
        const char *equals = strchr(text, '=');
        g_autofree char *name = g_strndup(text, equals ? (gsize)(equals - text) : strlen(text));

        drv_json_set_string(into, name, equals ? equals + 1 : "");
    }
    drv_json_set(object, key, into);
}

static void set_known(json_object *object, const char *key, const char *text)
{
    if (text)
        drv_json_set_string(object, key, text);
}

static void set_load(json_object *object, double used)
{
    if (used >= 0)
        drv_json_set(object, "cpu_used", json_object_new_double(used));
}

static json_object *node_json(const drv_fleet_node *node)
{
    json_object *object = json_object_new_object();
    json_object *pools;

    drv_json_set_string(object, "name", node->name);
    drv_json_set_string(object, "state", node->up ? "up" : "lost");
    if (node->since_ms)
        drv_json_set_int(object, "since_ms", node->since_ms);
    set_known(object, "error", node->error);
    drv_json_set_string(object, "power", node->off ? "off" : "on");
    drv_json_set_string(object, "maintenance", maintenance_names[node->maintenance]);
    drv_json_set_int(object, "cpus", node->cpus);
    set_load(object, node->cpu_used);
    drv_json_set_int(object, "memory_bytes", (gint64)node->memory_bytes);
    drv_json_set_int(object, "memory_free_bytes", (gint64)node->memory_free_bytes);
    if (node->relay_bytes) {
        drv_json_set_int(object, "relay_memory_bytes", (gint64)node->relay_bytes);
        drv_json_set_int(object, "relay_memory_left_bytes", (gint64)node->relay_left_bytes);
    }
    set_known(object, "cpu_model", node->cpu_model);
    set_names(object, "cpu_features", node->cpu_features);
    set_names(object, "networks", node->networks);
    set_labels(object, "labels", node->labels);
    set_known(object, "site", node->site);
    if (!node->pools)
        return object;
    pools = json_object_new_array();
    for (guint i = 0; i < node->pool_count; i++) {
        json_object *pool = json_object_new_object();

        drv_json_set_string(pool, "name", node->pools[i].name);
        drv_json_set_int(pool, "free_bytes", (gint64)node->pools[i].free_bytes);
        drv_json_set_bool(pool, "shared", node->pools[i].shared);
        json_object_array_add(pools, pool);
    }
    drv_json_set(object, "pools", pools);
    return object;
}

static json_object *vm_json(const drv_fleet_vm *vm)
{
    json_object *object = json_object_new_object();
    json_object *disks;

    drv_json_set_string(object, "name", vm->name);
    drv_json_set_string(object, "uuid", vm->uuid);
    drv_json_set_string(object, "node", vm->node);
    drv_json_set_string(object, "state", vm->state);
    if (vm->arriving)
        drv_json_set_bool(object, "arriving", TRUE);
    drv_json_set_int(object, "vcpus", vm->vcpus);
    drv_json_set_int(object, "memory_bytes", (gint64)vm->memory_bytes);
    set_load(object, vm->cpu_used);
    if (vm->dirty_bps >= 0)
        drv_json_set_int(object, "dirty_bps", vm->dirty_bps);
    set_names(object, "networks", vm->networks);
    set_names(object, "cpu_features", vm->cpu_features);
    set_known(object, "job", vm->busy);
    if (vm->obstacle) {
        json_object *list = json_object_new_array();

        json_object_array_add(list, json_object_new_string(vm->obstacle));
        drv_json_set(object, "obstacles", list);
    }
    if (vm->priority)
        drv_json_set_int(object, "priority", vm->priority);
    set_names(object, "depends_on", vm->depends_on);
    set_names(object, "apart", vm->apart);
    set_names(object, "together", vm->together);
    set_labels(object, "node_labels", vm->node_labels);
    if (vm->goals)
        drv_json_set(object, "goals", json_object_get(vm->goals));
    if (vm->expects)
        drv_json_set(object, "expects", json_object_get(vm->expects));
    if (!vm->disks)
        return object;
    disks = json_object_new_array();
    for (guint i = 0; i < vm->disk_count; i++) {
        json_object *disk = json_object_new_object();

        drv_json_set_string(disk, "target", vm->disks[i].target);
        drv_json_set_int(disk, "bytes", (gint64)vm->disks[i].bytes);
        drv_json_set_bool(disk, "shared", vm->disks[i].shared);
        set_known(disk, "pool", vm->disks[i].pool);
        json_object_array_add(disks, disk);
    }
    drv_json_set(object, "disks", disks);
    return object;
}

json_object *drv_fleet_to_json(const drv_fleet *fleet)
{
    json_object *object = json_object_new_object();
    json_object *nodes = json_object_new_array(), *vms = json_object_new_array();
    json_object *links = json_object_new_array(), *promises = json_object_new_array();

    for (guint i = 0; i < fleet->nodes->len; i++) {
        const drv_fleet_node *node = fleet->nodes->pdata[i];

        json_object_array_add(nodes, node_json(node));
        if (node->promised_bytes) {
            json_object *promise = json_object_new_object();

            drv_json_set_string(promise, "node", node->name);
            drv_json_set_int(promise, "memory_bytes", (gint64)node->promised_bytes);
            json_object_array_add(promises, promise);
        }
    }
    for (guint i = 0; i < fleet->vms->len; i++)
        json_object_array_add(vms, vm_json(fleet->vms->pdata[i]));
    for (guint i = 0; i < fleet->links->len; i++) {
        const drv_fleet_link *link = fleet->links->pdata[i];
        json_object *entry = json_object_new_object();

        drv_json_set_string(entry, "from", link->from->name);
        drv_json_set_string(entry, "to", link->to->name);
        drv_json_set_int(entry, "rate_bps", (gint64)link->rate_bps);
        drv_json_set_int(entry, "rtt_us", (gint64)link->rtt_us);
        drv_json_set_int(entry, "measured_ms", link->measured_ms);
        json_object_array_add(links, entry);
    }
    drv_json_set_int(object, "taken_ms", fleet->taken_ms);
    drv_json_set(object, "nodes", nodes);
    drv_json_set(object, "vms", vms);
    drv_json_set(object, "links", links);
    drv_json_set(object, "promises", promises);
    return object;
}
