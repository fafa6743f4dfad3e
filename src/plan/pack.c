/* SPDX-License-Identifier: Apache-2.0 */
/* Which unit goes to which node: see pack.h. */
#include "plan/pack.h"

/* So many nodes and pairs of VMs are looked at for one that has no place, and so many for all of them. */
#define MOST_LOOKED 20000
#define MOST_LOOKED_FOR_ALL 200000

static int compare_names(const drv_unit *a, const drv_unit *b)
{
    const drv_fleet_vm *left = a->vms->pdata[0], *right = b->vms->pdata[0];

    return left->index < right->index ? -1 : left->index > right->index;
}

/* Those that can go to one node only come first, then the large ones. */
static int by_size(const void *a, const void *b, void *data)
{
    GPtrArray *units = data;
    const drv_unit *left = units->pdata[*(const guint *)a], *right = units->pdata[*(const guint *)b];

    if (!left->with != !right->with)
        return left->with ? -1 : 1;
    if (left->bytes != right->bytes)
        return left->bytes > right->bytes ? -1 : 1;
    return compare_names(left, right);
}

static int by_priority(const void *a, const void *b, void *data)
{
    GPtrArray *units = data;
    const drv_unit *left = units->pdata[*(const guint *)a], *right = units->pdata[*(const guint *)b];

    if (left->priority != right->priority)
        return left->priority > right->priority ? -1 : 1;
    return by_size(a, b, data);
}

/* The numbers of all units. Transfer full. */
static guint *in_order(GPtrArray *units, GCompareDataFunc compare)
{
    guint *order = g_new(guint, units->len + 1);

    for (guint i = 0; i < units->len; i++)
        order[i] = i;
    g_qsort_with_data(order, (gint)units->len, sizeof order[0], compare, units);
    return order;
}

static char *why_there(const drv_room *room, const drv_unit *unit, const drv_fleet_node *node, drv_packing packing)
{
    const drv_room_node *at = &room->nodes[node->index];
    gint64 left = (at->room_bytes - (gint64)unit->bytes) >> 20;

    if (unit->with == node)
        return g_strdup_printf("it is kept together with VMs on %s", node->name);
    if (unit->with)
        return g_strdup_printf("it was apart from those on %s that it is kept together with, and %s cannot take it",
                               unit->with->name, unit->with->name);
    if (at->room_bytes >= DRV_FLEET_ROOM_UNKNOWN / 2)
        return g_strdup_printf("%s can take it; how much room it has is not known", node->name);
    if (packing != DRV_PACK_SPREAD)
        return g_strdup_printf("room is short: %s is filled up to %" G_GINT64_FORMAT " MiB", node->name, left);
    return g_strdup_printf("%s has the best score, %.2f; %" G_GINT64_FORMAT " MiB of memory are left there then",
                           node->name, drv_room_score(room, unit, node), left);
}

/* ---- others may make way ---- */

/* By node, the units that this plan brings there. */
static void list_arrivals(const drv_pack *pack, GPtrArray *units, GPtrArray **arrivals)
{
    for (guint i = 0; i < units->len; i++)
        if (pack->target[i]) {
            GPtrArray **list = &arrivals[pack->target[i]->index];

            if (!*list)
                *list = g_ptr_array_new();
            g_ptr_array_add(*list, GUINT_TO_POINTER(i));
        }
}

static void set_target(drv_pack *pack, GPtrArray *units, GPtrArray **arrivals, guint number, const drv_fleet_node *node,
                       char *why)
{
    GPtrArray **list = &arrivals[node->index];

    if (pack->target[number])
        g_ptr_array_remove_fast(arrivals[pack->target[number]->index], GUINT_TO_POINTER(number));
    if (!*list)
        *list = g_ptr_array_new();
    g_ptr_array_add(*list, GUINT_TO_POINTER(number));
    drv_room_put(pack->room, units->pdata[number], node);
    pack->target[number] = node;
    g_free(pack->why[number]);
    pack->why[number] = why;
}

static char *why_moved(const drv_fleet_node *node)
{
    return g_strdup_printf("room is short: only so do it and another one both fit, this one on %s", node->name);
}

/* Whether @unit fits on @node if @other goes elsewhere, which is done then. */
static gboolean change_places(drv_pack *pack, GPtrArray *units, GPtrArray **arrivals, guint unit, guint other,
                              const drv_fleet_node *node)
{
    const drv_fleet_node *elsewhere = NULL;

    drv_room_take_back(pack->room, units->pdata[other], node);
    if (drv_room_fits(pack->room, units->pdata[unit], node) == DRV_FIT_GOOD) {
        drv_room_put(pack->room, units->pdata[unit], node);
        elsewhere = drv_room_choose(pack->room, units->pdata[other], DRV_PACK_TIGHT);
        drv_room_take_back(pack->room, units->pdata[unit], node);
    }
    if (!elsewhere) {
        drv_room_put(pack->room, units->pdata[other], node);
        return FALSE;
    }
    set_target(pack, units, arrivals, unit, node, why_moved(node));
    set_target(pack, units, arrivals, other, elsewhere, why_moved(elsewhere));
    return TRUE;
}

static gboolean find_way(drv_pack *pack, GPtrArray *units, GPtrArray **arrivals, guint unit, guint *looked)
{
    for (guint i = 0; i < pack->room->at_first->len && ++*looked < MOST_LOOKED; i++) {
        const drv_fleet_node *node = ((const drv_room_node *)pack->room->at_first->pdata[i])->node;
        guint64 lacks = drv_room_lacks(pack->room, units->pdata[unit], node);
        GPtrArray *there = arrivals[node->index];

        if (!lacks || drv_room_fits(pack->room, units->pdata[unit], node) != DRV_FIT_MEMORY)
            continue;
        for (guint k = 0; there && k < there->len; k++) {
            guint other = GPOINTER_TO_UINT(there->pdata[k]);

            if (((const drv_unit *)units->pdata[other])->bytes < lacks)
                continue;
            ++*looked;
            if (change_places(pack, units, arrivals, unit, other, node))
                return TRUE;
        }
    }
    return FALSE;
}

/* @unit fits on @node if @large there and @small on @other change places, which they do then. */
static gboolean exchange(drv_pack *pack, GPtrArray *units, GPtrArray **arrivals, guint unit, guint large, guint small,
                         const drv_fleet_node *node)
{
    const drv_fleet_node *other = pack->target[small];
    gboolean good = FALSE;

    drv_room_take_back(pack->room, units->pdata[large], node);
    drv_room_take_back(pack->room, units->pdata[small], other);
    if (drv_room_fits(pack->room, units->pdata[large], other) == DRV_FIT_GOOD &&
        drv_room_fits(pack->room, units->pdata[small], node) == DRV_FIT_GOOD) {
        drv_room_put(pack->room, units->pdata[small], node);
        good = drv_room_fits(pack->room, units->pdata[unit], node) == DRV_FIT_GOOD;
        drv_room_take_back(pack->room, units->pdata[small], node);
    }
    if (!good) {
        drv_room_put(pack->room, units->pdata[large], node);
        drv_room_put(pack->room, units->pdata[small], other);
        return FALSE;
    }
    set_target(pack, units, arrivals, large, other, why_moved(other));
    set_target(pack, units, arrivals, small, node, why_moved(node));
    set_target(pack, units, arrivals, unit, node, why_moved(node));
    return TRUE;
}

static guint64 bytes_of(GPtrArray *units, guint number)
{
    return ((const drv_unit *)units->pdata[number])->bytes;
}

/* A smaller one of another node for @large of @node, such that @lacks bytes become free here and fit there. */
static gboolean find_exchange(drv_pack *pack, GPtrArray *units, GPtrArray **arrivals, guint unit, guint large,
                              const drv_fleet_node *node, guint64 lacks, guint *looked)
{
    for (guint i = 0; i < pack->room->at_first->len && *looked < MOST_LOOKED; i++) {
        const drv_room_node *at = pack->room->at_first->pdata[i];
        GPtrArray *there = arrivals[at->node->index];

        if (at->node == node || at->room_bytes < (gint64)lacks)
            continue;
        for (guint k = 0; there && k < there->len && ++*looked < MOST_LOOKED; k++) {
            guint small = GPOINTER_TO_UINT(there->pdata[k]);
            guint64 gain = bytes_of(units, large) - bytes_of(units, small);

            if (bytes_of(units, small) < bytes_of(units, large) && gain >= lacks && (gint64)gain <= at->room_bytes &&
                exchange(pack, units, arrivals, unit, large, small, node))
                return TRUE;
        }
    }
    return FALSE;
}

static gboolean find_two_ways(drv_pack *pack, GPtrArray *units, GPtrArray **arrivals, guint unit, guint *looked)
{
    for (guint i = 0; i < pack->room->at_first->len && ++*looked < MOST_LOOKED; i++) {
        const drv_fleet_node *node = ((const drv_room_node *)pack->room->at_first->pdata[i])->node;
        guint64 lacks = drv_room_lacks(pack->room, units->pdata[unit], node);
        GPtrArray *here = arrivals[node->index];

        if (!here || !lacks || drv_room_fits(pack->room, units->pdata[unit], node) != DRV_FIT_MEMORY)
            continue;
        for (guint k = 0; k < here->len; k++)
            if (find_exchange(pack, units, arrivals, unit, GPOINTER_TO_UINT(here->pdata[k]), node, lacks, looked))
                return TRUE;
    }
    return FALSE;
}

/* For those that found no place, the most important ones first: does one that has its own make way? */
static void make_way(drv_pack *pack, GPtrArray *units)
{
    guint nodes = pack->room->fleet->nodes->len, looked_for_all = 0;
    g_autofree GPtrArray **arrivals = g_new0(GPtrArray *, nodes);
    g_autofree guint *order = in_order(units, by_priority);

    list_arrivals(pack, units, arrivals);
    for (guint i = 0; i < units->len && looked_for_all < MOST_LOOKED_FOR_ALL; i++) {
        guint looked = 0;

        if (pack->target[order[i]])
            continue;
        if (find_way(pack, units, arrivals, order[i], &looked) ||
            find_two_ways(pack, units, arrivals, order[i], &looked))
            pack->lost -= ((const drv_unit *)units->pdata[order[i]])->vms->len;
        looked_for_all += looked;
    }
    for (guint i = 0; i < nodes; i++)
        if (arrivals[i])
            g_ptr_array_unref(arrivals[i]);
}

static drv_pack *pack_once(const drv_fleet *fleet, GPtrArray *units, GPtrArray *closed, drv_packing packing,
                           GCompareDataFunc compare)
{
    drv_pack *pack = g_new0(drv_pack, 1);
    g_autofree guint *order = in_order(units, compare);

    pack->room = drv_room_new(fleet, closed);
    pack->target = g_new0(const drv_fleet_node *, units->len);
    pack->why = g_new0(char *, units->len);
    for (guint i = 0; i < units->len; i++) {
        const drv_unit *unit = units->pdata[order[i]];
        const drv_fleet_node *node = drv_room_choose(pack->room, unit, packing);

        if (!node) {
            pack->lost += unit->vms->len;
            continue;
        }
        pack->target[order[i]] = node;
        pack->why[order[i]] = why_there(pack->room, unit, node, packing);
        drv_room_put(pack->room, unit, node);
    }
    return pack;
}

void drv_pack_free(drv_pack *pack, guint units)
{
    if (!pack)
        return;
    for (guint i = 0; i < units; i++)
        g_free(pack->why[i]);
    g_free(pack->why);
    g_free(pack->target);
    drv_room_free(pack->room);
    g_free(pack);
}

static int falling(gconstpointer a, gconstpointer b)
{
    int left = *(const int *)a, right = *(const int *)b;

    return left > right ? -1 : left < right;
}

/* The priorities of those that are left behind, the highest first. */
static GArray *left_behind(const drv_pack *pack, GPtrArray *units)
{
    GArray *list = g_array_new(FALSE, FALSE, sizeof(int));

    for (guint i = 0; i < units->len; i++) {
        const drv_unit *unit = units->pdata[i];

        for (guint k = 0; !pack->target[i] && k < unit->vms->len; k++)
            g_array_append_val(list, ((const drv_fleet_vm *)unit->vms->pdata[k])->priority);
    }
    g_array_sort(list, falling);
    return list;
}

static gboolean is_better(const drv_pack *one, const drv_pack *other, GPtrArray *units)
{
    g_autoptr(GArray) ours = left_behind(one, units);
    g_autoptr(GArray) theirs = left_behind(other, units);

    for (guint i = 0; i < MIN(ours->len, theirs->len); i++)
        if (g_array_index(ours, int, i) != g_array_index(theirs, int, i))
            return g_array_index(ours, int, i) < g_array_index(theirs, int, i);
    return ours->len < theirs->len;
}

drv_pack *drv_pack_units(const drv_fleet *fleet, GPtrArray *units, GPtrArray *closed)
{
    static const struct {
        drv_packing packing;
        GCompareDataFunc compare;
    } ways[] = {{DRV_PACK_SPREAD, by_size},
                {DRV_PACK_TIGHT, by_size},
                {DRV_PACK_FILL, by_size},
                {DRV_PACK_TIGHT, by_priority},
                {DRV_PACK_FILL, by_priority}};
    drv_pack *best = NULL;

    for (gsize i = 0; i < G_N_ELEMENTS(ways) && (!best || best->lost); i++) {
        drv_pack *pack = pack_once(fleet, units, closed, ways[i].packing, ways[i].compare);

        if (best && !is_better(pack, best, units)) {
            drv_pack_free(pack, units->len);
            continue;
        }
        drv_pack_free(best, units->len);
        best = pack;
    }
    if (best->lost)
        make_way(best, units);
    return best;
}
