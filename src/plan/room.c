/* SPDX-License-Identifier: Apache-2.0 */
/* The fleet as it will be while a plan is being made: see room.h. */
#include "plan/room.h"

#include "plan/place.h"

/* A node whose processors would be busier than this is taken last. */
#define CPU_FULL 0.9
/* So many of the nodes with the most room are compared with each other, not counting full ones, of so many. */
#define COMPARED 16
#define LOOKED_AT 256

/* ---- units ---- */

drv_unit *drv_unit_new(void)
{
    drv_unit *unit = g_new0(drv_unit, 1);

    unit->vms = g_ptr_array_new();
    unit->priority = G_MININT;
    return unit;
}

void drv_unit_add(drv_unit *unit, drv_fleet_vm *vm)
{
    g_ptr_array_add(unit->vms, vm);
    if (vm->active)
        unit->bytes += vm->memory_bytes;
    unit->cpu += MAX(vm->cpu_used, 0);
    unit->priority = MAX(unit->priority, vm->priority);
}

void drv_unit_free(drv_unit *unit)
{
    if (!unit)
        return;
    g_ptr_array_unref(unit->vms);
    g_free(unit);
}

/* ---- groups that are kept apart: on which nodes they are ---- */

typedef struct {
    guint group, node;
} place_key;

static guint place_hash(gconstpointer key)
{
    const place_key *place = key;

    return place->group * 2654435761U ^ place->node;
}

static gboolean place_equal(gconstpointer a, gconstpointer b)
{
    const place_key *left = a, *right = b;

    return left->group == right->group && left->node == right->node;
}

static void occupy(drv_room *room, const drv_fleet_vm *vm, guint node)
{
    for (guint i = 0; vm->apart && i < vm->apart->count; i++) {
        const place_key key = {vm->apart->ids[i], node};

        if (!g_hash_table_contains(room->groups, &key))
            g_hash_table_insert(room->groups, g_memdup2(&key, sizeof key), (gpointer)vm);
    }
}

const drv_fleet_vm *drv_room_apart(const drv_room *room, const drv_fleet_vm *vm, guint node, guint *group)
{
    for (guint i = 0; vm->apart && i < vm->apart->count; i++) {
        const place_key key = {vm->apart->ids[i], node};
        const drv_fleet_vm *other = g_hash_table_lookup(room->groups, &key);

        if (other && other != vm) {
            *group = vm->apart->ids[i];
            return other;
        }
    }
    return NULL;
}

/* ---- the state ---- */

static int compare_room(gconstpointer a, gconstpointer b, gpointer data)
{
    const drv_room_node *left = a, *right = b;

    if (left->room_bytes != right->room_bytes)
        return left->room_bytes < right->room_bytes ? -1 : 1;
    /* Of equals the first by name is the greater: spreading begins at that end. */
    return left->node->index < right->node->index ? 1 : left->node->index > right->node->index ? -1 : 0;
}

static gboolean is_target(const drv_room_node *at)
{
    return at->node->up && !at->node->off && !at->closed && at->node->maintenance == DRV_MAINTENANCE_NONE;
}

drv_room *drv_room_new(const drv_fleet *fleet, GPtrArray *closed)
{
    drv_room *room = g_new0(drv_room, 1);

    room->fleet = fleet;
    room->nodes = g_new0(drv_room_node, fleet->nodes->len);
    room->where = g_new0(const drv_fleet_node *, fleet->vms->len);
    room->by_room = g_tree_new_full(compare_room, NULL, NULL, NULL);
    room->at_first = g_ptr_array_new();
    room->groups = g_hash_table_new_full(place_hash, place_equal, g_free, NULL);
    room->features = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    for (guint i = 0; closed && i < closed->len; i++)
        room->nodes[((const drv_fleet_node *)closed->pdata[i])->index].closed = TRUE;
    for (guint i = 0; i < fleet->nodes->len; i++) {
        drv_room_node *at = &room->nodes[i];

        at->node = fleet->nodes->pdata[i];
        at->room_bytes = drv_fleet_room(at->node) - (gint64)DRV_PLAN_RESERVE_BYTES;
        at->cpu_used = at->node->cpu_used;
        if (is_target(at))
            g_tree_insert(room->by_room, at, at);
    }
    for (GTreeNode *tree = g_tree_node_last(room->by_room); tree; tree = g_tree_node_previous(tree))
        g_ptr_array_add(room->at_first, g_tree_node_key(tree));
    for (guint i = 0; i < fleet->vms->len; i++) {
        const drv_fleet_vm *vm = fleet->vms->pdata[i];

        if (vm->active || vm->arriving)
            occupy(room, vm, vm->on->index);
    }
    for (guint i = 0; i < fleet->links->len; i++) {
        const drv_fleet_link *link = fleet->links->pdata[i];

        room->best_rate_bps = MAX(room->best_rate_bps, link->rate_bps);
    }
    return room;
}

void drv_room_free(drv_room *room)
{
    if (!room)
        return;
    for (guint i = 0; i < room->fleet->nodes->len; i++)
        g_free(room->nodes[i].pool_free);
    g_hash_table_unref(room->features);
    g_hash_table_unref(room->groups);
    g_ptr_array_unref(room->at_first);
    g_tree_unref(room->by_room);
    g_free(room->where);
    g_free(room->nodes);
    g_free(room);
}

/* ---- what must hold ---- */

/* Sets of features are few and long, nodes and VMs many. */
static gboolean has_features(const drv_room *room, const drv_fleet_node *node, const drv_fleet_vm *vm)
{
    gint64 key;
    gpointer known;
    gboolean has;

    if (!node->cpu_features || !vm->cpu_features || node->cpu_features == vm->cpu_features)
        return TRUE;
    key = (gint64)((guint64)node->cpu_features->id << 32 | vm->cpu_features->id);
    if (g_hash_table_lookup_extended(room->features, &key, NULL, &known))
        return GPOINTER_TO_INT(known);
    has = drv_names_has_all(node->cpu_features, vm->cpu_features);
    g_hash_table_insert(room->features, g_memdup2(&key, sizeof key), GINT_TO_POINTER(has));
    return has;
}

static gboolean is_or_comes(const drv_room *room, const drv_fleet_vm *other, const drv_fleet_node *node)
{
    return other->on == node || room->where[other->index] == node;
}

static gboolean name_is_taken(const drv_room *room, const drv_fleet_vm *vm, const drv_fleet_node *node)
{
    for (const drv_fleet_vm *other = drv_fleet_named(room->fleet, vm->name); other; other = other->same_name)
        if (other != vm && is_or_comes(room, other, node))
            return TRUE;
    for (const drv_fleet_vm *other = drv_fleet_with_uuid(room->fleet, vm->uuid); other; other = other->same_uuid)
        if (other != vm && is_or_comes(room, other, node))
            return TRUE;
    return FALSE;
}

drv_fit drv_room_fits_one(const drv_room *room, const drv_fleet_vm *vm, const drv_fleet_node *node)
{
    guint group;

    if (vm->on == node)
        return DRV_FIT_THERE;
    if (name_is_taken(room, vm, node))
        return DRV_FIT_TAKEN;
    if (!has_features(room, node, vm))
        return DRV_FIT_CPU;
    if (node->networks && !drv_names_has_all(node->networks, vm->networks))
        return DRV_FIT_NETWORK;
    if (!drv_names_has_all(node->labels, vm->node_labels))
        return DRV_FIT_LABEL;
    if (drv_room_apart(room, vm, node->index, &group))
        return DRV_FIT_APART;
    return DRV_FIT_GOOD;
}

static guint64 free_in(const drv_room_node *at, guint pool)
{
    return at->pool_free ? at->pool_free[pool] : at->node->pools[pool].free_bytes;
}

/* The pool of the same name, which a disk is copied into. -1: there is none, so its room is not known. */
static int pool_named(const drv_fleet_node *node, const char *name)
{
    for (guint i = 0; name && i < node->pool_count; i++)
        if (g_str_equal(node->pools[i].name, name))
            return (int)i;
    return -1;
}

/* What each pool of the node gives to @unit; FALSE: not enough. @taken: as many as pools, zeroed. */
static gboolean take_disks(const drv_room_node *at, const drv_unit *unit, guint64 *taken)
{
    if (!at->node->pool_count)
        return TRUE;
    for (guint i = 0; i < unit->vms->len; i++) {
        const drv_fleet_vm *vm = unit->vms->pdata[i];

        for (guint k = 0; k < vm->disk_count; k++) {
            const drv_fleet_disk *disk = &vm->disks[k];
            int pool = pool_named(at->node, disk->pool);

            if (disk->shared && disk->pool && pool < 0)
                return FALSE; /* what it is on is not there */
            if (disk->shared || pool < 0)
                continue;
            if (free_in(at, (guint)pool) < taken[pool] + disk->bytes)
                return FALSE;
            taken[pool] += disk->bytes;
        }
    }
    return TRUE;
}

static gboolean disks_fit(const drv_room_node *at, const drv_unit *unit)
{
    guint64 few[8] = {0};
    g_autofree guint64 *many = at->node->pool_count > G_N_ELEMENTS(few) ? g_new0(guint64, at->node->pool_count) : NULL;

    return take_disks(at, unit, many ? many : few);
}

guint64 drv_room_lacks(const drv_room *room, const drv_unit *unit, const drv_fleet_node *node)
{
    gint64 left = room->nodes[node->index].room_bytes - (gint64)unit->bytes;

    return left < 0 && unit->bytes ? (guint64)-left : 0;
}

drv_fit drv_room_fits(const drv_room *room, const drv_unit *unit, const drv_fleet_node *node)
{
    const drv_room_node *at = &room->nodes[node->index];

    if (!node->up && !node->off)
        return DRV_FIT_LOST;
    if (node->off)
        return DRV_FIT_OFF;
    if (at->closed || (node->maintenance != DRV_MAINTENANCE_NONE && node != room->open)) {
        for (guint i = 0; i < unit->vms->len; i++)
            if (((const drv_fleet_vm *)unit->vms->pdata[i])->on == node)
                return DRV_FIT_THERE;
        return DRV_FIT_MAINTENANCE;
    }
    for (guint i = 0; i < unit->vms->len; i++) {
        drv_fit fit = drv_room_fits_one(room, unit->vms->pdata[i], node);

        if (fit != DRV_FIT_GOOD)
            return fit;
    }
    if (!disks_fit(at, unit))
        return DRV_FIT_DISK;
    return drv_room_lacks(room, unit, node) ? DRV_FIT_MEMORY : DRV_FIT_GOOD;
}

/* ---- choosing ---- */

/* The share of its processors that would be busy; unknown: half. */
static double cpu_after(const drv_room_node *at, const drv_unit *unit)
{
    if (at->cpu_used < 0 || !at->node->cpus)
        return 0.5;
    return (at->cpu_used + unit->cpu) / at->node->cpus;
}

double drv_room_score(const drv_room *room, const drv_unit *unit, const drv_fleet_node *node)
{
    const drv_room_node *at = &room->nodes[node->index];
    const drv_fleet_node *from = ((const drv_fleet_vm *)unit->vms->pdata[0])->on;
    const drv_fleet_link *link = drv_fleet_link_between(room->fleet, from, node);
    double memory =
        node->memory_bytes ? (double)(at->room_bytes - (gint64)unit->bytes) / (double)node->memory_bytes : 0.5;
    double busy = cpu_after(at, unit);
    double rate =
        link && link->rate_bps && room->best_rate_bps ? (double)link->rate_bps / (double)room->best_rate_bps : 0.5;
    gboolean elsewhere = from->site && node->site && !g_str_equal(from->site, node->site);
    double score = 0.45 * CLAMP(memory, 0, 1) + 0.3 * (1 - MIN(busy, 1)) + 0.1 * rate + 0.1 * !elsewhere +
                   0.05 / (1 + at->arrivals);

    return busy > CPU_FULL ? score / 4 : score;
}

static const drv_fleet_node *choose_spread(const drv_room *room, const drv_unit *unit)
{
    const drv_fleet_node *best = NULL;
    double best_score = -1;
    guint seen = 0, compared = 0;

    for (GTreeNode *tree = g_tree_node_last(room->by_room); tree && compared < COMPARED && seen < LOOKED_AT;
         tree = g_tree_node_previous(tree)) {
        const drv_room_node *at = g_tree_node_key(tree);
        double score;

        if (drv_room_lacks(room, unit, at->node))
            break;
        if (drv_room_fits(room, unit, at->node) != DRV_FIT_GOOD)
            continue;
        seen++;
        compared += cpu_after(at, unit) <= CPU_FULL;
        score = drv_room_score(room, unit, at->node);
        if (score > best_score) {
            best_score = score;
            best = at->node;
        }
    }
    return best;
}

static const drv_fleet_node *choose_tight(const drv_room *room, const drv_unit *unit)
{
    const drv_fleet_node index = {.index = G_MAXUINT};
    const drv_room_node least = {.node = &index, .room_bytes = (gint64)unit->bytes};
    const drv_fleet_node *busy = NULL;

    for (GTreeNode *tree = g_tree_lower_bound(room->by_room, &least); tree; tree = g_tree_node_next(tree)) {
        const drv_room_node *at = g_tree_node_key(tree);

        if (drv_room_fits(room, unit, at->node) != DRV_FIT_GOOD)
            continue;
        if (cpu_after(at, unit) <= CPU_FULL)
            return at->node;
        if (!busy)
            busy = at->node;
    }
    return busy;
}

static const drv_fleet_node *choose_first(const drv_room *room, const drv_unit *unit)
{
    for (guint i = 0; i < room->at_first->len; i++) {
        const drv_fleet_node *node = ((const drv_room_node *)room->at_first->pdata[i])->node;

        if (!drv_room_lacks(room, unit, node) && drv_room_fits(room, unit, node) == DRV_FIT_GOOD)
            return node;
    }
    return NULL;
}

const drv_fleet_node *drv_room_choose(const drv_room *room, const drv_unit *unit, drv_packing packing)
{
    if (unit->with && drv_room_fits(room, unit, unit->with) == DRV_FIT_GOOD)
        return unit->with;
    switch (packing) {
    case DRV_PACK_TIGHT:
        return choose_tight(room, unit);
    case DRV_PACK_FILL:
        return choose_first(room, unit);
    default:
        return choose_spread(room, unit);
    }
}

static void give_disks(drv_room_node *at, const drv_unit *unit)
{
    g_autofree guint64 *taken = NULL;

    if (!at->node->pool_count)
        return;
    taken = g_new0(guint64, at->node->pool_count);
    take_disks(at, unit, taken);
    if (!at->pool_free) {
        at->pool_free = g_new(guint64, at->node->pool_count);
        for (guint i = 0; i < at->node->pool_count; i++)
            at->pool_free[i] = at->node->pools[i].free_bytes;
    }
    for (guint i = 0; i < at->node->pool_count; i++)
        at->pool_free[i] -= MIN(at->pool_free[i], taken[i]);
}

static void take_disks_back(drv_room_node *at, const drv_unit *unit)
{
    for (guint i = 0; at->pool_free && i < unit->vms->len; i++) {
        const drv_fleet_vm *vm = unit->vms->pdata[i];

        for (guint k = 0; k < vm->disk_count; k++) {
            int pool = vm->disks[k].shared ? -1 : pool_named(at->node, vm->disks[k].pool);

            if (pool >= 0)
                at->pool_free[pool] += vm->disks[k].bytes;
        }
    }
}

/* @sign: 1: it comes; -1: it does not. */
static void change_load(drv_room *room, drv_room_node *at, const drv_unit *unit, int sign)
{
    gboolean listed = g_tree_remove(room->by_room, at);

    at->room_bytes -= sign * (gint64)unit->bytes;
    if (at->cpu_used >= 0)
        at->cpu_used += sign * unit->cpu;
    at->arrivals += (guint)(sign * (int)unit->vms->len);
    if (listed)
        g_tree_insert(room->by_room, at, at);
}

void drv_room_put(drv_room *room, const drv_unit *unit, const drv_fleet_node *node)
{
    drv_room_node *at = &room->nodes[node->index];

    change_load(room, at, unit, 1);
    give_disks(at, unit);
    for (guint i = 0; i < unit->vms->len; i++) {
        const drv_fleet_vm *vm = unit->vms->pdata[i];

        room->where[vm->index] = node;
        occupy(room, vm, node->index);
    }
}

void drv_room_take_back(drv_room *room, const drv_unit *unit, const drv_fleet_node *node)
{
    drv_room_node *at = &room->nodes[node->index];

    change_load(room, at, unit, -1);
    take_disks_back(at, unit);
    for (guint i = 0; i < unit->vms->len; i++) {
        const drv_fleet_vm *vm = unit->vms->pdata[i];

        room->where[vm->index] = NULL;
        for (guint k = 0; vm->apart && k < vm->apart->count; k++) {
            const place_key key = {vm->apart->ids[k], node->index};

            if (g_hash_table_lookup(room->groups, &key) == vm)
                g_hash_table_remove(room->groups, &key);
        }
    }
}
