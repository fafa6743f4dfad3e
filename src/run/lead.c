/* SPDX-License-Identifier: Apache-2.0 */
/* Who leads: see lead.h. */
#include "run/lead.h"

char *drv_run_leader(drv_run *run)
{
    g_autoptr(GPtrArray) members = run->peers->members(run->peers->data);

    for (guint i = 0; i < members->len; i++) {
        const drv_member *member = members->pdata[i];

        if (member->founder)
            return g_strdup(member->name);
    }
    return NULL;
}

gboolean drv_run_leads(drv_run *run)
{
    g_autofree char *leader = drv_run_leader(run);

    return leader && g_str_equal(leader, run->node);
}

drv_store *drv_run_cluster_store(drv_run *run)
{
    return drv_run_leads(run) ? run->store : NULL;
}

json_object *drv_run_ask_leader(drv_run *run, const char *what, const char *method, const char *path,
                                json_object *body, guint timeout_ms, GError **error)
{
    g_autofree char *leader = drv_run_leader(run);
    g_autoptr(GError) problem = NULL;
    json_object *answer = NULL;

    if (leader)
        answer = drv_run_call(run, leader, method, path, body, timeout_ms, &problem);
    else
        g_set_error(&problem, DRV_ERROR, DRV_ERROR_UNREACHABLE,
                    "this node does not know it yet: try again in some seconds");
    if (answer)
        return answer;
    if (problem->code == DRV_ERROR_UNREACHABLE)
        g_prefix_error(&problem, "%s by the node that leads, %s: ", what, leader ? leader : "?");
    g_propagate_error(error, g_steal_pointer(&problem));
    return NULL;
}
