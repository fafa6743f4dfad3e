/* SPDX-License-Identifier: Apache-2.0 */
/* drover evacuate, node drain, node resume, apply: plans of several steps, looked at and begun. */
#include "cli/cmd-evacuate.h"

#include "cli/applying.h"
#include "cli/cli.h"
#include "cli/goals.h"
#include "cli/moving.h"
#include "cli/operating.h"
#include "hyper/gerror.h"

#define TRIES 3 /* a fleet that changes faster is nothing to plan for */

static json_object *goal_for(const drv_args *args, const char *goal, const char *node, gboolean drain)
{
    json_object *object = json_object_new_object();

    drv_json_set_string(object, "goal", goal);
    drv_json_set_string(object, "node", node);
    if (drain)
        drv_json_set_bool(object, "drain", TRUE);
    drv_operating_limits_add(args, object);
    drv_goals_options_add(args, object);
    return object;
}

/* NULL and @error: droverd's plan cannot be applied. Borrowed from @plan. */
static const char *id_of(json_object *plan, GError **error)
{
    const char *id = drv_json_string(plan, "id", NULL);

    if (!id)
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED,
                    "droverd's plan has no id: look whether drover and "
                    "droverd are of the same version (“drover version”)");
    return id;
}

/* What a plan that does not fit any more was replaced by. Transfer full; NULL: it was not. */
static json_object *replacement(drv_cli *cli, const char *plan)
{
    g_autofree char *path = drv_cli_path("/v1/plans/", plan, "");
    g_autoptr(json_object) old = drv_cli_call(cli, "GET", path, NULL, NULL);
    const char *next = drv_json_string(old, "replaced_by", NULL);
    g_autofree char *other = next ? drv_cli_path("/v1/plans/", next, "") : NULL;

    return other ? drv_cli_call(cli, "GET", other, NULL, NULL) : NULL;
}

/* Return: the id of what has begun (transfer full), or NULL: @error, or it was declined. */
static char *begin_or_plan_again(drv_cli *cli, const drv_args *args, const char *plan, GError **error)
{
    g_autofree char *now = g_strdup(plan);

    for (guint i = 0; i < TRIES; i++) {
        g_autoptr(GError) reason = NULL;
        g_autoptr(json_object) next = NULL;
        char *id = drv_applying(cli, now, &reason);

        if (id)
            return id;
        if (g_error_matches(reason, DRV_ERROR, DRV_ERROR_CONFLICT))
            next = replacement(cli, now);
        if (!next || i + 1 == TRIES) {
            g_propagate_error(error, g_steal_pointer(&reason));
            return NULL;
        }
        drv_cli_message(cli, "%s", reason->message);
        if (!cli->json)
            drv_operating_print_plan(cli->out, next);
        if (!drv_operating_agreed(cli, "Do this instead?", drv_args_has(args, "yes"), error))
            return NULL;
        g_free(now);
        now = g_strdup(drv_json_string(next, "id", ""));
    }
    return NULL;
}

static int begin(drv_cli *cli, const drv_args *args, const char *plan, GError **error)
{
    g_autoptr(GError) reason = NULL;
    g_autofree char *id = begin_or_plan_again(cli, args, plan, &reason);

    if (!id && !reason)
        return DRV_EXIT_DONE;
    if (!id) {
        g_propagate_error(error, g_steal_pointer(&reason));
        return -1;
    }
    if (!drv_operating_is(id))
        return drv_moving_follow(cli, id, TRUE, drv_args_has(args, "quiet"));
    if (drv_args_has(args, "no-wait")) {
        if (cli->json) {
            g_autoptr(json_object) object = json_object_new_object();

            drv_json_set_string(object, "operation", id);
            drv_cli_print_json(cli, object);
        } else {
            fprintf(cli->out, "%s\n", id);
        }
        return DRV_EXIT_DONE;
    }
    return drv_operating_follow(cli, id, drv_args_has(args, "quiet"), error);
}

/* Plan, show, ask, begin. */
static int plan_and_begin(drv_cli *cli, const drv_args *args, json_object *goal, const char *question, GError **error)
{
    g_autoptr(json_object) plan = drv_cli_call(cli, "POST", "/v1/plans", goal, error);
    const char *id = plan ? id_of(plan, error) : NULL;
    g_autoptr(GError) nobody = NULL;

    if (!id)
        return -1;
    if (!cli->json)
        drv_operating_print_plan(cli->out, plan);
    if (!drv_operating_agreed(cli, question, drv_args_has(args, "yes"), &nobody)) {
        if (nobody) {
            g_propagate_error(error, g_steal_pointer(&nobody));
            return -1;
        }
        drv_cli_message(cli, "nothing was begun; “drover apply %s” does it", id);
        return DRV_EXIT_DONE;
    }
    return begin(cli, args, id, error);
}

int drv_cmd_evacuate(drv_cli *cli, const drv_args *args, GError **error)
{
    const char *node = drv_args_operand(args, 0);
    g_autoptr(json_object) goal = goal_for(args, "evacuate", node, FALSE);

    return plan_and_begin(cli, args, goal, "Move them?", error);
}

int drv_cmd_node_drain(drv_cli *cli, const drv_args *args, GError **error)
{
    const char *node = drv_args_operand(args, 0);
    g_autoptr(json_object) goal = goal_for(args, "evacuate", node, TRUE);

    return plan_and_begin(cli, args, goal, "Move them, and keep new VMs off the node?", error);
}

static json_object *set_maintenance(drv_cli *cli, const char *node, const char *state, gboolean forget, GError **error)
{
    g_autoptr(json_object) what = json_object_new_object();
    g_autofree char *path = drv_cli_path("/v1/nodes/", node, "/maintenance");

    if (state)
        drv_json_set_string(what, "maintenance", state);
    if (forget)
        drv_json_set_bool(what, "forget", TRUE);
    return drv_cli_call(cli, "PUT", path, what, error);
}

int drv_cmd_node_resume(drv_cli *cli, const drv_args *args, GError **error)
{
    const char *node = drv_args_operand(args, 0);
    gboolean leave = drv_args_has(args, "leave");
    g_autoptr(json_object) settings = set_maintenance(cli, node, "none", leave, error);
    g_autoptr(json_object) goal = goal_for(args, "return", node, FALSE);
    g_autoptr(json_object) plan = NULL;
    guint away;

    if (!settings)
        return -1;
    away = (guint)drv_json_length(drv_json_array(settings, "came_from"));
    if (!cli->json)
        drv_cli_message(cli, "%s takes VMs again", node);
    if (leave || !away) {
        if (cli->json)
            drv_cli_print_json(cli, settings);
        return DRV_EXIT_DONE;
    }
    plan = drv_cli_call(cli, "POST", "/v1/plans", goal, error);
    if (!plan)
        return -1;
    if (!cli->json)
        drv_operating_print_plan(cli->out, plan);
    if (!drv_args_has(args, "bring-back")) {
        g_autoptr(GError) nobody = NULL;
        gboolean back = drv_operating_agreed(cli, "Bring them back?", FALSE, &nobody);

        if (!back) {
            drv_cli_message(cli,
                            "%u VMs that were on %s stay where they are; “drover node resume %s "
                            "--bring-back” brings them, “--leave” forgets that they were here",
                            away, node, node);
            if (cli->json)
                drv_cli_print_json(cli, settings);
            return DRV_EXIT_DONE;
        }
    }
    return id_of(plan, error) ? begin(cli, args, id_of(plan, NULL), error) : -1;
}

int drv_cmd_apply(drv_cli *cli, const drv_args *args, GError **error)
{
    const char *id = drv_args_operand(args, 0);
    g_autofree char *path = drv_cli_path("/v1/plans/", id, "");
    g_autoptr(json_object) plan = drv_cli_call(cli, "GET", path, NULL, error);
    g_autoptr(GError) nobody = NULL;

    if (!plan)
        return -1;
    if (!cli->json)
        drv_operating_print_plan(cli->out, plan);
    if (!drv_operating_agreed(cli, "Do it?", drv_args_has(args, "yes"), &nobody)) {
        if (!nobody)
            return DRV_EXIT_DONE;
        g_propagate_error(error, g_steal_pointer(&nobody));
        return -1;
    }
    return begin(cli, args, id, error);
}
