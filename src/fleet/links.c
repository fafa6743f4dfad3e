/* SPDX-License-Identifier: Apache-2.0 */
/* A link that an operator wants to have measured: see links.h. */
#include "fleet/links.h"

#include "model/json.h"
#include "node/leader.h"

json_object *drv_fleet_probe_link(drv_context *ctx, json_object *body, GError **error)
{
    const char *from = drv_json_string(body, "from", NULL);
    const char *to = drv_json_string(body, "to", NULL);
    g_autoptr(json_object) request = json_object_new_object();

    if (!from || !to) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "\"from\" and \"to\" name the link's nodes");
        return NULL;
    }
    drv_json_set_string(request, "to", to);
    return drv_leader_act(ctx, from, "POST", "/v1/peer/links", request, DRV_NODE_PREPARE_TIMEOUT_MS, error);
}
