/* SPDX-License-Identifier: Apache-2.0 */
/* The fleet at one instant: see fleet.h. */
#include "model/fleet.h"

#include "model/fleet-json.h"

static void node_free(gpointer data)
{
    drv_fleet_node *node = data;

    g_free(node->pools);
    g_free(node);
}

static void vm_free(gpointer data)
{
    drv_fleet_vm *vm = data;

    g_free(vm->disks);
    json_object_put(vm->expects);
    json_object_put(vm->goals);
    g_free(vm);
}

static guint ends_hash(gconstpointer key)
{
    const drv_fleet_link *link = key;

    return link->from->index * 2654435761U ^ link->to->index;
}

static gboolean ends_equal(gconstpointer a, gconstpointer b)
{
    const drv_fleet_link *left = a, *right = b;

    return left->from == right->from && left->to == right->to;
}

static guint nocase_hash(gconstpointer key)
{
    guint hash = 5381;

    for (const char *at = key; *at; at++)
        hash = hash * 33 + (guint)g_ascii_tolower(*at);
    return hash;
}

static gboolean nocase_equal(gconstpointer a, gconstpointer b)
{
    return g_ascii_strcasecmp(a, b) == 0;
}

drv_fleet *drv_fleet_new(void)
{
    drv_fleet *fleet = g_new0(drv_fleet, 1);

    fleet->nodes = g_ptr_array_new_with_free_func(node_free);
    fleet->vms = g_ptr_array_new_with_free_func(vm_free);
    fleet->links = g_ptr_array_new_with_free_func(g_free);
    fleet->warnings = g_ptr_array_new_with_free_func(g_free);
    fleet->texts = g_string_chunk_new(4096);
    fleet->features = drv_names_pool_new();
    fleet->networks = drv_names_pool_new();
    fleet->labels = drv_names_pool_new();
    fleet->apart = drv_names_pool_new();
    fleet->together = drv_names_pool_new();
    fleet->others = drv_names_pool_new();
    fleet->by_node = g_hash_table_new(g_str_hash, g_str_equal);
    fleet->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    fleet->by_uuid = g_hash_table_new(nocase_hash, nocase_equal);
    fleet->by_ends = g_hash_table_new(ends_hash, ends_equal);
    return fleet;
}

void drv_fleet_free(drv_fleet *fleet)
{
    if (!fleet)
        return;
    g_hash_table_unref(fleet->by_ends);
    g_hash_table_unref(fleet->by_uuid);
    g_hash_table_unref(fleet->by_name);
    g_hash_table_unref(fleet->by_node);
    g_ptr_array_unref(fleet->warnings);
    g_ptr_array_unref(fleet->links);
    g_ptr_array_unref(fleet->vms);
    g_ptr_array_unref(fleet->nodes);
    drv_names_pool_free(fleet->others);
    drv_names_pool_free(fleet->together);
    drv_names_pool_free(fleet->apart);
    drv_names_pool_free(fleet->labels);
    drv_names_pool_free(fleet->networks);
    drv_names_pool_free(fleet->features);
    g_string_chunk_free(fleet->texts);
    g_free(fleet);
}

const char *drv_fleet_text(drv_fleet *fleet, const char *text)
{
    return text ? g_string_chunk_insert_const(fleet->texts, text) : NULL;
}

drv_fleet_node *drv_fleet_add_node(drv_fleet *fleet, const char *name)
{
    drv_fleet_node *node = g_new0(drv_fleet_node, 1);

    node->name = drv_fleet_text(fleet, name);
    node->index = fleet->nodes->len;
    node->cpu_used = DRV_FLEET_UNKNOWN;
    g_ptr_array_add(fleet->nodes, node);
    if (!g_hash_table_contains(fleet->by_node, name))
        g_hash_table_insert(fleet->by_node, (gpointer)node->name, node);
    return node;
}

drv_fleet_vm *drv_fleet_add_vm(drv_fleet *fleet, drv_fleet_node *node, const char *name, const char *uuid,
                               const char *state, guint64 memory_bytes, gboolean arriving)
{
    drv_fleet_vm *vm = g_new0(drv_fleet_vm, 1);

    vm->name = drv_fleet_text(fleet, name);
    vm->uuid = drv_fleet_text(fleet, uuid);
    vm->node = node->name;
    vm->on = node;
    vm->state = drv_fleet_text(fleet, state);
    vm->index = fleet->vms->len;
    vm->memory_bytes = memory_bytes;
    vm->arriving = arriving;
    vm->active = g_str_equal(state, "running") || g_str_equal(state, "paused");
    vm->cpu_used = DRV_FLEET_UNKNOWN;
    vm->dirty_bps = -1;
    g_ptr_array_add(fleet->vms, vm);

    vm->next_on_node = node->first_vm;
    node->first_vm = vm;
    if (vm->active || arriving)
        node->vms_bytes += memory_bytes;
    if (arriving)
        node->arriving_bytes += memory_bytes;

    vm->same_name = g_hash_table_lookup(fleet->by_name, name);
    g_hash_table_replace(fleet->by_name, (gpointer)vm->name, vm);
    vm->same_uuid = g_hash_table_lookup(fleet->by_uuid, uuid);
    g_hash_table_replace(fleet->by_uuid, (gpointer)vm->uuid, vm);
    return vm;
}

void drv_fleet_add_link(drv_fleet *fleet, const drv_fleet_link *link)
{
    drv_fleet_link *known = g_hash_table_lookup(fleet->by_ends, link);

    if (known) {
        if (link->measured_ms >= known->measured_ms)
            *known = *link;
        return;
    }
    known = g_new(drv_fleet_link, 1);
    *known = *link;
    g_ptr_array_add(fleet->links, known);
    g_hash_table_add(fleet->by_ends, known);
}

void drv_fleet_add(drv_fleet *fleet, const char *name, json_object *node, json_object *vms, const char *why)
{
    drv_fleet_node *entry = drv_fleet_add_node(fleet, name);

    drv_fleet_node_from_json(fleet, entry, node);
    entry->up = node != NULL;
    if (!node || why)
        entry->error = drv_fleet_text(fleet, why);
    for (gsize i = 0; i < drv_json_length(vms); i++)
        drv_fleet_vm_from_json(fleet, entry, json_object_array_get_idx(vms, i));
}

drv_fleet_node *drv_fleet_find_node(const drv_fleet *fleet, const char *name)
{
    return g_hash_table_lookup(fleet->by_node, name);
}

drv_fleet_vm *drv_fleet_named(const drv_fleet *fleet, const char *name)
{
    return g_hash_table_lookup(fleet->by_name, name);
}

drv_fleet_vm *drv_fleet_with_uuid(const drv_fleet *fleet, const char *uuid)
{
    return g_hash_table_lookup(fleet->by_uuid, uuid);
}

gboolean drv_fleet_has_vm(const drv_fleet *fleet, const char *node, const char *name, const char *uuid)
{
    for (const drv_fleet_vm *vm = drv_fleet_named(fleet, name); vm; vm = vm->same_name)
        if (g_str_equal(vm->node, node))
            return TRUE;
    for (const drv_fleet_vm *vm = drv_fleet_with_uuid(fleet, uuid); vm; vm = vm->same_uuid)
        if (g_str_equal(vm->node, node))
            return TRUE;
    return FALSE;
}

const drv_fleet_link *drv_fleet_link_between(const drv_fleet *fleet, const drv_fleet_node *from,
                                             const drv_fleet_node *to)
{
    const drv_fleet_link key = {.from = from, .to = to};

    return g_hash_table_lookup(fleet->by_ends, &key);
}

gint64 drv_fleet_room(const drv_fleet_node *node)
{
    gint64 free_bytes = (gint64)node->memory_free_bytes - (gint64)node->arriving_bytes;
    gint64 room = free_bytes;

    if (!node->memory_bytes && !node->memory_free_bytes)
        return DRV_FLEET_ROOM_UNKNOWN;
    if (node->memory_bytes)
        room = MIN(room, (gint64)node->memory_bytes - (gint64)node->vms_bytes);
    /* Relays that are open have taken theirs; what others may still take is not for VMs. */
    return room - (gint64)node->promised_bytes - (gint64)node->relay_left_bytes;
}
