/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drover roll: maintenance of one node after the other. Each is drained, the command is run here, the
 * node is waited for until it is well, and gets its VMs back. The first trouble ends it, and says where
 * it stands and how to go on.
 */
#include "cli/cmd-roll.h"

#include <errno.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "cli/applying.h"
#include "cli/cli.h"
#include "cli/operating.h"
#include "hyper/gerror.h"

#define LOOK_EVERY_US 1000000
#define HEALTH_PATIENCE_MS 900000
#define WELL_LOOKS 3             /* one after the other, that a node is up */
#define LEADER_PATIENCE_MS 60000 /* the node that was worked at may have led: another one does soon */

typedef struct {
    drv_cli *cli;
    const drv_args *args;
    const char *node;
    char *address;
    gint64 started_ms; /* its droverd, before the command; 0: not known */
} rolling;

/* The node as it is now. Transfer full; NULL: not known. */
static json_object *look(rolling *r, GError **error)
{
    g_autoptr(json_object) answer = drv_cli_call(r->cli, "GET", "/v1/nodes", NULL, error);
    json_object *list = drv_json_array(answer, "nodes");

    for (gsize i = 0; i < drv_json_length(list); i++)
        if (g_str_equal(drv_json_string(json_object_array_get_idx(list, i), "name", ""), r->node))
            return json_object_get(json_object_array_get_idx(list, i));
    if (answer)
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "there is no node %s; 'drover node list' shows all",
                    r->node);
    return NULL;
}

/* As drv_cli_call(), but a droverd that is away, or does not know who leads, is asked again for a while. */
static json_object *call_patiently(rolling *r, const char *method, const char *path, json_object *body, GError **error)
{
    gint64 until = drv_clock_ms() + LEADER_PATIENCE_MS;

    for (gboolean said = FALSE;; said = TRUE) {
        g_autoptr(GError) reason = NULL;
        json_object *answer = drv_cli_call(r->cli, method, path, body, &reason);

        if (answer)
            return answer;
        if (!g_error_matches(reason, DRV_ERROR, DRV_ERROR_UNREACHABLE) || drv_clock_ms() >= until) {
            g_propagate_error(error, g_steal_pointer(&reason));
            return NULL;
        }
        if (!said)
            drv_cli_message(r->cli, "%s: waiting until that can be done: %s", r->node, reason->message);
        g_usleep(LOOK_EVERY_US);
    }
}

/* Plan, begin, follow. Return: the exit code, -1 and @error. */
static int carry_out(rolling *r, const char *what, gboolean drain, GError **error)
{
    g_autoptr(json_object) goal = json_object_new_object();
    g_autoptr(json_object) plan = NULL;
    g_autofree char *id = NULL;

    drv_json_set_string(goal, "goal", what);
    drv_json_set_string(goal, "node", r->node);
    if (drain)
        drv_json_set_bool(goal, "drain", TRUE);
    drv_operating_limits_add(r->args, goal);
    plan = call_patiently(r, "POST", "/v1/plans", goal, error);
    if (!plan)
        return -1;
    id = drv_applying(r->cli, drv_json_string(plan, "id", ""), error);
    return id ? drv_operating_follow(r->cli, id, drv_args_has(r->args, "quiet"), error) : -1;
}

static gboolean run_command(rolling *r, const char *command, GError **error)
{
    g_auto(GStrv) environment = g_get_environ();
    char *argv[] = {(char *)"/bin/sh", (char *)"-c", (char *)command, NULL};
    g_autoptr(GError) reason = NULL;
    int status = 0;

    environment = g_environ_setenv(environment, "DROVER_NODE", r->node, TRUE);
    environment = g_environ_setenv(environment, "DROVER_ADDRESS", r->address, TRUE);
    fflush(r->cli->out);
    if (!g_spawn_sync(NULL, argv, environment, G_SPAWN_CHILD_INHERITS_STDIN, NULL, NULL, NULL, NULL, &status,
                      &reason)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "the command could not be run: %s", reason->message);
        return FALSE;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return TRUE;
    if (WIFEXITED(status))
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "the command ended with exit code %d", WEXITSTATUS(status));
    else
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "the command was ended by signal %d", WTERMSIG(status));
    return FALSE;
}

/* Whether it is up, and with --reboot whether it has been started anew. */
static gboolean is_well(rolling *r, json_object *node)
{
    if (!node || !g_str_equal(drv_json_string(node, "state", ""), "up"))
        return FALSE;
    return !drv_args_has(r->args, "reboot") || drv_json_int(node, "started_ms", 0) != r->started_ms;
}

static gboolean wait_until_well(rolling *r, GError **error)
{
    guint64 patience = drv_args_has(r->args, "wait") ? drv_args_number(r->args, "wait") : HEALTH_PATIENCE_MS;
    gint64 until = drv_clock_ms() + (gint64)patience;
    guint looks = 0;

    drv_cli_message(r->cli, "%s: waiting until it is well", r->node);
    while (looks < WELL_LOOKS) {
        g_autoptr(GError) reason = NULL;
        g_autoptr(json_object) node = look(r, &reason);

        looks = is_well(r, node) ? looks + 1 : 0;
        if (!looks && drv_clock_ms() >= until) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE, "it is not well after %u s: %s",
                        (unsigned)(patience / 1000),
                        reason ? reason->message : drv_json_string(node, "error", "it has not been started anew"));
            return FALSE;
        }
        if (looks < WELL_LOOKS)
            g_usleep(LOOK_EVERY_US);
    }
    return TRUE;
}

static gboolean take_back(rolling *r, GError **error)
{
    g_autoptr(json_object) what = json_object_new_object();
    g_autofree char *path = drv_cli_path("/v1/nodes/", r->node, "/maintenance");
    g_autoptr(json_object) settings = NULL;

    drv_json_set_string(what, "maintenance", "none");
    if (drv_args_has(r->args, "leave"))
        drv_json_set_bool(what, "forget", TRUE);
    settings = call_patiently(r, "PUT", path, what, error);
    return settings != NULL;
}

/* Where it stands, and how it goes on. */
static int trouble(rolling *r, const char *when, int code, GError *reason, GError **error)
{
    const char *stands = g_str_equal(when, "drain")    ? "is being emptied, and takes no VMs"
                         : g_str_equal(when, "return") ? "takes VMs again, but has not got all of its own"
                                                       : "is empty, and takes no VMs";

    drv_cli_message(r->cli,
                    "%s %s. When that is mended: “drover node resume %s --bring-back”, then “drover "
                    "roll” with the nodes that are left",
                    r->node, stands, r->node);
    if (!reason)
        return code;
    g_propagate_prefixed_error(error, reason, "%s: ", r->node);
    return -1;
}

static int roll_one(rolling *r, GError **error)
{
    g_autoptr(json_object) node = look(r, error);
    GError *reason = NULL;
    int code;

    if (!node)
        return -1;
    r->address = g_strdup(drv_json_string(node, "address", ""));
    r->started_ms = drv_json_int(node, "started_ms", 0);
    drv_cli_message(r->cli, "%s: draining", r->node);
    code = carry_out(r, "evacuate", TRUE, &reason);
    if (code != DRV_EXIT_DONE)
        return trouble(r, "drain", code, reason, error);
    drv_cli_message(r->cli, "%s: running the command", r->node);
    if (!run_command(r, drv_args_text(r->args, "exec"), &reason) || !wait_until_well(r, &reason) ||
        !take_back(r, &reason))
        return trouble(r, "command", DRV_EXIT_FAILED, reason, error);
    if (drv_args_has(r->args, "leave"))
        return DRV_EXIT_DONE;
    code = carry_out(r, "return", FALSE, &reason);
    return code == DRV_EXIT_DONE ? code : trouble(r, "return", code, reason, error);
}

/* Those that were named, else all. Transfer full. */
static GPtrArray *nodes_of(drv_cli *cli, const drv_args *args, GError **error)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(json_object) answer = NULL;
    json_object *list;

    for (guint i = 0; i < args->operands->len; i++)
        g_ptr_array_add(names, g_strdup(args->operands->pdata[i]));
    if (names->len)
        return names;
    answer = drv_cli_call(cli, "GET", "/v1/nodes", NULL, error);
    list = drv_show_sorted(answer, "nodes");
    for (gsize i = 0; i < drv_json_length(list); i++)
        g_ptr_array_add(names, g_strdup(drv_json_string(json_object_array_get_idx(list, i), "name", "")));
    if (!answer)
        g_clear_pointer(&names, g_ptr_array_unref);
    return names;
}

int drv_cmd_roll(drv_cli *cli, const drv_args *args, GError **error)
{
    g_autoptr(GPtrArray) nodes = NULL;
    g_autofree char *all = NULL;
    g_autofree char *question = NULL;
    g_autoptr(GError) nobody = NULL;

    if (!drv_args_has(args, "exec")) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "--exec says what is to be done at each node, as --exec 'ssh $DROVER_NODE reboot'");
        return -1;
    }
    nodes = nodes_of(cli, args, error);
    if (!nodes)
        return -1;
    g_ptr_array_add(nodes, NULL);
    all = g_strjoinv(", ", (char **)nodes->pdata);
    question = g_strdup_printf("Drain %s, one after the other, and run the command for each?", all);
    if (!drv_operating_agreed(cli, question, drv_args_has(args, "yes"), &nobody)) {
        if (!nobody)
            return DRV_EXIT_DONE;
        g_propagate_error(error, g_steal_pointer(&nobody));
        return -1;
    }
    for (guint i = 0; nodes->pdata[i]; i++) {
        rolling r = {.cli = cli, .args = args, .node = nodes->pdata[i]};
        int code = roll_one(&r, error);

        g_free(r.address);
        if (code != DRV_EXIT_DONE)
            return code;
    }
    drv_cli_message(cli, "all of them are done: %s", all);
    return DRV_EXIT_DONE;
}
