/* SPDX-License-Identifier: Apache-2.0 */
/* drover-stand-in: droverd starts one for each VM that arrives. See stand-in.h. */
#include <signal.h>
#include <stdio.h>

#include "base/log.h"
#include "base/secrets.h"
#include "drv-config.h"
#include "hyper/connection.h"
#include "move/target/stand-in.h"

int main(int argc, char **argv)
{
    g_autofree char *dir = NULL;
    g_autofree char *uri = NULL;
    g_autofree char *uuid = NULL;
    g_autofree char *vm = NULL;
    g_autofree char *record = NULL;
    gboolean version = FALSE;
    const GOptionEntry entries[] = {
        {"dir", 0, 0, G_OPTION_ARG_FILENAME, &dir, "of the session", "DIR"},
        {"connect", 0, 0, G_OPTION_ARG_STRING, &uri, "the local libvirtd", "URI"},
        {"uuid", 0, 0, G_OPTION_ARG_STRING, &uuid, "of the VM that arrives", "UUID"},
        {"vm", 0, 0, G_OPTION_ARG_STRING, &vm, "its name, for the log", "NAME"},
        {"record", 0, 0, G_OPTION_ARG_FILENAME, &record, "make it when the VM was resumed", "FILE"},
        {"version", 'V', 0, G_OPTION_ARG_NONE, &version, "print the version and end", NULL},
        {0},
    };
    g_autoptr(GOptionContext) context = g_option_context_new("- resume a VM that has arrived, if droverd hangs");
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_decision) decision = NULL;
    g_autofree char *path = NULL;
    g_autofree char *session = NULL;
    drv_hyper *hyper;

    g_option_context_set_summary(context, "droverd starts it for each migration that comes here; it is not meant to "
                                          "be run by hand.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) ||
        (!version && (argc > 1 || !dir || !uri || !uuid || !vm))) {
        fprintf(stderr, "drover-stand-in: %s\n",
                error ? error->message : "droverd starts it, with --dir, --connect, --uuid and --vm");
        return 2;
    }
    if (version) {
        printf("drover-stand-in %s\n", DRV_VERSION);
        return 0;
    }
    drv_no_dumps();
    drv_log_init("drover-stand-in", DRV_LOG_NOTICE);
    (void)signal(SIGPIPE, SIG_IGN);
    path = drv_decision_path(dir);
    session = g_path_get_basename(dir);
    decision = drv_decision_open(path);
    /* The session is over already, or has one. */
    if (!decision || !drv_decision_hold(decision))
        return 0;
    hyper = drv_hyper_new(uri);
    (void)drv_stand_in_run(
        &(drv_stand_in){
            .dir = dir, .session = session, .uuid = uuid, .vm = vm, .record = record, .after_ms = DRV_STAND_IN_MS},
        hyper, decision);
    /* The end of the process ends the lock, and whatever libvirt still waits for. */
    return 0;
}
