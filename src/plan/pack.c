/* SPDX-License-Identifier: Apache-2.0 */
/* Which unit goes to which node: see pack.h. */
#include "plan/pack.h"

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

static char *why_there(const drv_room *room, const drv_unit *unit, const drv_fleet_node *node,
                       drv_packing packing)
{
    const drv_room_node *at = &room->nodes[node->index];
    gint64 left = (at->room_bytes - (gint64)unit->bytes) >> 20;

    if (unit->with)
        return g_strdup_printf("it is kept together with VMs on %s", node->name);
    if (at->room_bytes >= DRV_FLEET_ROOM_UNKNOWN / 2)
        return g_strdup_printf("%s can take it; how much room it has is not known", node->name);
    if (packing != DRV_PACK_SPREAD)
        return g_strdup_printf("room is short: %s is filled up to %" G_GINT64_FORMAT " MiB", node->name,
                               left);
    return g_strdup_printf("%s has the best score, %.2f; %" G_GINT64_FORMAT " MiB of memory are left there then",
                           node->name, drv_room_score(room, unit, node), left);
}

static drv_pack *pack_once(const drv_fleet *fleet, GPtrArray *units, GPtrArray *closed,
                           drv_packing packing, GCompareDataFunc compare)
{
    drv_pack *pack = g_new0(drv_pack, 1);
    g_autofree guint *order = g_new(guint, units->len);

    pack->room = drv_room_new(fleet, closed);
    pack->target = g_new0(const drv_fleet_node *, units->len);
    pack->why = g_new0(char *, units->len);
    for (guint i = 0; i < units->len; i++)
        order[i] = i;
    g_qsort_with_data(order, (gint)units->len, sizeof order[0], compare, units);
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
    } ways[] = {{DRV_PACK_SPREAD, by_size}, {DRV_PACK_TIGHT, by_size}, {DRV_PACK_FILL, by_size},
              {DRV_PACK_TIGHT, by_priority}, {DRV_PACK_FILL, by_priority}};
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
    return best;
}
