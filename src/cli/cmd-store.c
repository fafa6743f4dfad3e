/* SPDX-License-Identifier: Apache-2.0 */
/* drover store status, move; drover node authority. */
#include "cli/cmd-store.h"

#include "cli/cli.h"
#include "cli/table.h"
#include "cluster/keeping.h"
#include "hyper/gerror.h"

void drv_cli_warn_open_store(drv_cli *cli, const char *where, const char *ca, const char *cert)
{
    const drv_keeping keeping = {.where = (char *)where, .ca_pem = (char *)ca, .cert_pem = (char *)cert};

    if (drv_keeping_is_open_to_all(&keeping))
        drv_cli_message(cli, "warning: etcd is reached without encryption: whoever is on that network can "
                             "make himself an operator of this cluster; use certificates (see store.rst)");
}

static void print_members(drv_cli *cli, json_object *status)
{
    static const char *const heads[] = {"MEMBER", "STATE", "VERSION", ">SIZE", ">IN USE", "", NULL};
    g_autoptr(drv_table) table = drv_table_new(heads);
    json_object *list = drv_json_array(status, "members");

    for (gsize i = 0; i < drv_json_length(list); i++) {
        json_object *one = json_object_array_get_idx(list, i);
        const char *error = drv_json_string(one, "error", NULL);

        drv_table_add(table, drv_show_text(one, "address"));
        drv_table_add(table, drv_show_text(one, "state"));
        drv_table_add(table, drv_show_text(one, "version"));
        drv_table_add(table, drv_show_bytes(one, "bytes"));
        drv_table_add(table, drv_show_bytes(one, "used_bytes"));
        drv_table_add(table, g_strdup(error ? error : drv_json_bool(one, "leads") ? "leads etcd" : ""));
    }
    drv_table_print(table, cli->out);
}

int drv_cmd_store_status(drv_cli *cli, const drv_args *args, GError **error)
{
    g_autoptr(json_object) status = drv_cli_call(cli, "GET", "/v1/store", NULL, error);
    json_object *alarms = drv_json_array(status, "alarms");
    const char *trouble = drv_json_string(status, "error", NULL);
    gint64 waiting = drv_json_int(status, "unrecorded", 0);
    g_autofree char *bytes = NULL;

    if (!status)
        return -1;
    if (cli->json) {
        drv_cli_print_json(cli, status);
        return DRV_EXIT_DONE;
    }
    fprintf(cli->out, "%s, the cluster is led by %s\n", drv_json_string(status, "where", "-"),
            drv_json_string(status, "leader", NULL) ?: "nobody at this moment");
    if (drv_json_array(status, "members")) {
        print_members(cli, status);
    } else {
        bytes = drv_show_bytes(status, "bytes");
        fprintf(cli->out, "%s, in a file of node %s\n", bytes, drv_json_string(status, "node", "-"));
    }
    for (gsize i = 0; i < drv_json_length(alarms); i++)
        drv_cli_message(cli, "warning: etcd has an alarm and takes no changes: %s",
                        json_object_get_string(json_object_array_get_idx(alarms, i)));
    if (trouble)
        drv_cli_message(cli, "warning: %s", trouble);
    if (waiting)
        drv_cli_message(cli,
                        "%" G_GINT64_FORMAT " moves are recorded at node %s only, until the store "
                        "takes them",
                        waiting, drv_json_string(status, "node", "-"));
    if (drv_json_array(status, "members") && !drv_json_bool(status, "encrypted"))
        drv_cli_warn_open_store(cli, drv_json_string(status, "where", ""), NULL, NULL);
    return trouble ? DRV_EXIT_FAILED : DRV_EXIT_DONE;
}

int drv_cmd_store_move(drv_cli *cli, const drv_args *args, GError **error)
{
    const char *to = drv_args_operand(args, 0);
    g_auto(drv_keeping) keeping = {0};
    g_autoptr(json_object) body = NULL;
    g_autoptr(json_object) answer = NULL;

    if (!drv_keeping_from_files(&keeping, to, drv_args_text(args, "store-ca"), drv_args_text(args, "store-cert"),
                                drv_args_text(args, "store-key"), error))
        return -1;
    body = drv_keeping_json(&keeping);
    drv_json_set_string(body, "to", to);
    drv_cli_warn_open_store(cli, to, keeping.ca_pem, keeping.cert_pem);
    answer = drv_cli_call(cli, "POST", "/v1/store/move", body, error);
    if (!answer)
        return -1;
    if (cli->json)
        drv_cli_print_json(cli, answer);
    else
        fprintf(cli->out, "The cluster's data (%" G_GINT64_FORMAT " documents) are in %s now.\n",
                drv_json_int(answer, "documents", 0), drv_json_string(answer, "where", "-"));
    return DRV_EXIT_DONE;
}

int drv_cmd_node_authority(drv_cli *cli, const drv_args *args, GError **error)
{
    const char *node = drv_args_operand(args, 0);
    g_autofree char *path = drv_cli_path("/v1/nodes/", node, "/authority");
    g_autoptr(json_object) answer = drv_cli_call(cli, "POST", path, NULL, error);

    if (!answer)
        return -1;
    if (cli->json)
        drv_cli_print_json(cli, answer);
    else
        drv_cli_message(cli, "node %s can let others join from now on", node);
    return DRV_EXIT_DONE;
}
