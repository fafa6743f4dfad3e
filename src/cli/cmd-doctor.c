/* SPDX-License-Identifier: Apache-2.0 */
/* drover doctor: the table of checks, and its findings for people and programs. */
#include "cli/cmd-doctor.h"

#include "cli/doctor-cluster.h"
#include "cli/doctor-files.h"
#include "cli/doctor-host.h"
#include "cli/doctor-hyper.h"
#include "cli/doctor-store.h"
#include "cli/doctor.h"
#include "cli/table.h"

static const struct {
    const char *name;
    drv_check check;
} checks[] = {
    {"root", drv_check_root},
    {"clock", drv_check_clock},
    {"libvirt and QEMU", drv_check_hyper},
    {"acceleration", drv_check_acceleration},
    {"post-copy", drv_check_post_copy},
    {"QEMU's group", drv_check_qemu_group},
    {"user drover", drv_check_relay_user},
    {"drover-relay", drv_check_relay_program},
    {"sessions directory", drv_check_sessions},
    {"confinement of QEMU", drv_check_confinement},
    {"admission", drv_check_admission},
    {"store", drv_check_store},
    {"identity", drv_check_identity},
    {"port", drv_check_port},
    {"droverd", drv_check_droverd},
    {"nodes", drv_check_nodes},
    {"cluster's store", drv_check_cluster_store},
};

static const char *const state_names[] = {
    [DRV_CHECK_OK] = "ok",
    [DRV_CHECK_WARNING] = "warning",
    [DRV_CHECK_PROBLEM] = "problem",
};

static void print_text(FILE *out, const drv_finding *finding)
{
    g_autofree char *message = drv_text_clean(finding->message);

    fprintf(out, "%-8s  %-19s  %s\n", state_names[finding->state], finding->name, message);
    if (finding->remedy) {
        /* A remedy is ours, and may be lines to paste into a file. */
        g_auto(GStrv) lines = g_strsplit(finding->remedy, "\n", -1);

        for (guint i = 0; lines[i]; i++)
            fprintf(out, "%-31s%s%s\n", "", i ? "   " : "=> ", lines[i]);
    }
}

static json_object *to_json(const drv_finding *finding)
{
    json_object *object = json_object_new_object();

    drv_json_set_string(object, "name", finding->name);
    drv_json_set_string(object, "state", state_names[finding->state]);
    drv_json_set_string(object, "message", finding->message);
    drv_json_set_string(object, "remedy", finding->remedy);
    return object;
}

int drv_cmd_doctor(drv_cli *cli, const drv_args *args, GError **error)
{
    drv_doctor doctor = {.cli = cli, .root = ""};
    g_autoptr(json_object) list = json_object_new_array();
    guint count[G_N_ELEMENTS(state_names)] = {0};

    doctor.findings = g_ptr_array_new_with_free_func((GDestroyNotify)drv_finding_free);
    for (gsize i = 0; i < G_N_ELEMENTS(checks); i++)
        checks[i].check(&doctor, checks[i].name);
    for (guint i = 0; i < doctor.findings->len; i++) {
        const drv_finding *finding = doctor.findings->pdata[i];

        count[finding->state]++;
        if (cli->json)
            json_object_array_add(list, to_json(finding));
        else
            print_text(cli->out, finding);
    }
    if (cli->json)
        drv_cli_print_json(cli, list);
    else
        fprintf(cli->out, "%u ok, %u warning%s, %u problem%s\n", count[DRV_CHECK_OK], count[DRV_CHECK_WARNING],
                count[DRV_CHECK_WARNING] == 1 ? "" : "s", count[DRV_CHECK_PROBLEM],
                count[DRV_CHECK_PROBLEM] == 1 ? "" : "s");
    g_ptr_array_unref(doctor.findings);
    drv_identity_free(doctor.identity);
    return count[DRV_CHECK_PROBLEM] ? DRV_EXIT_FAILED : DRV_EXIT_DONE;
}
