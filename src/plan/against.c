/* SPDX-License-Identifier: Apache-2.0 */
/* What is against a node, for people: see room.h. */
#include "plan/against.h"

#include "plan/place.h"
#include "plan/room.h"

static const drv_fleet_vm *who_fails(const drv_room *room, const drv_unit *unit, const drv_fleet_node *node,
                                     drv_fit fit)
{
    for (guint i = 0; i < unit->vms->len; i++)
        if (drv_room_fits_one(room, unit->vms->pdata[i], node) == fit)
            return unit->vms->pdata[i];
    return unit->vms->pdata[0];
}

char *drv_room_against(const drv_room *room, const drv_unit *unit, const drv_fleet_node *node, drv_fit fit)
{
    const drv_fleet_vm *vm = who_fails(room, unit, node, fit);
    const char *many = unit->vms->len > 1 ? " and those that are kept with it" : "";
    g_autofree char *missing = NULL;
    const drv_fleet_vm *other;
    guint group = 0;

    switch (fit) {
    case DRV_FIT_THERE:
        return g_strdup_printf("%s is already on %s", vm->name, node->name);
    case DRV_FIT_LOST:
        return g_strdup_printf("%s cannot be asked: %s", node->name, node->error ? node->error : "it does not answer");
    case DRV_FIT_OFF:
        return g_strdup_printf("%s is switched off", node->name);
    case DRV_FIT_MAINTENANCE:
        return g_strdup_printf("%s is %s", node->name,
                               node->maintenance == DRV_MAINTENANCE_DRAINED ? "drained for maintenance"
                                                                            : "being emptied");
    case DRV_FIT_TAKEN:
        return g_strdup_printf("%s has a VM with the name or the UUID of %s: rename or undefine it", node->name,
                               vm->name);
    case DRV_FIT_CPU:
        missing = drv_names_missing(node->cpu_features, vm->cpu_features, 5);
        return g_strdup_printf("%s lacks features of %s's CPU (%s)", node->name, vm->name, missing);
    case DRV_FIT_NETWORK:
        missing = drv_names_missing(node->networks, vm->networks, 5);
        return g_strdup_printf("%s has no network %s for %s", node->name, missing, vm->name);
    case DRV_FIT_LABEL:
        missing = drv_names_missing(node->labels, vm->node_labels, 5);
        return g_strdup_printf("%s has not the label %s that %s wants", node->name, missing, vm->name);
    case DRV_FIT_APART:
        other = drv_room_apart(room, vm, node->index, &group);
        return g_strdup_printf("%s has %s, which is kept apart from %s (group %s)", node->name,
                               other ? other->name : "a VM", vm->name, drv_names_text(room->fleet->apart, group));
    case DRV_FIT_DISK:
        return g_strdup_printf("%s has no pool with room for the disks of %s%s", node->name, vm->name, many);
    case DRV_FIT_MEMORY:
        return g_strdup_printf("%s has no room for %s%s (needs %" G_GUINT64_FORMAT
                               " MiB with what the node keeps for itself, %" G_GINT64_FORMAT " MiB free)",
                               node->name, vm->name, many, (unit->bytes + DRV_PLAN_RESERVE_BYTES) >> 20,
                               MAX(room->nodes[node->index].room_bytes + (gint64)DRV_PLAN_RESERVE_BYTES, 0) >> 20);
    default:
        return g_strdup_printf("%s can take %s", node->name, vm->name);
    }
}
