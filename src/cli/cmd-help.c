/* SPDX-License-Identifier: Apache-2.0 */
/* drover help. */
#include "cli/cmd-help.h"

#include "cli/cli.h"
#include "cli/help.h"

int drv_cmd_help(drv_cli *cli, const drv_args *args, GError **error)
{
    /* "help migrate" is "migrate --help": one way to find a command, one to show it. */
    char *argv[] = {(char *)"drover", (char *)"--help", (char *)drv_args_operand(args, 0),
                    (char *)drv_args_operand(args, 1)};
    g_autoptr(drv_args) about = NULL;

    if (cli->json) {
        g_autoptr(json_object) all = drv_help_json();

        drv_cli_print_json(cli, all);
        return DRV_EXIT_DONE;
    }
    about = drv_args_parse(2 + (int)args->operands->len, argv, error);
    if (!about)
        return -1;
    if (about->command)
        drv_help_command(cli->out, about->command);
    else if (about->group)
        drv_help_group(cli->out, about->group);
    else
        drv_help_overview(cli->out);
    return DRV_EXIT_DONE;
}
