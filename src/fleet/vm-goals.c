/* SPDX-License-Identifier: Apache-2.0 */
/* The goals that hold for a VM's move, and those that it keeps: see vm-goals.h. */
#include "fleet/vm-goals.h"

#include "fleet/policies.h"
#include "fleet/rules.h"
#include "fleet/snapshot.h"
#include "hyper/domain-xml.h"
#include "hyper/domain.h"
#include "hyper/goals.h"
#include "node/leader.h"
#include "plan/goals.h"
#include "plan/place.h"

enum { OF_MOVE, OF_VM, OF_POLICY, OF_DEFAULT, LAYERS };

/* What is against the goals that a VM keeps has its remedy behind the last colon. */
static void add_problem(drv_checks *checks, const GError *problem)
{
    drv_checks_problem(checks, DRV_ABOUT_GOALS, "%s", problem->message);
}

/* A move that excludes post-copy has said what it wants of it. */
static json_object *options_of(json_object *goal)
{
    json_object *options = drv_json_copy(goal);

    if (g_str_equal(drv_json_string(goal, "method", "auto"), "pre-copy"))
        drv_json_set_string(options, "post_copy", "never");
    return options;
}

/* A VM that relies on a policy is not moved by other goals; one that does not goes on. */
static void founder_is_away(const char *vm, const char *policy, const char *lacking, const GError *why,
                            drv_checks *checks)
{
    if (policy)
        drv_checks_problem(checks, DRV_ABOUT_GOALS,
                           "%s names policy %s, which cannot be asked for: %s" DRV_REMEDY
                           "start droverd there, or give with this move all that the VM itself "
                           "leaves open: %s",
                           vm, policy, why->message, lacking);
    else
        drv_checks_warn(checks, DRV_ABOUT_GOALS,
                        "whether there is a policy " DRV_GOALS_DEFAULT_POLICY
                        " for %s is not known, so it moves without: %s" DRV_REMEDY
                        "start droverd there, or give with this move what it shall not leave open: %s",
                        vm, why->message, lacking);
}

void drv_fleet_decide_goals(drv_context *ctx, const drv_fleet *fleet, json_object *vm, json_object *goal,
                            json_object *step, drv_checks *checks)
{
    const char *name = drv_json_string(vm, "name", "?");
    g_autoptr(GError) problem = NULL;
    g_autoptr(json_object) options = options_of(goal);
    g_autoptr(json_object) own = drv_goals_from_attributes(drv_json_object(vm, "goals"), name, &problem);
    const char *policy = drv_json_string(own, "policy", NULL);
    g_autofree char *from = policy ? g_strconcat("policy:", policy, NULL) : NULL;
    drv_goals_layer layers[LAYERS] = {
        {options, "option"}, {own, "vm"}, {NULL, from}, {NULL, "policy:" DRV_GOALS_DEFAULT_POLICY}};
    g_autofree char *lacking = drv_goals_lacking(layers, OF_POLICY);
    g_autoptr(json_object) policies = NULL;
    g_autofree char *text = NULL;

    if (!own)
        add_problem(checks, problem);
    if (own && lacking) {
        policies = drv_policies_ask(ctx, fleet, &problem);
        if (!policies)
            founder_is_away(name, policy, lacking, problem, checks);
        layers[OF_POLICY].goals = policy ? drv_policies_find(policies, policy) : NULL;
        layers[OF_DEFAULT].goals = drv_policies_find(policies, DRV_GOALS_DEFAULT_POLICY);
        if (policies && policy && !layers[OF_POLICY].goals)
            drv_checks_problem(checks, DRV_ABOUT_GOALS,
                               "%s names policy %s, which does not exist" DRV_REMEDY
                               "'drover policy set %s' makes it, 'drover vm goals %s --policy NAME' "
                               "names another",
                               name, policy, policy, name);
    }
    drv_goals_resolve(layers, LAYERS, step);
    text = drv_goals_text(step);
    drv_checks_ok(checks, DRV_ABOUT_GOALS, "%s", text);
}

/* ---- at the VM's node ---- */

/* While it moves libvirt takes no change, and the copy under way would not have it. */
static drv_domain *quiet_domain(drv_context *ctx, const char *uuid, GError **error)
{
    drv_domain *domain = drv_hyper_domain(ctx->hyper, uuid, error);

    if (domain && (domain->busy || drv_node_is_leaving(ctx, domain->uuid))) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                    "%s is being moved, or libvirt is busy with it: its goals can be changed when "
                    "that is over ('drover jobs' shows it)",
                    domain->name);
        g_clear_pointer(&domain, drv_domain_free);
    }
    return domain;
}

json_object *drv_fleet_local_goals_set(drv_context *ctx, const char *uuid, json_object *goals, GError **error)
{
    g_autoptr(drv_domain) domain = NULL;
    g_autoptr(GHashTable) attributes = NULL;

    if (!drv_goals_check_kept(goals, TRUE, error))
        return NULL;
    domain = quiet_domain(ctx, uuid, error);
    if (!domain)
        return NULL;
    attributes = drv_goals_to_attributes(domain->goals, goals);
    return drv_hyper_set_goals(ctx->hyper, domain->uuid, attributes, error) ? json_object_new_object() : NULL;
}

json_object *drv_fleet_local_goals_clear(drv_context *ctx, const char *uuid, GError **error)
{
    g_autoptr(drv_domain) domain = quiet_domain(ctx, uuid, error);

    return domain && drv_hyper_set_goals(ctx->hyper, domain->uuid, NULL, error) ? json_object_new_object() : NULL;
}

/* ---- at any node ---- */

static json_object *ask_vm(drv_context *ctx, const drv_fleet_vm *vm, const char *method, const char *rest,
                           json_object *body, GError **error)
{
    g_autofree char *path = g_strdup_printf("/v1/peer/vms/%s%s", vm->uuid, rest);

    return (g_str_equal(method, "GET") ? drv_node_call : drv_leader_act)(ctx, vm->node, method, path, body,
                                                                         DRV_NODE_PEER_TIMEOUT_MS, error);
}

static json_object *view(drv_context *ctx, const drv_fleet *fleet, const drv_fleet_vm *which, GError **error)
{
    g_autoptr(json_object) vm = ask_vm(ctx, which, "GET", "", NULL, error);
    g_autoptr(json_object) nothing = json_object_new_object();
    g_autoptr(drv_checks) checks = drv_checks_new();
    g_autoptr(json_object) findings = NULL;
    json_object *answer, *own;

    if (!vm)
        return NULL;
    own = drv_goals_from_attributes(drv_json_object(vm, "goals"), which->name, error);
    if (!own)
        return NULL;
    answer = json_object_new_object();
    drv_json_set_string(answer, "vm", which->name);
    drv_json_set_string(answer, "uuid", which->uuid);
    drv_json_set_string(answer, "node", which->node);
    drv_json_set(answer, "own", own);
    drv_fleet_decide_goals(ctx, fleet, vm, nothing, answer, checks);
    drv_rules_view(ctx, fleet, vm, answer);
    findings = drv_checks_json(checks);
    for (gsize i = 0; i < drv_json_length(findings); i++) {
        json_object *one = json_object_array_get_idx(findings, i);

        if (!g_str_equal(drv_json_string(one, "name", ""), drv_check_table[DRV_ABOUT_GOALS].id))
            continue;
        drv_json_set_string(answer, "status", drv_json_string(one, "status", NULL));
        drv_json_set_string(answer, "message", drv_json_string(one, "message", NULL));
        drv_json_set_string(answer, "remedy", drv_json_string(one, "remedy", NULL));
        break;
    }
    return answer;
}

json_object *drv_fleet_vm_goals(drv_context *ctx, const char *name, GError **error)
{
    g_autoptr(drv_fleet) fleet = drv_snapshot_fleet(ctx, error);
    const drv_fleet_vm *vm = fleet ? drv_plan_find_vm(fleet, name, error) : NULL;

    return vm ? view(ctx, fleet, vm, error) : NULL;
}

static gboolean depends_on_itself(const drv_fleet_vm *vm, json_object *goals, GError **error)
{
    json_object *list = drv_json_array(goals, "depends_on");

    for (gsize i = 0; i < drv_json_length(list); i++) {
        const char *on = json_object_get_string(json_object_array_get_idx(list, i));

        if (!g_str_equal(on, vm->name) && g_ascii_strcasecmp(on, vm->uuid) != 0)
            continue;
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "%s cannot move after itself: leave it out of depends_on",
                    vm->name);
        return TRUE;
    }
    return FALSE;
}

json_object *drv_fleet_vm_goals_set(drv_context *ctx, const char *name, json_object *goals, GError **error)
{
    const char *policy = drv_json_string(goals, "policy", NULL);
    g_autoptr(drv_fleet) fleet = NULL;
    g_autoptr(json_object) answer = NULL;
    const drv_fleet_vm *vm;

    if (!drv_goals_check_kept(goals, TRUE, error))
        return NULL;
    fleet = drv_snapshot_fleet(ctx, error);
    vm = fleet ? drv_plan_find_vm(fleet, name, error) : NULL;
    if (!vm)
        return NULL;
    if (depends_on_itself(vm, goals, error))
        return NULL;
    if (policy) {
        g_autoptr(json_object) policies = drv_policies_ask(ctx, fleet, error);

        if (policies && !drv_policies_find(policies, policy))
            drv_policies_no_such(policy, error);
        if (!drv_policies_find(policies, policy))
            return NULL;
    }
    answer = ask_vm(ctx, vm, "PUT", "/goals", goals, error);
    return answer ? view(ctx, fleet, vm, error) : NULL;
}

json_object *drv_fleet_vm_goals_clear(drv_context *ctx, const char *name, GError **error)
{
    g_autoptr(drv_fleet) fleet = drv_snapshot_fleet(ctx, error);
    const drv_fleet_vm *vm = fleet ? drv_plan_find_vm(fleet, name, error) : NULL;
    g_autoptr(json_object) answer = vm ? ask_vm(ctx, vm, "DELETE", "/goals", NULL, error) : NULL;

    return answer ? view(ctx, fleet, vm, error) : NULL;
}
