/* SPDX-License-Identifier: Apache-2.0 */
/* Known content as operators see it, of all nodes; and whose a VM is. See run.h. */
#include "plan/place.h"
#include "run/internal.h"

#define OWNER_MOST 64

/* ---- the nodes' stores ---- */

static json_object *no_store(GError **error)
{
    g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "this node keeps no content");
    return NULL;
}

json_object *drv_run_local_content(drv_run *run, GError **error)
{
    return run->content ? drv_content_list(run->content) : no_store(error);
}

json_object *drv_run_local_content_prune(drv_run *run, json_object *what, GError **error)
{
    return run->content ? drv_content_prune(run->content, what, error) : no_store(error);
}

json_object *drv_run_local_content_set(drv_run *run, json_object *what, GError **error)
{
    return run->content ? drv_content_set(run->content, what, error) : no_store(error);
}

static void add_contents(json_object *answer, json_object *all, const char *node)
{
    json_object *list = drv_json_array(answer, "contents");

    for (gsize i = 0; i < drv_json_length(list); i++) {
        json_object *one = json_object_array_get_idx(list, i);

        drv_json_set_string(one, "node", node);
        json_object_array_add(all, json_object_get(one));
    }
    json_object_object_del(answer, "contents");
}

static void add_silent(json_object *unreachable, const char *node, const GError *problem)
{
    json_object *entry = json_object_new_object();

    drv_json_set_string(entry, "node", node);
    drv_json_set_string(entry, "message", problem->message);
    json_object_array_add(unreachable, entry);
}

/* Asks the node that is named in @body, or all. What is wrong with what was asked is an error. */
static json_object *ask(drv_run *run, const char *method, const char *path, json_object *body,
                        GError **error)
{
    const char *only = drv_json_string(body, "node", NULL);
    g_autoptr(GPtrArray) members = run->peers->members(run->peers->data);
    g_autoptr(json_object) answer = json_object_new_object();
    json_object *nodes = json_object_new_array(), *all = json_object_new_array();
    json_object *unreachable = json_object_new_array();
    guint asked = 0;

    drv_json_set(answer, "nodes", nodes);
    drv_json_set(answer, "contents", all);
    drv_json_set(answer, "unreachable", unreachable);
    for (guint i = 0; i < members->len; i++) {
        const char *name = ((const drv_member *)members->pdata[i])->name;
        g_autoptr(GError) problem = NULL;
        json_object *one;

        if (only && !g_str_equal(only, name))
            continue;
        asked++;
        one = drv_run_call(run, name, method, path, body, DRV_RUN_PEER_TIMEOUT_MS, &problem);
        if (one) {
            add_contents(one, all, name);
            drv_json_set_string(one, "node", name);
            json_object_array_add(nodes, one);
        } else if (problem->code == DRV_ERROR_INVALID) {
            g_propagate_error(error, g_steal_pointer(&problem));
            return NULL;
        } else {
            add_silent(unreachable, name, problem);
        }
    }
    if (only && !asked) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "there is no node %.64s", only);
        return NULL;
    }
    return g_steal_pointer(&answer);
}

json_object *drv_run_contents(drv_run *run, GError **error)
{
    return ask(run, "GET", "/v1/peer/content", NULL, error);
}

json_object *drv_run_contents_prune(drv_run *run, json_object *what, GError **error)
{
    return ask(run, "POST", "/v1/peer/content", what, error);
}

json_object *drv_run_contents_set(drv_run *run, json_object *what, GError **error)
{
    return ask(run, "PUT", "/v1/peer/content", what, error);
}

/* ---- whose a VM is ---- */

static gboolean is_owner(const char *name, GError **error)
{
    gsize length = name ? strlen(name) : 0;

    if (length && length <= OWNER_MOST &&
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == length)
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                "an owner's name has 1 to %d letters, digits and ._-", OWNER_MOST);
    return FALSE;
}

/* @body: {"owner"}: a name, or null: of nobody in particular. */
json_object *drv_run_local_owner_set(drv_run *run, const char *uuid, json_object *body,
                                     GError **error)
{
    const char *owner = drv_json_string(body, "owner", NULL);
    g_autoptr(drv_domain) domain = NULL;

    if (owner && !is_owner(owner, error))
        return NULL;
    domain = drv_hyper_domain(run->hyper, uuid, error);
    if (domain && (domain->busy || drv_run_is_leaving(run, domain->uuid))) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                    "%s is being moved, or libvirt is busy with it: its owner can be changed when "
                    "that is over ('drover jobs' shows it)",
                    domain->name);
        return NULL;
    }
    return domain && drv_hyper_set_owner(run->hyper, domain->uuid, owner, error)
               ? json_object_new_object()
               : NULL;
}

json_object *drv_run_vm_owner(drv_run *run, const char *name, GError **error)
{
    g_autoptr(drv_fleet) fleet = drv_run_fleet(run, error);
    const drv_fleet_vm *vm = fleet ? drv_plan_find_vm(fleet, name, error) : NULL;
    g_autofree char *path = vm ? g_strdup_printf("/v1/peer/vms/%s", vm->uuid) : NULL;
    g_autoptr(json_object) view =
        vm ? drv_run_call(run, vm->node, "GET", path, NULL, DRV_RUN_PEER_TIMEOUT_MS, error) : NULL;
    json_object *answer;

    if (!view)
        return NULL;
    answer = json_object_new_object();
    drv_json_set_string(answer, "vm", vm->name);
    drv_json_set_string(answer, "uuid", vm->uuid);
    drv_json_set_string(answer, "node", vm->node);
    drv_json_set_string(answer, "owner", drv_json_string(view, "owner", DRV_CONTENT_OWNER));
    return answer;
}

json_object *drv_run_vm_owner_set(drv_run *run, const char *name, json_object *body, GError **error)
{
    g_autoptr(drv_fleet) fleet = drv_run_fleet(run, error);
    const drv_fleet_vm *vm = fleet ? drv_plan_find_vm(fleet, name, error) : NULL;
    g_autofree char *path = vm ? g_strdup_printf("/v1/peer/vms/%s/owner", vm->uuid) : NULL;
    g_autoptr(json_object) done =
        vm ? drv_run_call(run, vm->node, "PUT", path, body, DRV_RUN_PEER_TIMEOUT_MS, error) : NULL;

    return done ? drv_run_vm_owner(run, name, error) : NULL;
}
