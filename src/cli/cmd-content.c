/* SPDX-License-Identifier: Apache-2.0 */
/* drover content list, prune, on, off; drover vm owner. */
#include "cli/cmd-content.h"

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/table.h"

#define CONTENT "/v1/content"

static char *show_ago(json_object *object, const char *key)
{
    guint64 then_ms;
    gint64 ago_s;

    if (!drv_show_get_number(object, key, &then_ms))
        return NULL;
    ago_s = MAX(0, drv_clock_real_ms() - (gint64)then_ms) / 1000;
    if (ago_s < 120)
        return g_strdup_printf("%d s", (int)ago_s);
    if (ago_s < 2 * 3600)
        return g_strdup_printf("%d min", (int)(ago_s / 60));
    if (ago_s < 2 * 24 * 3600)
        return g_strdup_printf("%d h", (int)(ago_s / 3600));
    return g_strdup_printf("%d days", (int)(ago_s / (24 * 3600)));
}

/* "memory", or which disk. */
static char *show_what(json_object *one)
{
    return drv_show_text(one, g_str_equal(drv_json_string(one, "kind", ""), "disk") ? "disk" : "kind");
}

static void print_contents(drv_cli *cli, json_object *list)
{
    static const char *const heads[] = {"NODE",      "VM",        "WHAT",   "OWNER", ">SIZE",
                                        ">KEPT FOR", ">LAST USE", ">SAVED", NULL};
    g_autoptr(drv_table) table = drv_table_new(heads);

    for (gsize i = 0; i < drv_json_length(list); i++) {
        json_object *one = json_object_array_get_idx(list, i);

        drv_table_add(table, drv_show_text(one, "node"));
        drv_table_add(table, drv_show_text(one, "vm"));
        drv_table_add(table, show_what(one));
        drv_table_add(table, drv_show_text(one, "owner"));
        drv_table_add(table, drv_show_bytes(one, "bytes"));
        drv_table_add(table, show_ago(one, "created_ms"));
        drv_table_add(table, show_ago(one, "used_ms"));
        drv_table_add(table, drv_show_bytes(one, "saved_bytes"));
    }
    if (drv_json_length(list))
        drv_table_print(table, cli->out);
}

static void print_nodes(drv_cli *cli, json_object *nodes)
{
    for (gsize i = 0; i < drv_json_length(nodes); i++) {
        json_object *one = json_object_array_get_idx(nodes, i);
        g_autofree char *node_raw = drv_show_text(one, "node");
        g_autofree char *node = drv_text_clean(node_raw);
        g_autofree char *bytes = drv_show_bytes(one, "bytes");
        g_autofree char *most = drv_show_bytes(one, "most_bytes");
        g_autofree char *saved = drv_show_bytes(one, "saved_bytes");

        if (drv_json_bool(one, "on"))
            fprintf(cli->out, "%s: %s of %s at most; it has saved %s so far.\n", node, bytes, most, saved);
        else
            fprintf(cli->out, "%s: off; it has saved %s so far.\n", node, saved);
    }
}

/* What could not be kept: the next move costs more than it need. */
static void warn_problems(drv_cli *cli, json_object *nodes)
{
    for (gsize i = 0; i < drv_json_length(nodes); i++) {
        json_object *one = json_object_array_get_idx(nodes, i);
        json_object *problem = drv_json_object(one, "problem");
        g_autofree char *node = drv_show_text(one, "node");
        g_autofree char *ago = problem ? show_ago(problem, "at_ms") : NULL;

        if (ago)
            drv_cli_message(cli, "warning: %s, %s ago: %s", node, ago, drv_json_string(problem, "message", ""));
    }
}

static int show(drv_cli *cli, json_object *answer)
{
    if (cli->json) {
        drv_cli_print_json(cli, answer);
    } else {
        print_contents(cli, drv_json_array(answer, "contents"));
        print_nodes(cli, drv_json_array(answer, "nodes"));
    }
    warn_problems(cli, drv_json_array(answer, "nodes"));
    drv_cli_warn_unreachable(cli, answer);
    return DRV_EXIT_DONE;
}

int drv_cmd_content_list(drv_cli *cli, const drv_args *args, GError **error)
{
    g_autoptr(json_object) answer = drv_cli_call(cli, "GET", CONTENT, NULL, error);

    return answer ? show(cli, answer) : -1;
}

int drv_cmd_content_prune(drv_cli *cli, const drv_args *args, GError **error)
{
    g_autoptr(json_object) what = json_object_new_object();
    g_autoptr(json_object) answer = NULL;
    json_object *nodes;

    if (drv_args_has(args, "all"))
        drv_json_set_bool(what, "all", TRUE);
    if (drv_args_has(args, "older-than"))
        drv_json_set_int(what, "older_than_s", (gint64)(drv_args_number(args, "older-than") / 1000));
    if (drv_args_text(args, "vm"))
        drv_json_set_string(what, "vm", drv_args_text(args, "vm"));
    if (drv_args_text(args, "owner"))
        drv_json_set_string(what, "owner", drv_args_text(args, "owner"));
    if (drv_args_text(args, "node"))
        drv_json_set_string(what, "node", drv_args_text(args, "node"));
    answer = drv_cli_call(cli, "POST", CONTENT "/prune", what, error);
    if (!answer)
        return -1;
    nodes = drv_json_array(answer, "nodes");
    for (gsize i = 0; !cli->json && i < drv_json_length(nodes); i++) {
        json_object *one = json_object_array_get_idx(nodes, i);
        g_autofree char *node_raw = drv_show_text(one, "node");
        g_autofree char *node = drv_text_clean(node_raw);
        g_autofree char *bytes = drv_show_bytes(one, "bytes");
        g_autofree char *count = drv_show_number(one, "removed");

        fprintf(cli->out, "%s: %s removed, %s.\n", node, count, bytes);
    }
    if (cli->json)
        drv_cli_print_json(cli, answer);
    drv_cli_warn_unreachable(cli, answer);
    return DRV_EXIT_DONE;
}

static int set(drv_cli *cli, const drv_args *args, gboolean on, GError **error)
{
    g_autoptr(json_object) what = json_object_new_object();
    g_autoptr(json_object) answer = NULL;

    drv_json_set_bool(what, "on", on);
    if (args->operands->len)
        drv_json_set_string(what, "node", drv_args_operand(args, 0));
    answer = drv_cli_call(cli, "PUT", CONTENT, what, error);
    return answer ? show(cli, answer) : -1;
}

int drv_cmd_content_on(drv_cli *cli, const drv_args *args, GError **error)
{
    return set(cli, args, TRUE, error);
}

int drv_cmd_content_off(drv_cli *cli, const drv_args *args, GError **error)
{
    return set(cli, args, FALSE, error);
}

int drv_cmd_vm_owner(drv_cli *cli, const drv_args *args, GError **error)
{
    g_autofree char *path = drv_cli_path("/v1/vms/", drv_args_operand(args, 0), "/owner");
    gboolean clear = drv_args_has(args, "clear");
    const char *owner = args->operands->len > 1 ? drv_args_operand(args, 1) : NULL;
    g_autoptr(json_object) body = json_object_new_object();
    g_autoptr(json_object) answer = NULL;

    drv_json_set_string(body, "owner", clear ? NULL : owner);
    answer = drv_cli_call(cli, clear || owner ? "PUT" : "GET", path, clear || owner ? body : NULL, error);
    if (!answer)
        return -1;
    if (cli->json) {
        drv_cli_print_json(cli, answer);
    } else {
        g_autofree char *raw = drv_show_text(answer, "owner");
        g_autofree char *text = drv_text_clean(raw);

        fprintf(cli->out, "%s\n", text);
    }
    return DRV_EXIT_DONE;
}
