/* SPDX-License-Identifier: Apache-2.0 */
/* What a plan does not do: see refusals.h. */
#include "plan/refusals.h"

#include "plan/against.h"
#include "plan/place.h"

/* With more nodes than this they are counted instead of named one by one. */
#define NAMED 6

void drv_refusals_add(json_object *refused, const drv_fleet_vm *vm, drv_error_code code, char *message, char *remedy)
{
    json_object *entry = json_object_new_object();

    drv_json_set_string(entry, "vm", vm->name);
    drv_json_set_string(entry, "uuid", vm->uuid);
    drv_json_set_string(entry, "node", vm->node);
    drv_json_set_string(entry, "code", drv_error_code_name(code));
    drv_json_set_string(entry, "message", message);
    drv_json_set_string(entry, "remedy", remedy);
    json_object_array_add(refused, entry);
    g_free(message);
    g_free(remedy);
}

static const char *const many[DRV_FITS] = {
    [DRV_FIT_GOOD] = "can take it",
    [DRV_FIT_THERE] = "have it",
    [DRV_FIT_LOST] = "do not answer",
    [DRV_FIT_OFF] = "are switched off",
    [DRV_FIT_MAINTENANCE] = "are being emptied or in maintenance",
    [DRV_FIT_TAKEN] = "have a VM of that name or UUID",
    [DRV_FIT_CPU] = "lack features of its CPU",
    [DRV_FIT_NETWORK] = "have not its networks",
    [DRV_FIT_LABEL] = "have not the labels that it wants",
    [DRV_FIT_APART] = "have a VM that it is kept apart from",
    [DRV_FIT_DISK] = "have no pool with room for its disks",
    [DRV_FIT_MEMORY] = "have too little memory free",
};
G_STATIC_ASSERT(G_N_ELEMENTS(many) == DRV_FITS);

/* What was found on all nodes: how many of each reason, and one of each that comes closest. */
typedef struct {
    guint count[DRV_FITS];
    const drv_fleet_node *nearest[DRV_FITS];
    guint64 lacks[DRV_FITS];
    guint others; /* nodes but the VM's own */
} survey;

static void look(const drv_room *room, const drv_unit *unit, survey *found)
{
    for (guint i = 0; i < room->fleet->nodes->len; i++) {
        const drv_fleet_node *node = room->fleet->nodes->pdata[i];
        drv_fit fit = drv_room_fits(room, unit, node);
        guint64 lacks = drv_room_lacks(room, unit, node);

        if (fit == DRV_FIT_THERE)
            continue;
        found->others++;
        if (!found->count[fit]++ || lacks < found->lacks[fit]) {
            found->nearest[fit] = node;
            found->lacks[fit] = lacks;
        }
    }
}

static char *all_reasons(const drv_room *room, const drv_unit *unit, const survey *found)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; found->others <= NAMED && i < room->fleet->nodes->len; i++) {
        const drv_fleet_node *node = room->fleet->nodes->pdata[i];
        drv_fit fit = drv_room_fits(room, unit, node);
        g_autofree char *reason = fit != DRV_FIT_THERE ? drv_room_against(room, unit, node, fit) : NULL;

        if (reason)
            g_string_append_printf(text, "%s%s", text->len ? "; " : "", reason);
    }
    for (guint i = 0; found->others > NAMED && i < DRV_FITS; i++) {
        g_autofree char *one =
            found->count[i] == 1 ? drv_room_against(room, unit, found->nearest[i], (drv_fit)i) : NULL;

        if (one)
            g_string_append_printf(text, "%s%s", text->len ? "; " : "", one);
        else if (found->count[i])
            g_string_append_printf(text, "%s%u %s", text->len ? "; " : "", found->count[i], many[i]);
    }
    if (!text->len)
        return g_strdup("there is no other node");
    return g_strdup(text->str);
}

/* The reasons that can be changed, the easiest first. */
static char *way_out(const drv_room *room, const drv_unit *unit, const survey *found)
{
    const drv_fleet_vm *vm = unit->vms->pdata[0];
    const drv_fleet_node *near = found->nearest[DRV_FIT_MEMORY];
    g_autoptr(GString) text = g_string_new(NULL);

    if (near)
        g_string_append_printf(text, "free %" G_GUINT64_FORMAT " MiB on %s",
                               (found->lacks[DRV_FIT_MEMORY] + (1 << 20) - 1) >> 20, near->name);
    if (found->nearest[DRV_FIT_DISK])
        g_string_append_printf(text, "%smake room in a pool of %s", text->len ? ", or " : "",
                               found->nearest[DRV_FIT_DISK]->name);
    if (found->nearest[DRV_FIT_MAINTENANCE] && found->nearest[DRV_FIT_MAINTENANCE]->maintenance != DRV_MAINTENANCE_NONE)
        g_string_append_printf(text, "%stake %s out of maintenance (drover node resume %s)", text->len ? ", or " : "",
                               found->nearest[DRV_FIT_MAINTENANCE]->name, found->nearest[DRV_FIT_MAINTENANCE]->name);
    if (found->nearest[DRV_FIT_LOST])
        g_string_append_printf(text, "%sstart droverd on %s", text->len ? ", or " : "",
                               found->nearest[DRV_FIT_LOST]->name);
    if (found->nearest[DRV_FIT_APART])
        g_string_append_printf(text, "%slift the rule --apart of %s or move the other away from %s",
                               text->len ? ", or " : "", vm->name, found->nearest[DRV_FIT_APART]->name);
    if (unit->vms->len > 1)
        g_string_append_printf(text, "%slift the rule --together of %s", text->len ? ", or " : "", vm->name);
    if (found->nearest[DRV_FIT_LABEL])
        g_string_append_printf(text, "%slift the rule --node-label of %s, or give %s the label",
                               text->len ? ", or " : "", vm->name, found->nearest[DRV_FIT_LABEL]->name);
    if (found->nearest[DRV_FIT_NETWORK])
        g_string_append_printf(text, "%sadd the network on %s", text->len ? ", or " : "",
                               found->nearest[DRV_FIT_NETWORK]->name);
    if (found->nearest[DRV_FIT_CPU])
        g_string_append_printf(text, "%sgive %s a CPU model that %s has, too, when it is shut off next",
                               text->len ? ", or " : "", vm->name, found->nearest[DRV_FIT_CPU]->name);
    g_string_append_printf(text, "%sadd a node ('drover token create' and 'drover join')", text->len ? ", or " : "");
    return g_strdup(text->str);
}

void drv_refusals_no_node(json_object *refused, const drv_room *room, const drv_unit *unit)
{
    survey found = {0};
    g_autofree char *reasons = NULL;
    g_autofree char *remedy = NULL;

    look(room, unit, &found);
    reasons = all_reasons(room, unit, &found);
    remedy = way_out(room, unit, &found);
    for (guint i = 0; i < unit->vms->len; i++) {
        const drv_fleet_vm *vm = unit->vms->pdata[i];
        const char *with = unit->vms->len > 1 ? ", with those that are kept together with it" : "";

        drv_refusals_add(refused, vm, DRV_ERROR_REFUSED,
                         g_strdup_printf("no node can take %s (%" G_GUINT64_FORMAT " MiB%s): %s", vm->name,
                                         unit->bytes >> 20, with, reasons),
                         g_strdup(remedy));
    }
}
