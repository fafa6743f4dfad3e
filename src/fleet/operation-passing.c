/* SPDX-License-Identifier: Apache-2.0 */
/* What passes by itself: see operation-passing.h. */
#include "fleet/operation-passing.h"

#include "hyper/gerror.h"
#include "node/context.h"

gboolean drv_passing_job(json_object *job)
{
    const char *state = drv_json_string(job, "state", "");
    gboolean offline = g_str_equal(drv_json_string(drv_json_object(job, "step"), "method", ""), "offline");
    gboolean rolled_back = g_str_equal(state, "rolled-back");

    if (!rolled_back && !g_str_equal(state, "failed"))
        return FALSE;
    if (drv_json_bool(job, "cancel_requested"))
        return FALSE;
    /* A live migration that was copying bears restarts: one that has lost its link has lost more. */
    return drv_json_bool(job, DRV_FACT_INTERRUPTED) ||
           ((!rolled_back || offline) &&
            drv_error_code_from_name(drv_json_string(job, "error_code", NULL)) == DRV_ERROR_UNREACHABLE);
}

gboolean drv_passing_is_borne(json_object *step, gint64 now_ms)
{
    gint64 since_ms = drv_json_int(step, "passing_since_ms", 0);

    return !since_ms || now_ms - since_ms < DRV_PASSING_MOST_MS;
}
