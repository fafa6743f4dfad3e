/* SPDX-License-Identifier: Apache-2.0 */
/* drover migrate: plan, apply, follow, report; or only look whether it could be done. */
#include "cli/cmd-migrate.h"

#include <string.h>

#include "cli/applying.h"
#include "cli/checking.h"
#include "cli/cli.h"
#include "cli/goals.h"
#include "cli/moving.h"
#include "cli/report.h"
#include "hyper/gerror.h"

/* "A=B" a line → {"A": "B"}. */
static json_object *pairs_json(const char *text)
{
    json_object *object = json_object_new_object();
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (guint i = 0; lines[i]; i++) {
        char *equals = strchr(lines[i], '=');

        *equals = '\0';
        json_object_object_add(object, lines[i], json_object_new_string(equals + 1));
    }
    return object;
}

static void add_disk_goals(json_object *goal, const drv_args *args)
{
    static const struct {
        const char *option, *member;
    } texts[] = {{"disks", "disks"}, {"target-pool", "target_pool"}};

    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
        if (drv_args_has(args, texts[i].option))
            json_object_object_add(goal, texts[i].member, json_object_new_string(drv_args_text(args, texts[i].option)));
    if (drv_args_has(args, "map-network"))
        json_object_object_add(goal, "map_networks", pairs_json(drv_args_text(args, "map-network")));
    if (drv_args_has(args, "disk-seed"))
        json_object_object_add(goal, "disk_seeds", pairs_json(drv_args_text(args, "disk-seed")));
    if (drv_args_has(args, "offline"))
        json_object_object_add(goal, "method", json_object_new_string("offline"));
    if (drv_args_has(args, "storage-only"))
        json_object_object_add(goal, "storage_only", json_object_new_boolean(TRUE));
}

json_object *drv_moving_plan(drv_cli *cli, const drv_args *args, GError **error)
{
    g_autoptr(json_object) goal = json_object_new_object();
    const char *target = drv_args_operand(args, 1);

    json_object_object_add(goal, "goal", json_object_new_string("migrate"));
    json_object_object_add(goal, "vm", json_object_new_string(drv_args_operand(args, 0)));
    if (target)
        json_object_object_add(goal, "target", json_object_new_string(target));
    drv_goals_options_add(args, goal);
    if (drv_args_has(args, "method"))
        json_object_object_add(goal, "method", json_object_new_string(drv_args_text(args, "method")));
    if (drv_args_has(args, "check"))
        json_object_object_add(goal, "check", json_object_new_boolean(TRUE));
    if (drv_args_has(args, "check") && !cli->json) /* it is asked for when the checks have been shown */
        json_object_object_add(goal, "predict", json_object_new_boolean(FALSE));
    add_disk_goals(goal, args);
    return drv_cli_call(cli, "POST", "/v1/plans", goal, error);
}

/* A plan that moves nothing says why. */
static gboolean check_plan(json_object *plan, GError **error)
{
    json_object *steps = drv_json_array(plan, "steps");
    json_object *refused = drv_json_array(plan, "refused");
    json_object *why;
    const char *message;

    if (drv_json_length(steps) && drv_json_string(plan, "id", NULL))
        return TRUE;
    why = drv_json_length(refused) ? json_object_array_get_idx(refused, 0) : NULL;
    message = drv_json_string(why, "message", NULL);
    g_set_error(error, DRV_ERROR,
                drv_json_string(why, "code", NULL) ? (int)drv_error_code_from_name(drv_json_string(why, "code", NULL))
                                                   : DRV_ERROR_REFUSED,
                "%s", message ? message : "droverd's plan moves nothing and does not say why");
    return FALSE;
}

static void print_begun(drv_cli *cli, json_object *step, const char *job)
{
    g_autoptr(json_object) object = NULL;

    if (!cli->json) {
        fprintf(cli->out, "%s\n", job);
        return;
    }
    /* A step has the names that a job has. */
    object = drv_report_json(step, drv_args_operand(cli->args, 0), NULL, "running", NULL);
    json_object_object_add(object, "job", json_object_new_string(job));
    drv_cli_print_json(cli, object);
}

static int migrate(drv_cli *cli, const drv_args *args, GError **error)
{
    g_autoptr(json_object) plan = drv_moving_plan(cli, args, error);
    g_autofree char *job = NULL;

    if (!plan)
        return -1;
    if (drv_args_has(args, "check"))
        return drv_checking_show(cli, plan);
    if (!check_plan(plan, error))
        return -1;
    drv_checking_warn(cli, plan);
    job = drv_applying(cli, drv_json_string(plan, "id", NULL), error);
    if (!job)
        return -1;
    if (drv_args_has(args, "no-wait")) {
        print_begun(cli, json_object_array_get_idx(drv_json_array(plan, "steps"), 0), job);
        return DRV_EXIT_DONE;
    }
    return drv_moving_follow(cli, job, TRUE, drv_args_has(args, "quiet"));
}

int drv_cmd_migrate(drv_cli *cli, const drv_args *args, GError **error)
{
    g_autoptr(GError) reason = NULL;
    g_autoptr(json_object) object = NULL;
    int code = migrate(cli, args, &reason);
    gboolean broke;

    if (code >= 0)
        return code;
    if (!cli->json) {
        g_propagate_error(error, g_steal_pointer(&reason));
        return -1;
    }
    /* Scripts get the one object whatever happens. */
    if (drv_args_has(args, "check")) {
        object = drv_checking_failed(drv_args_operand(args, 0), drv_args_operand(args, 1), reason);
        drv_cli_print_json(cli, object);
        drv_cli_message(cli, "%s", reason->message);
        return (int)drv_exit_from_error(reason);
    }
    broke = g_error_matches(reason, DRV_ERROR, DRV_ERROR_UNREACHABLE) ||
            g_error_matches(reason, DRV_ERROR, DRV_ERROR_FAILED);
    object = drv_report_json(NULL, drv_args_operand(args, 0), drv_args_operand(args, 1), broke ? "failed" : "refused",
                             reason->message);
    drv_cli_print_json(cli, object);
    drv_cli_message(cli, "%s", reason->message);
    return (int)drv_exit_from_error(reason);
}
