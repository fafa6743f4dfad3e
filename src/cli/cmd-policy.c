/* SPDX-License-Identifier: Apache-2.0 */
/* drover policy list, show, set, delete. */
#include "cli/cmd-policy.h"

#include "cli/cli.h"
#include "cli/goals.h"
#include "cli/table.h"
#include "hyper/gerror.h"
#include "plan/placement.h"

#define POLICIES "/v1/policies"

static const char *const heads[] = {"NAME", ">PAUSE", ">TIME", ">BANDWIDTH", "POST-COPY", "RULES", NULL};

/* "priority 5, apart web", or "-". */
static char *show_rules(json_object *policy)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < DRV_PLACEMENT_RULES; i++) {
        g_autofree char *value = drv_goals_show_rule(policy, drv_placement_names[i]);
        g_autofree char *name = g_strdelimit(g_strdup(drv_placement_names[i]), "_", '-');

        if (!g_str_equal(value, "-"))
            g_string_append_printf(text, "%s%s %s", text->len ? ", " : "", name, value);
    }
    return g_strdup(text->len ? text->str : "-");
}

static void add_row(drv_table *table, json_object *policy)
{
    drv_table_add(table, drv_show_text(policy, "name"));
    drv_table_add(table, drv_goals_show_pause(policy));
    drv_table_add(table, drv_goals_show_time(policy));
    drv_table_add(table, drv_goals_show_bandwidth(policy));
    drv_table_add(table, drv_goals_show_post_copy(policy));
    drv_table_add(table, show_rules(policy));
}

static int print_one(drv_cli *cli, json_object *policy)
{
    g_autoptr(drv_table) table = drv_table_new(heads);

    add_row(table, policy);
    return drv_cli_show_list(cli, policy, table);
}

int drv_cmd_policy_list(drv_cli *cli, const drv_args *args, GError **error)
{
    g_autoptr(json_object) answer = drv_cli_call(cli, "GET", POLICIES, NULL, error);
    g_autoptr(drv_table) table = drv_table_new(heads);
    json_object *list = drv_show_sorted(answer, "policies");

    if (!answer)
        return -1;
    for (gsize i = 0; i < drv_json_length(list); i++)
        add_row(table, json_object_array_get_idx(list, i));
    return drv_cli_show_list(cli, answer, table);
}

int drv_cmd_policy_show(drv_cli *cli, const drv_args *args, GError **error)
{
    g_autofree char *path = drv_cli_path(POLICIES "/", drv_args_operand(args, 0), "");
    g_autoptr(json_object) policy = drv_cli_call(cli, "GET", path, NULL, error);

    return policy ? print_one(cli, policy) : -1;
}

/* What the policy has now, nothing if there is none yet. NULL and @error: it cannot be asked for. */
static json_object *goals_now(drv_cli *cli, const char *path, GError **error)
{
    g_autoptr(GError) problem = NULL;
    g_autoptr(json_object) policy = drv_cli_call(cli, "GET", path, NULL, &problem);

    if (policy || g_error_matches(problem, DRV_ERROR, DRV_ERROR_NOT_FOUND))
        return drv_goals_own(policy);
    g_propagate_error(error, g_steal_pointer(&problem));
    return NULL;
}

int drv_cmd_policy_set(drv_cli *cli, const drv_args *args, GError **error)
{
    g_autofree char *path = drv_cli_path(POLICIES "/", drv_args_operand(args, 0), "");
    gboolean clear = drv_args_has(args, "clear"), any;
    g_autoptr(json_object) goals = NULL;
    g_autoptr(json_object) policy = NULL;

    goals = clear ? json_object_new_object() : goals_now(cli, path, error);
    if (!goals)
        return -1;
    any = drv_goals_options_add(args, goals);
    if (!drv_goals_rules_add(args, goals, &any, error))
        return -1;
    if (!any && !clear) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "say what the policy shall be: --max-pause, --max-time, --bandwidth, --post-copy, "
                    "--priority, --depends-on, --apart, --together or --node-label");
        return -1;
    }
    policy = drv_cli_call(cli, "PUT", path, goals, error);
    return policy ? print_one(cli, policy) : -1;
}

int drv_cmd_policy_delete(drv_cli *cli, const drv_args *args, GError **error)
{
    const char *name = drv_args_operand(args, 0);
    g_autofree char *path = drv_cli_path(POLICIES "/", name, drv_args_has(args, "force") ? "?force=1" : "");
    g_autoptr(json_object) answer = drv_cli_call(cli, "DELETE", path, NULL, error);

    if (!answer)
        return -1;
    if (cli->json)
        drv_cli_print_json(cli, answer);
    else
        drv_cli_message(cli, "policy %s is deleted", name);
    return DRV_EXIT_DONE;
}
