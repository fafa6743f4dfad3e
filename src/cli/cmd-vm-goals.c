/* SPDX-License-Identifier: Apache-2.0 */
/* drover vm goals: what a VM keeps, and what holds for its moves. */
#include "cli/cmd-vm-goals.h"

#include "cli/cli.h"
#include "cli/goals.h"
#include "cli/table.h"
#include "plan/placement.h"

static char *show_from(json_object *answer, const char *key)
{
    return drv_show_text(drv_json_object(answer, "goals_from"), key);
}

static void print(drv_cli *cli, json_object *answer)
{
    static const char *const heads[] = {"GOAL", "VM'S OWN", "HOLDS", "FROM", NULL};
    static const struct {
        const char *title, *key;
        char *(*show)(json_object *goals);
    } rows[] = {{"max-pause", "max_pause_ms", drv_goals_show_pause},
                {"max-time", "max_time_ms", drv_goals_show_time},
                {"bandwidth", "bandwidth_bps", drv_goals_show_bandwidth},
                {"post-copy", "post_copy", drv_goals_show_post_copy}};
    g_autoptr(drv_table) table = drv_table_new(heads);
    json_object *own = drv_json_object(answer, "own");
    const char *status = drv_json_string(answer, "status", "ok");
    const char *remedy = drv_json_string(answer, "remedy", NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        drv_table_add(table, g_strdup(rows[i].title));
        drv_table_add(table, rows[i].show(own));
        drv_table_add(table, rows[i].show(answer));
        drv_table_add(table, show_from(answer, rows[i].key));
    }
    for (guint i = 0; i < DRV_PLACEMENT_RULES; i++) {
        const char *name = drv_placement_names[i];

        /* Most VMs have none of them. */
        if (!json_object_object_get(own, name) && !json_object_object_get(answer, name))
            continue;
        drv_table_add(table, g_strdelimit(g_strdup(name), "_", '-'));
        drv_table_add(table, drv_goals_show_rule(own, name));
        drv_table_add(table, drv_goals_show_rule(answer, name));
        drv_table_add(table, show_from(answer, name));
    }
    drv_table_add(table, g_strdup("policy"));
    drv_table_add(table, drv_show_text(own, "policy"));
    drv_table_add(table, NULL);
    drv_table_add(table, NULL);
    drv_table_print(table, cli->out);
    if (!g_str_equal(status, "ok"))
        drv_cli_message(cli, "%s: %s%s%s", status, drv_json_string(answer, "message", "?"), remedy ? ": " : "",
                        remedy ? remedy : "");
}

int drv_cmd_vm_goals(drv_cli *cli, const drv_args *args, GError **error)
{
    g_autofree char *path = drv_cli_path("/v1/vms/", drv_args_operand(args, 0), "/goals");
    gboolean clear = drv_args_has(args, "clear");
    g_autoptr(json_object) given = json_object_new_object();
    g_autoptr(json_object) answer = NULL;
    gboolean any = drv_goals_options_add(args, given);

    if (!drv_goals_rules_add(args, given, &any, error))
        return -1;
    if (clear && any) {
        answer = drv_cli_call(cli, "PUT", path, given, error);
    } else if (clear) {
        answer = drv_cli_call(cli, "DELETE", path, NULL, error);
    } else {
        answer = drv_cli_call(cli, "GET", path, NULL, error);
        if (answer && any) {
            g_autoptr(json_object) goals = drv_goals_own(drv_json_object(answer, "own"));

            drv_goals_options_add(args, goals);
            drv_goals_rules_add(args, goals, &any, NULL);
            json_object_put(answer);
            answer = drv_cli_call(cli, "PUT", path, goals, error);
        }
    }
    if (!answer)
        return -1;
    if (cli->json)
        drv_cli_print_json(cli, answer);
    else
        print(cli, answer);
    return DRV_EXIT_DONE;
}
