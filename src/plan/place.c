/* SPDX-License-Identifier: Apache-2.0 */
/* Where a VM can go: see place.h. */
#include "plan/place.h"

#include "plan/against.h"
#include "plan/room.h"

/* What a name or UUID stands for on all nodes. */
typedef struct {
    const drv_fleet_vm *found, *active;
    guint several, actives;
    GString *where;
} meaning;

static void add_meaning(meaning *of, const drv_fleet_vm *vm)
{
    /* Until it has arrived, the VM is where it comes from. */
    if (vm->arriving)
        return;
    of->found = vm;
    of->several++;
    g_string_append_printf(of->where, "%s%s on %s", of->where->len ? ", " : "", vm->state, vm->node);
    if (vm->active) {
        of->active = vm;
        of->actives++;
    }
}

static void set_unknown_vm(const drv_fleet *fleet, const char *name, GError **error)
{
    g_autoptr(GString) lost = g_string_new(NULL);

    for (guint i = 0; i < fleet->nodes->len; i++) {
        const drv_fleet_node *node = fleet->nodes->pdata[i];

        if (!node->up)
            g_string_append_printf(lost, "%s%s", lost->len ? ", " : "", node->name);
    }
    if (lost->len)
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND,
                    "there is no VM %s on the nodes that answer; it may be on %s, which does not", name, lost->str);
    else
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "there is no VM %s on any node; 'drover vm list' shows all",
                    name);
}

static const drv_fleet_vm *look_up(const drv_fleet *fleet, gboolean by_uuid, const char *word, GError **error)
{
    g_autoptr(GString) where = g_string_new(NULL);
    meaning of = {.where = where};
    const drv_fleet_vm *vm = by_uuid ? drv_fleet_with_uuid(fleet, word) : drv_fleet_named(fleet, word);

    for (; vm; vm = by_uuid ? vm->same_uuid : vm->same_name)
        add_meaning(&of, vm);
    if (!of.found) {
        set_unknown_vm(fleet, word, error);
        return NULL;
    }
    if (of.several == 1 || of.actives == 1)
        return of.actives == 1 ? of.active : of.found;
    g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "the %s %s stands for several VMs (%s): %s",
                by_uuid ? "UUID" : "name", word, where->str,
                by_uuid ? "undefine those that are not the VM any more (virsh undefine)" : "say which by its UUID");
    return NULL;
}

const drv_fleet_vm *drv_plan_vm_with_uuid(const drv_fleet *fleet, const char *uuid, GError **error)
{
    return look_up(fleet, TRUE, uuid, error);
}

const drv_fleet_vm *drv_plan_find_vm(const drv_fleet *fleet, const char *word, GError **error)
{
    const drv_fleet_vm *meant = drv_fleet_with_uuid(fleet, word);
    const drv_fleet_vm *other = drv_fleet_named(fleet, word);

    while (other && g_ascii_strcasecmp(other->uuid, word) == 0)
        other = other->same_name;
    if (!meant || !other)
        return look_up(fleet, meant != NULL, word, error);
    g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                "%s is ambiguous: it is the UUID of the VM %s on %s and the name of another VM on %s: "
                "say %s for the first, the UUID %s for the other",
                word, meant->name, meant->node, other->node, meant->name, other->uuid);
    return NULL;
}

static const drv_fleet_node *given_target(const drv_fleet *fleet, const drv_fleet_vm *vm, const char *target,
                                          GError **error)
{
    const drv_fleet_node *node = drv_fleet_find_node(fleet, target);

    if (!node) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "there is no node %s; 'drover node list' shows all", target);
        return NULL;
    }
    if (g_str_equal(node->name, vm->node)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "%s is already on %s", vm->name, node->name);
        return NULL;
    }
    if (!node->up) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE, "%s cannot be asked: %s", node->name,
                    node->error ? node->error : "it does not answer");
        return NULL;
    }
    if (node->maintenance != DRV_MAINTENANCE_NONE) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED,
                    "%s is %s for maintenance and takes no VM: name another node, or take it out of "
                    "maintenance ('drover node resume %s')",
                    node->name, node->maintenance == DRV_MAINTENANCE_DRAINED ? "drained" : "being emptied", node->name);
        return NULL;
    }
    return node;
}

const drv_fleet_node *drv_plan_place(const drv_fleet *fleet, const drv_fleet_vm *vm, const char *target, GError **error)
{
    g_autoptr(drv_room) room = NULL;
    g_autoptr(drv_unit) unit = NULL;
    g_autoptr(GString) reasons = g_string_new(NULL);
    const drv_fleet_node *best;

    if (target)
        return given_target(fleet, vm, target, error);
    room = drv_room_new(fleet, NULL);
    unit = drv_unit_new();
    drv_unit_add(unit, fleet->vms->pdata[vm->index]);
    best = drv_room_choose(room, unit, DRV_PACK_SPREAD);
    for (guint i = 0; !best && i < fleet->nodes->len; i++) {
        const drv_fleet_node *node = fleet->nodes->pdata[i];
        drv_fit fit = drv_room_fits(room, unit, node);
        g_autofree char *reason = fit != DRV_FIT_THERE ? drv_room_against(room, unit, node, fit) : NULL;

        if (reason)
            g_string_append_printf(reasons, "%s%s", reasons->len ? "; " : "", reason);
    }
    if (!best)
        g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED, "no node can take %s: %s", vm->name,
                    reasons->len ? reasons->str
                                 : "there is no other node; 'drover token create' and 'drover join' "
                                   "add one");
    return best;
}
