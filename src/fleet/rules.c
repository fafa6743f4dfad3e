/* SPDX-License-Identifier: Apache-2.0 */
/* The rules that hold for VMs: see rules.h. */
#include "fleet/rules.h"

#include "fleet/policies.h"
#include "model/fleet-json.h"
#include "plan/placement.h"

json_object *drv_rules_resolve(json_object *attributes, const char *vm, json_object *policies, GError **error)
{
    g_autoptr(json_object) own = drv_goals_from_attributes(attributes, vm, error);
    const char *policy = drv_json_string(own, "policy", NULL);
    g_autofree char *from = policy ? g_strconcat("policy:", policy, NULL) : NULL;
    json_object *of_policy = policy && policies ? drv_policies_find(policies, policy) : NULL;
    const drv_goals_layer layers[] = {
        {own, "vm"},
        {of_policy, from},
        {policies ? drv_policies_find(policies, DRV_GOALS_DEFAULT_POLICY) : NULL, "policy:" DRV_GOALS_DEFAULT_POLICY}};
    json_object *holds;

    if (!own)
        return NULL;
    if (policy && policies && !of_policy) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "it names policy %s, which does not exist", policy);
        return NULL;
    }
    holds = json_object_new_object();
    drv_goals_resolve(layers, G_N_ELEMENTS(layers), holds);
    drv_placement_resolve(layers, G_N_ELEMENTS(layers), holds);
    return holds;
}

void drv_rules_view(drv_context *ctx, const drv_fleet *fleet, json_object *vm, json_object *answer)
{
    g_autoptr(json_object) policies = drv_policies_ask(ctx, fleet, NULL);
    g_autoptr(json_object) holds =
        drv_rules_resolve(drv_json_object(vm, "goals"), drv_json_string(vm, "name", "?"), policies, NULL);
    json_object *from = drv_json_object(holds, "goals_from");

    for (guint i = 0; holds && i < DRV_PLACEMENT_RULES; i++) {
        const char *name = drv_placement_names[i];

        if (!json_object_object_get_ex(holds, name, NULL))
            continue;
        drv_json_set(answer, name, drv_json_copy(json_object_object_get(holds, name)));
        drv_json_set_string(drv_json_object(answer, "goals_from"), name, drv_json_string(from, name, NULL));
    }
}

void drv_rules_collect(drv_context *ctx, drv_fleet *fleet)
{
    g_autoptr(GError) problem = NULL;
    g_autoptr(json_object) policies = drv_policies_ask(ctx, fleet, &problem);
    g_autoptr(json_object) of_most = drv_rules_resolve(NULL, "?", policies, NULL);

    if (!policies)
        g_ptr_array_add(fleet->warnings,
                        g_strdup_printf("rules that VMs have from policies are not known: %s", problem->message));
    for (guint i = 0; i < fleet->vms->len; i++) {
        drv_fleet_vm *vm = fleet->vms->pdata[i];
        g_autoptr(GError) error = NULL;
        json_object *holds = vm->goals && json_object_object_length(vm->goals)
                                 ? drv_rules_resolve(vm->goals, vm->name, policies, &error)
                                 : json_object_get(of_most);

        if (error)
            vm->problem = drv_fleet_text(fleet, error->message);
        json_object_put(vm->goals);
        vm->goals = holds;
        if (holds)
            drv_fleet_rules_from_json(fleet, vm, holds);
    }
}
