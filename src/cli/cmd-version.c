/* SPDX-License-Identifier: Apache-2.0 */
/* drover version. */
#include "cli/cmd-version.h"

#include "cli/cli.h"
#include "drv-config.h"

int drv_cmd_version(drv_cli *cli, const drv_args *args, GError **error)
{
    g_autoptr(GError) reason = NULL;
    g_autoptr(json_object) answer = drv_cli_call(cli, "GET", "/v1/version", NULL, &reason);

    /* This program's own version is an answer, also where no droverd is. */
    if (cli->json) {
        g_autoptr(json_object) both = json_object_new_object();

        json_object_object_add(both, "drover", json_object_new_string(DRV_VERSION));
        json_object_object_add(both, "droverd", answer ? json_object_get(answer) : NULL);
        drv_cli_print_json(cli, both);
    } else {
        fprintf(cli->out, "drover %s\n", DRV_VERSION);
        if (answer) {
            g_autofree char *version = drv_show_text(answer, "version");
            g_autofree char *node = drv_show_text(answer, "node");
            g_autofree char *cluster = drv_show_text(answer, "cluster");

            fprintf(cli->out, "droverd %s (node %s of cluster %s)\n", version, node, cluster);
        }
    }
    if (reason)
        drv_cli_message(cli, "no droverd answers: %s", reason->message);
    return DRV_EXIT_DONE;
}
