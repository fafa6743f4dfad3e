/* SPDX-License-Identifier: Apache-2.0 */
/* drover node list, revoke. */
#include "cli/cmd-node.h"

#include <string.h>

#include "base/paths.h"
#include "cli/cli.h"
#include "cli/table.h"

static char *versions(json_object *node)
{
    static const struct {
        const char *key, *name;
    } parts[] = {{"version", "drover"}, {"libvirt", "libvirt"}, {"qemu", "qemu"}};
    g_autoptr(GString) text = g_string_new(NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(parts); i++) {
        const char *version = drv_json_string(node, parts[i].key, NULL);

        if (version && *version)
            g_string_append_printf(text, "%s%s %s", text->len ? ", " : "", parts[i].name, version);
    }
    return g_strdup(text->str);
}

/* "10.0.0.1", "10.0.0.1:7444", "[fd00::1]:7444": the port only where it is not the usual one. */
static char *address(json_object *node)
{
    const char *ip = drv_json_string(node, "address", NULL);
    guint64 port;

    if (!ip || !drv_show_get_number(node, "port", &port) || port == DRV_PORT)
        return g_strdup(ip);
    return g_strdup_printf(strchr(ip, ':') ? "[%s]:%u" : "%s:%u", ip, (unsigned)port);
}

/* "up", "lost", "drained". */
static char *node_state(json_object *node)
{
    const char *maintenance = drv_json_string(node, "maintenance", "none");
    const char *state = drv_json_string(node, "state", NULL);

    if (g_str_equal(maintenance, "none"))
        return drv_show_text(node, "state");
    return g_strcmp0(state, "up") == 0 ? g_strdup(maintenance) : g_strdup_printf("%s, %s", state, maintenance);
}

int drv_cmd_node_list(drv_cli *cli, const drv_args *args, GError **error)
{
    static const char *const heads[] = {"NAME",  "STATE", "ADDRESS",  ">CPUS", ">MEMORY",
                                        ">FREE", ">VMS",  "VERSIONS", NULL};
    g_autoptr(json_object) answer = drv_cli_call(cli, "GET", "/v1/nodes", NULL, error);
    g_autoptr(drv_table) table = drv_table_new(heads);
    json_object *list = drv_show_sorted(answer, "nodes");

    if (!answer)
        return -1;
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        json_object *one = json_object_array_get_idx(list, i);
        const char *reason = drv_json_string(one, "error", NULL);

        drv_table_add(table, drv_show_text(one, "name"));
        drv_table_add(table, node_state(one));
        drv_table_add(table, address(one));
        drv_table_add(table, drv_show_number(one, "cpus"));
        drv_table_add(table, drv_show_bytes(one, "memory_bytes"));
        drv_table_add(table, drv_show_bytes(one, "memory_free_bytes"));
        drv_table_add(table, drv_show_number(one, "vms"));
        drv_table_add(table, versions(one));
        if (reason) {
            g_autofree char *name = drv_show_text(one, "name");

            drv_cli_message(cli, "warning: node %s is lost: %s", name, drv_show_reason(reason, name));
        }
    }
    return drv_cli_show_list(cli, answer, table);
}

int drv_cmd_node_revoke(drv_cli *cli, const drv_args *args, GError **error)
{
    return drv_cli_delete(cli, args, "/v1/nodes/", "node", "no longer belongs to the cluster", error);
}
