/* SPDX-License-Identifier: Apache-2.0 */
/* Where a VM can go: see place.h. */
#include "plan/place.h"

static gboolean means(const drv_fleet_vm *vm, const char *name)
{
    /* Until it has arrived, the VM is where it comes from. */
    return !vm->arriving &&
           (g_str_equal(vm->name, name) || g_ascii_strcasecmp(vm->uuid, name) == 0);
}

static gboolean is_active(const drv_fleet_vm *vm)
{
    return g_str_equal(vm->state, "running") || g_str_equal(vm->state, "paused");
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
                    "there is no VM %s on the nodes that answer; it may be on %s, which does not",
                    name, lost->str);
    else
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND,
                    "there is no VM %s on any node; 'drover vm list' shows all", name);
}

const drv_fleet_vm *drv_plan_find_vm(const drv_fleet *fleet, const char *name, GError **error)
{
    const drv_fleet_vm *found = NULL, *active = NULL;
    guint several = 0, actives = 0;
    g_autoptr(GString) where = g_string_new(NULL);

    for (guint i = 0; i < fleet->vms->len; i++) {
        const drv_fleet_vm *vm = fleet->vms->pdata[i];

        if (!means(vm, name))
            continue;
        found = vm;
        several++;
        g_string_append_printf(where, "%s%s on %s", where->len ? ", " : "", vm->state, vm->node);
        if (is_active(vm)) {
            active = vm;
            actives++;
        }
    }
    if (!found) {
        set_unknown_vm(fleet, name, error);
        return NULL;
    }
    if (several == 1 || actives == 1)
        return actives == 1 ? active : found;
    g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                "the name %s stands for several VMs (%s): say which by its UUID", name, where->str);
    return NULL;
}

/* NULL: it fits; else why not. */
static char *why_not(const drv_fleet *fleet, const drv_fleet_vm *vm, const drv_fleet_node *node)
{
    guint64 needed = vm->memory_bytes + DRV_PLAN_RESERVE_BYTES;

    if (g_str_equal(node->name, vm->node))
        return g_strdup_printf("%s is already on %s", vm->name, node->name);
    if (!node->up)
        return g_strdup_printf("%s cannot be asked: %s", node->name,
                               node->error ? node->error : "it does not answer");
    if (!g_str_equal(node->maintenance, "none"))
        return g_strdup_printf("%s takes no VMs: it is %s ('drover node resume %s')", node->name,
                               node->maintenance, node->name);
    if (drv_fleet_has_vm(fleet, node->name, vm->name, vm->uuid))
        return g_strdup_printf("%s has a VM with the name or the UUID of %s: rename or undefine it",
                               node->name, vm->name);
    if (node->memory_free_bytes < needed)
        return g_strdup_printf("%s has no room for %s (needs %" G_GUINT64_FORMAT
                               " MiB with what the node keeps for itself, %" G_GUINT64_FORMAT
                               " MiB free)",
                               node->name, vm->name, needed >> 20, node->memory_free_bytes >> 20);
    return NULL;
}

static const drv_fleet_node *given_target(const drv_fleet *fleet, const drv_fleet_vm *vm,
                                          const char *target, GError **error)
{
    const drv_fleet_node *node = drv_fleet_find_node(fleet, target);

    if (!node) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND,
                    "there is no node %s; 'drover node list' shows all", target);
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
    if (!g_str_equal(node->maintenance, "none")) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED,
                    "%s takes no VMs: it is %s; 'drover node resume %s' ends that", node->name,
                    node->maintenance, node->name);
        return NULL;
    }
    return node;
}

const drv_fleet_node *drv_plan_place(const drv_fleet *fleet, const drv_fleet_vm *vm,
                                     const char *target, GError **error)
{
    const drv_fleet_node *best = NULL;
    g_autoptr(GString) reasons = g_string_new(NULL);

    if (target)
        return given_target(fleet, vm, target, error);
    for (guint i = 0; i < fleet->nodes->len; i++) {
        const drv_fleet_node *node = fleet->nodes->pdata[i];
        g_autofree char *reason = why_not(fleet, vm, node);

        if (reason) {
            if (!g_str_equal(node->name, vm->node))
                g_string_append_printf(reasons, "%s%s", reasons->len ? "; " : "", reason);
        } else if (!best || node->memory_free_bytes > best->memory_free_bytes ||
                   (node->memory_free_bytes == best->memory_free_bytes &&
                    g_strcmp0(node->name, best->name) < 0)) {
            best = node;
        }
    }
    if (!best)
        g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED, "no node can take %s: %s", vm->name,
                    reasons->len ? reasons->str
                                 : "there is no other node; 'drover token create' and 'drover join' "
                                   "add one");
    return best;
}
