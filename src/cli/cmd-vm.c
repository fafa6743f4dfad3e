/* SPDX-License-Identifier: Apache-2.0 */
/* drover vm list. */
#include "cli/cmd-vm.h"

#include "cli/cli.h"
#include "cli/table.h"

int drv_cmd_vm_list(drv_cli *cli, const drv_args *args, GError **error)
{
    static const char *const heads[] = {"NAME", "STATE", "NODE", ">VCPUS", ">MEMORY", "JOB", NULL};
    g_autoptr(json_object) answer = drv_cli_call(cli, "GET", "/v1/vms", NULL, error);
    g_autoptr(drv_table) table = drv_table_new(heads);
    json_object *list = drv_show_sorted(answer, "vms");

    if (!answer)
        return -1;
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        json_object *one = json_object_array_get_idx(list, i);

        drv_table_add(table, drv_show_text(one, "name"));
        drv_table_add(table, drv_show_text(one, "state"));
        drv_table_add(table, drv_show_text(one, "node"));
        drv_table_add(table, drv_show_number(one, "vcpus"));
        drv_table_add(table, drv_show_bytes(one, "memory_bytes"));
        drv_table_add(table, drv_show_text(one, "job"));
    }
    return drv_cli_show_list(cli, answer, table);
}
