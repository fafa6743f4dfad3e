/* SPDX-License-Identifier: Apache-2.0 */
/* drover node label: what a node is like, for rules of VMs that want such a node. */
#include "cli/cmd-node-label.h"

#include <string.h>

#include "cli/cli.h"
#include "cli/table.h"
#include "hyper/gerror.h"

/* "rack=7", or "rack=": has none any more. */
static gboolean add_label(json_object *labels, const char *text, GError **error)
{
    const char *equals = strchr(text, '=');
    g_autofree char *key = equals ? g_strndup(text, (gsize)(equals - text)) : NULL;

    if (!key || !*key) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "“%s” is no label: write KEY=VALUE, or KEY= to remove it",
                    text);
        return FALSE;
    }
    if (json_object_object_get_ex(labels, key, NULL)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "the label %s is given twice; a node has one value of it",
                    key);
        return FALSE;
    }
    drv_json_set_string(labels, key, equals[1] ? equals + 1 : NULL);
    return TRUE;
}

/* All that it has, to be removed. */
static void forget_all(json_object *settings, json_object *what, json_object *labels)
{
    json_object *known = drv_json_object(settings, "labels");

    if (known) {
        json_object_object_foreach(known, key, value)
        {
            (void)value;
            drv_json_set(labels, key, NULL);
        }
    }
    drv_json_set(what, "site", NULL);
}

static void print(drv_cli *cli, json_object *settings)
{
    static const char *const heads[] = {"LABEL", "VALUE", NULL};
    g_autoptr(drv_table) table = drv_table_new(heads);
    json_object *labels = drv_json_object(settings, "labels");

    if (drv_json_string(settings, "site", NULL)) {
        drv_table_add(table, g_strdup("(site)"));
        drv_table_add(table, drv_show_text(settings, "site"));
    }
    if (labels) {
        json_object_object_foreach(labels, key, value)
        {
            (void)value;
            drv_table_add(table, g_strdup(key));
            drv_table_add(table, drv_show_text(labels, key));
        }
    }
    if (cli->json)
        drv_cli_print_json(cli, settings);
    else
        drv_table_print(table, cli->out);
}

int drv_cmd_node_label(drv_cli *cli, const drv_args *args, GError **error)
{
    g_autofree char *path = drv_cli_path("/v1/nodes/", drv_args_operand(args, 0), "/settings");
    gboolean clear = drv_args_has(args, "clear"), any = clear || drv_args_has(args, "site");
    g_autoptr(json_object) what = json_object_new_object();
    g_autoptr(json_object) given = json_object_new_object();
    g_autoptr(json_object) settings = NULL;
    json_object *labels = json_object_new_object();

    drv_json_set(what, "labels", labels);
    for (guint i = 1; i < args->operands->len; i++, any = TRUE)
        if (!add_label(given, drv_args_operand(args, i), error))
            return -1;
    if (clear || !any) {
        settings = drv_cli_call(cli, "GET", path, NULL, error);
        if (!settings)
            return -1;
    }
    if (clear)
        forget_all(settings, what, labels);
    if (any) {
        json_object_object_foreach(given, key, value) drv_json_set(labels, key, json_object_get(value));
        if (drv_args_has(args, "site"))
            drv_json_set_string(what, "site", drv_args_text(args, "site"));
        json_object_put(settings);
        settings = drv_cli_call(cli, "PUT", path, what, error);
        if (!settings)
            return -1;
    }
    print(cli, settings);
    return DRV_EXIT_DONE;
}
