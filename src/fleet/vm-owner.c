/* SPDX-License-Identifier: Apache-2.0 */
/* Whose a VM is: content of its memory serves VMs of the same owner only. See serve/serve.h. */
#include "fleet/vm-owner.h"

#include "cache/cache.h"
#include "fleet/snapshot.h"
#include "hyper/domain-xml.h"
#include "hyper/domain.h"
#include "hyper/goals.h"
#include "node/context.h"
#include "node/leader.h"
#include "plan/place.h"

#define OWNER_MOST 64

static gboolean is_owner(const char *name, GError **error)
{
    gsize length = name ? strlen(name) : 0;

    if (length && length <= OWNER_MOST &&
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == length)
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "an owner's name has 1 to %d letters, digits and ._-", OWNER_MOST);
    return FALSE;
}

/* @body: {"owner"}: a name, or null: of nobody in particular. */
json_object *drv_fleet_local_owner_set(drv_context *ctx, const char *uuid, json_object *body, GError **error)
{
    const char *owner = drv_json_string(body, "owner", NULL);
    g_autoptr(drv_domain) domain = NULL;

    if (owner && !is_owner(owner, error))
        return NULL;
    domain = drv_hyper_domain(ctx->hyper, uuid, error);
    if (domain && (domain->busy || drv_node_is_leaving(ctx, domain->uuid))) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                    "%s is being moved, or libvirt is busy with it: its owner can be changed when "
                    "that is over ('drover jobs' shows it)",
                    domain->name);
        return NULL;
    }
    return domain && drv_hyper_set_owner(ctx->hyper, domain->uuid, owner, error) ? json_object_new_object() : NULL;
}

json_object *drv_fleet_vm_owner(drv_context *ctx, const char *name, GError **error)
{
    g_autoptr(drv_fleet) fleet = drv_snapshot_fleet(ctx, error);
    const drv_fleet_vm *vm = fleet ? drv_plan_find_vm(fleet, name, error) : NULL;
    g_autofree char *path = vm ? g_strdup_printf("/v1/peer/vms/%s", vm->uuid) : NULL;
    g_autoptr(json_object) view =
        vm ? drv_node_call(ctx, vm->node, "GET", path, NULL, DRV_NODE_PEER_TIMEOUT_MS, error) : NULL;
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

json_object *drv_fleet_vm_owner_set(drv_context *ctx, const char *name, json_object *body, GError **error)
{
    g_autoptr(drv_fleet) fleet = drv_snapshot_fleet(ctx, error);
    const drv_fleet_vm *vm = fleet ? drv_plan_find_vm(fleet, name, error) : NULL;
    g_autofree char *path = vm ? g_strdup_printf("/v1/peer/vms/%s/owner", vm->uuid) : NULL;
    g_autoptr(json_object) done =
        vm ? drv_leader_act(ctx, vm->node, "PUT", path, body, DRV_NODE_PEER_TIMEOUT_MS, error) : NULL;

    return done ? drv_fleet_vm_owner(ctx, name, error) : NULL;
}
