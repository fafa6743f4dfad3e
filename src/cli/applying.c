/* SPDX-License-Identifier: Apache-2.0 */
/* Begin what a plan says: see applying.h. */
#include "cli/applying.h"

#include "base/clock.h"
#include "hyper/gerror.h"

/* How long droverd may be away between asking it to begin and hearing that it did. */
#define APPLY_PATIENCE_MS 30000
#define APPLY_RETRY_US 300000

/* The operation, or the one job in "jobs", of @answer. Transfer full; NULL: there is none. */
static char *begun(json_object *answer)
{
    const char *operation = drv_json_string(answer, "operation", NULL);
    json_object *jobs = drv_json_array(answer, "jobs");
    json_object *id = drv_json_length(jobs) ? json_object_array_get_idx(jobs, 0) : NULL;

    if (operation)
        return g_strdup(operation);
    return json_object_is_type(id, json_type_string) ? g_strdup(json_object_get_string(id)) : NULL;
}

char *drv_applying(drv_cli *cli, const char *plan, GError **error)
{
    g_autofree char *look = drv_cli_path("/v1/plans/", plan, "");
    g_autofree char *apply = drv_cli_path("/v1/plans/", plan, "/apply");
    gint64 until = drv_clock_ms() + APPLY_PATIENCE_MS;
    gboolean asked_before = FALSE;

    for (;;) {
        g_autoptr(GError) reason = NULL;
        g_autoptr(json_object) answer = NULL;
        char *job;

        if (asked_before) {
            answer = drv_cli_call(cli, "GET", look, NULL, &reason);
            job = answer ? begun(answer) : NULL;
            if (job)
                return job;
            g_clear_pointer(&answer, json_object_put);
        }
        if (!reason)
            answer = drv_cli_call(cli, "POST", apply, NULL, &reason);
        if (answer) {
            job = begun(answer);
            if (!job)
                g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED,
                            "droverd began plan %s but named no job; “drover jobs” shows it", plan);
            return job;
        }
        if (!g_error_matches(reason, DRV_ERROR, DRV_ERROR_UNREACHABLE) || drv_clock_ms() >= until) {
            g_propagate_error(error, g_steal_pointer(&reason));
            return NULL;
        }
        if (!asked_before)
            drv_cli_message(cli, "droverd does not answer (%s), trying again", reason->message);
        asked_before = TRUE;
        g_usleep(APPLY_RETRY_US);
    }
}
