/* SPDX-License-Identifier: Apache-2.0 */
/* drover plan …: what would be done, and kept to be applied; of a fleet in a file also without droverd. */
#include "cli/cmd-plan.h"

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/cmd-migrate.h"
#include "cli/goals.h"
#include "cli/moving.h"
#include "cli/operating.h"
#include "cli/table.h"
#include "cli/units.h"
#include "hyper/gerror.h"
#include "model/fleet-json.h"
#include "plan/fleet-plan.h"

static int show(drv_cli *cli, json_object *plan)
{
    const char *id = drv_json_string(plan, "id", NULL);
    gboolean nothing = !drv_json_length(drv_json_array(plan, "steps"));

    if (cli->json) {
        drv_cli_print_json(cli, plan);
    } else {
        if (drv_json_string(plan, "replaced_by", NULL))
            drv_cli_message(cli, "it does not fit the fleet any more and was planned again as %s",
                            drv_json_string(plan, "replaced_by", NULL));
        drv_operating_print_plan(cli->out, plan);
        if (id && g_str_equal(drv_json_string(plan, "state", ""), "ready"))
            drv_cli_message(cli, "“drover apply %s” does it", id);
    }
    return nothing && drv_json_length(drv_json_array(plan, "refused")) ? DRV_EXIT_REFUSED : DRV_EXIT_DONE;
}

static int ask_for(drv_cli *cli, json_object *goal, GError **error)
{
    g_autoptr(json_object) plan = drv_cli_call(cli, "POST", "/v1/plans", goal, error);

    return plan ? show(cli, plan) : -1;
}

int drv_cmd_plan_migrate(drv_cli *cli, const drv_args *args, GError **error)
{
    g_autoptr(json_object) plan = drv_moving_plan(cli, args, error);

    return plan ? show(cli, plan) : -1;
}

static const char **operands(const drv_args *args)
{
    const char **names = g_new0(const char *, args->operands->len + 1);

    for (guint i = 0; i < args->operands->len; i++)
        names[i] = args->operands->pdata[i];
    return names;
}

typedef json_object *(*planner)(const drv_fleet *fleet, const drv_args *args, const drv_plan_limits *limits,
                                GError **error);

/* The same planner, on the fleet in a file: nothing can be applied. */
static int plan_file(drv_cli *cli, const drv_args *args, planner make, GError **error)
{
    g_autoptr(json_object) goal = json_object_new_object();
    g_autoptr(drv_fleet) fleet = NULL;
    g_autoptr(json_object) plan = NULL;
    drv_plan_limits limits;

    drv_operating_limits_add(args, goal);
    if (!drv_plan_limits_from_json(drv_json_object(goal, "limits"), &limits, error))
        return -1;
    fleet = drv_fleet_load(drv_args_text(args, "fleet"), error);
    plan = fleet ? make(fleet, args, &limits, error) : NULL;
    return plan ? show(cli, plan) : -1;
}

static json_object *evacuate(const drv_fleet *fleet, const drv_args *args, const drv_plan_limits *limits,
                             GError **error)
{
    g_autofree const char **nodes = operands(args);

    return drv_plan_evacuate(fleet, nodes, limits, error);
}

static json_object *place(const drv_fleet *fleet, const drv_args *args, const drv_plan_limits *limits, GError **error)
{
    return drv_plan_place_vm(fleet, drv_args_operand(args, 0), limits, error);
}

int drv_cmd_plan_evacuate(drv_cli *cli, const drv_args *args, GError **error)
{
    g_autoptr(json_object) goal = json_object_new_object();
    json_object *nodes = json_object_new_array();

    for (guint i = 0; i < args->operands->len; i++)
        json_object_array_add(nodes, json_object_new_string(args->operands->pdata[i]));
    drv_json_set_string(goal, "goal", "evacuate");
    drv_json_set(goal, "nodes", nodes);
    drv_operating_limits_add(args, goal);
    drv_goals_options_add(args, goal);
    if (drv_args_has(args, "fleet"))
        return plan_file(cli, args, evacuate, error);
    return ask_for(cli, goal, error);
}

int drv_cmd_plan_place(drv_cli *cli, const drv_args *args, GError **error)
{
    g_autoptr(json_object) goal = json_object_new_object();

    drv_json_set_string(goal, "goal", "place");
    drv_json_set_string(goal, "vm", drv_args_operand(args, 0));
    drv_operating_limits_add(args, goal);
    if (drv_args_has(args, "fleet"))
        return plan_file(cli, args, place, error);
    return ask_for(cli, goal, error);
}

int drv_cmd_plan_show(drv_cli *cli, const drv_args *args, GError **error)
{
    g_autofree char *path = drv_cli_path("/v1/plans/", drv_args_operand(args, 0), "");
    g_autoptr(json_object) plan = drv_cli_call(cli, "GET", path, NULL, error);

    return plan ? show(cli, plan) : -1;
}

/* "evacuate h1", "migrate web1". */
static char *goal_text(json_object *plan)
{
    json_object *goal = drv_json_object(plan, "goal");
    const char *what = drv_json_string(goal, "vm", drv_json_string(goal, "node", ""));
    json_object *nodes = drv_json_array(goal, "nodes");

    if (drv_json_length(nodes) > 1)
        return g_strdup_printf("%s %zu nodes", drv_json_string(goal, "goal", "?"), drv_json_length(nodes));
    if (drv_json_length(nodes) == 1)
        what = json_object_get_string(json_object_array_get_idx(nodes, 0));
    return g_strdup_printf("%s %s", drv_json_string(goal, "goal", "?"), what);
}

int drv_cmd_plan_list(drv_cli *cli, const drv_args *args, GError **error)
{
    static const char *const heads[] = {"ID", "STATE", "GOAL", ">STEPS", ">REFUSED", ">AGE", NULL};
    g_autoptr(json_object) answer = drv_cli_call(cli, "GET", "/v1/plans", NULL, error);
    g_autoptr(drv_table) table = drv_table_new(heads);
    json_object *list = drv_json_array(answer, "plans");

    if (!answer)
        return -1;
    for (gsize i = 0; i < drv_json_length(list); i++) {
        json_object *plan = json_object_array_get_idx(list, i);
        gint64 age_ms = drv_clock_real_ms() - drv_json_int(plan, "created_ms", 0);

        drv_table_add(table, drv_show_text(plan, "id"));
        drv_table_add(table, drv_show_text(plan, "state"));
        drv_table_add(table, goal_text(plan));
        drv_table_add(table, g_strdup_printf("%zu", drv_json_length(drv_json_array(plan, "steps"))));
        drv_table_add(table, g_strdup_printf("%zu", drv_json_length(drv_json_array(plan, "refused"))));
        drv_table_add(table, drv_units_duration((guint64)MAX(age_ms, 0)));
    }
    return drv_cli_show_list(cli, answer, table);
}
