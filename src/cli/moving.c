/* SPDX-License-Identifier: Apache-2.0 */
/* Wait for a job's end and say how it ended: see moving.h. */
#include "cli/moving.h"

#include <langinfo.h>

#include "cli/display.h"
#include "cli/follow.h"
#include "cli/report.h"

static int said_end(drv_cli *cli, const char *id, json_object *job)
{
    drv_exit code = drv_report_exit(job);
    const char *error = drv_report_error(job);

    if (cli->json) {
        g_autoptr(json_object) object = drv_report_json(job, NULL, NULL, NULL, NULL);

        drv_cli_print_json(cli, object);
    } else {
        drv_report_print(cli->out, job);
        fflush(cli->out);
    }
    if (error && code != DRV_EXIT_DONE)
        drv_cli_message(cli, "%s", error);
    if (code == DRV_EXIT_ATTENTION)
        drv_cli_message(cli, "“drover job %s” has the details", id);
    return (int)code;
}

int drv_moving_follow(drv_cli *cli, const char *id, gboolean cancels, gboolean quiet)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) job = NULL;
    g_autoptr(json_object) object = NULL;
    drv_display_mode mode = quiet ? DRV_DISPLAY_QUIET : drv_display_mode_for(cli->err);
    g_autoptr(drv_display) display =
        drv_display_new(cli->err, mode, g_str_equal(nl_langinfo(CODESET), "UTF-8"), NULL, NULL);
    drv_follow_options options = {.job = id, .display = display, .cancels = cancels};
    drv_follow_end end = DRV_FOLLOW_ERROR;

    options.api = drv_cli_api_get(cli, &error);
    if (options.api)
        end = drv_follow(&options, &job, &error);
    if (end == DRV_FOLLOW_ENDED)
        return said_end(cli, id, job);
    if (cli->json) {
        object = drv_report_json(job, NULL, NULL, end == DRV_FOLLOW_LEFT ? "running" : "unknown",
                                 error ? error->message : NULL);
        drv_cli_print_json(cli, object);
    }
    if (end == DRV_FOLLOW_LEFT)
        return DRV_EXIT_LEFT;
    drv_cli_message(cli, "%s", error->message);
    return (int)drv_exit_from_error(error);
}
