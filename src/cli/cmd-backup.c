/* SPDX-License-Identifier: Apache-2.0 */
/* drover backup and restore. */
#include "cli/cmd-backup.h"

#include "base/paths.h"
#include "cli/cli.h"
#include "cluster/backup.h"
#include "cluster/restore.h"
#include "hyper/gerror.h"

int drv_cmd_backup(drv_cli *cli, const drv_args *args, GError **error)
{
    const char *path = drv_args_operand(args, 0);
    g_autoptr(json_object) collected = drv_cli_call(cli, "GET", "/v1/store/backup", NULL, error);
    g_autofree char *node = NULL;
    gboolean identity = FALSE;

    if (!collected || !drv_backup_write(collected, DRV_ETC_DIR, path, &identity, error))
        return -1;
    node = drv_show_text(collected, "node");
    drv_cli_message(
        cli, "node %s is backed up%s%s", node,
        identity ? ", with its keys: keep the file safe"
                 : "; its identity (/etc/drover) can be read by root there only and is not in it",
        drv_json_array(collected, "shared") ? "" : ". What is kept once for the cluster is in a backup of the founder");
    return DRV_EXIT_DONE;
}

int drv_cmd_restore(drv_cli *cli, const drv_args *args, GError **error)
{
    drv_restored what;
    g_autoptr(GDateTime) made = NULL;
    g_autofree char *when = NULL;

    if (!drv_backup_restore(drv_args_operand(args, 0), DRV_ETC_DIR, DRV_STATE_DIR, &what, error))
        return -1;
    made = g_date_time_new_from_unix_local(what.made_ms / 1000);
    when = g_date_time_format(made, "%Y-%m-%d %H:%M:%S");
    if (cli->json) {
        g_autoptr(json_object) object = json_object_new_object();

        drv_json_set_string(object, "node", what.node);
        drv_json_set_int(object, "made_ms", what.made_ms);
        drv_json_set_int(object, "documents", what.documents);
        drv_json_set_bool(object, "identity", what.identity);
        drv_json_set_bool(object, "shared_kept", what.shared_kept);
        drv_cli_print_json(cli, object);
    } else {
        fprintf(cli->out, "This host is node %s as of %s (%u documents%s).\n", what.node, when, what.documents,
                what.identity ? ", and its identity" : "");
        if (what.shared_kept)
            drv_cli_message(cli, "etcd has the cluster's data: those were left as they are");
        drv_cli_message(cli, "start droverd now; nodes that joined after the backup was made have to "
                             "join again");
    }
    g_free(what.node);
    return DRV_EXIT_DONE;
}
