/* SPDX-License-Identifier: Apache-2.0 */
/* What may be asked for: see plan-request.h. */
#include "fleet/plan-request.h"

#include <string.h>

#include "move/convergence.h"
#include "plan/goals.h"

static gboolean check_disk_goal(json_object *goal, GError **error)
{
    static const char *const modes[] = {"auto", "copy", "shared", NULL};
    static const char *const methods[] = {"auto", "pre-copy", "post-copy", "hybrid", "offline", NULL};
    const char *method = drv_json_string(goal, "method", "auto");
    const char *disks = drv_json_string(goal, "disks", "auto");
    gboolean storage_only = drv_json_bool(goal, "storage_only");

    if (!g_strv_contains(modes, disks))
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "disks is '%s'; it must be auto, copy or shared", disks);
    else if (!g_strv_contains(methods, method))
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "method is '%s'; it must be auto, pre-copy, post-copy, hybrid or offline", method);
    else if (storage_only && !drv_json_string(goal, "target_pool", NULL))
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "--storage-only needs --target-pool (\"target_pool\"): the pool where the disks go");
    else if (storage_only && drv_json_string(goal, "target", NULL))
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "moving storage only is within the VM's host: leave out the target");
    else
        return TRUE;
    return FALSE;
}

static gboolean check_way(json_object *goal, GError **error)
{
    const char *method = drv_json_string(goal, "method", "auto");
    gboolean if_needed = g_str_equal(drv_json_string(goal, "post_copy", "never"), "if-needed");

    if (if_needed && drv_method_from_name(method) == DRV_METHOD_PRE_COPY) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "post-copy cannot be both allowed and excluded: leave out the method, or do not "
                    "allow post-copy");
        return FALSE;
    }
    return TRUE;
}

/* {"vda": "/path" or "pool/volume"}. */
static gboolean check_seeds(json_object *goal, GError **error)
{
    json_object *seeds = drv_json_object(goal, "disk_seeds");

    if (!seeds)
        return TRUE;
    json_object_object_foreach(seeds, disk, where)
    {
        const char *text = json_object_is_type(where, json_type_string) ? json_object_get_string(where) : "";

        if (!strchr(text, '/')) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                        "the older image of %s is '%s'; it must be a path, or POOL/VOLUME", disk, text);
            return FALSE;
        }
    }
    return TRUE;
}

gboolean drv_goal_check(json_object *goal, GError **error)
{
    static const char *const known[] = {
        "goal",          "check",     "predict", "vm",          "uuid",         "target", "max_pause_ms", "max_time_ms",
        "bandwidth_bps", "post_copy", "disks",   "target_pool", "map_networks", "method", "storage_only", "disk_seeds"};

    json_object_object_foreach(goal, key, value)
    {
        gboolean found = FALSE;

        for (guint i = 0; i < G_N_ELEMENTS(known); i++)
            found |= g_str_equal(known[i], key);
        if (!found) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "a goal has no member '%s'", key);
            return FALSE;
        }
    }
    if (g_strcmp0(drv_json_string(goal, "goal", NULL), "migrate") != 0 ||
        !drv_json_string(goal, "vm", NULL) == !drv_json_string(goal, "uuid", NULL)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "a plan needs \"goal\": \"migrate\" and \"vm\", the VM's name or UUID, or \"uuid\", its "
                    "UUID and nothing else; or a goal of the fleet, as \"evacuate\" and \"node\"");
        return FALSE;
    }
    if (!drv_goals_check(goal, error) || !check_way(goal, error))
        return FALSE;
    return check_disk_goal(goal, error) && check_seeds(goal, error);
}
