/* SPDX-License-Identifier: Apache-2.0 */
/* drover init and drover join: how a host becomes a node. Neither needs a droverd here. */
#include "cli/cmd-init.h"

#include <unistd.h>

#include "cli/cli.h"
#include "cli/cmd-store.h"
#include "cli/doctor-hyper.h"
#include "cli/doctor.h"
#include "cluster/join.h"

static void said_and_next(drv_cli *cli, const drv_identity *identity, const char *what)
{
    gboolean name = drv_args_has(cli->args, "name");
    gboolean address = drv_args_has(cli->args, "address");

    if (cli->json) {
        g_autoptr(json_object) object = json_object_new_object();

        json_object_object_add(object, "cluster", json_object_new_string(identity->cluster));
        json_object_object_add(object, "node", json_object_new_string(identity->node));
        json_object_object_add(object, "address", json_object_new_string(identity->address));
        json_object_object_add(object, "port", json_object_new_int(identity->port));
        json_object_object_add(object, "founder", json_object_new_string(identity->founder));
        json_object_object_add(object, "ca_fingerprint", json_object_new_string(identity->ca_fingerprint));
        drv_cli_print_json(cli, object);
        return;
    }
    fprintf(cli->out, "%s %s: this host is node %s at %s port %u.\n", what, identity->cluster, identity->node,
            identity->address, identity->port);
    if (!name || !address)
        fprintf(cli->err, "(%s found out here; use %s to say otherwise.)\n",
                !name && !address ? "Name and address were"
                : name            ? "The address was"
                                  : "The name was",
                !name && !address ? "--name and --address"
                : name            ? "--address"
                                  : "--name");
}

/* What to type next, by what runs this host. */
static void next_steps(drv_cli *cli, gboolean first)
{
    gboolean systemd = access("/run/systemd/system", F_OK) == 0;

    if (cli->json)
        return;
    fprintf(cli->err, "Next:\n  %-38s # %s\n", systemd ? "systemctl enable --now droverd" : "droverd",
            systemd ? "start the daemon, now and at each boot" : "start the daemon (by what supervises daemons here)");
    if (first)
        fprintf(cli->err, "  %-38s # then, for each other host: a token for its “drover join”\n",
                "drover token create");
    else
        fprintf(cli->err, "  %-38s # then: see all nodes\n", "drover node list");
    fprintf(cli->err, "  %-38s # if something does not work\n", "drover doctor");
}

static drv_init_options options_of(const drv_args *args)
{
    return (drv_init_options){
        .node = drv_args_text(args, "name"),
        .address = drv_args_text(args, "address"),
        .port = (guint16)drv_args_number(args, "port"),
    };
}

int drv_cmd_init(drv_cli *cli, const drv_args *args, GError **error)
{
    drv_init_options options = options_of(args);
    g_autoptr(drv_identity) identity = NULL;
    g_autofree char *host_uuid = NULL;

    options.store = drv_args_text(args, "store");
    options.store_ca = drv_args_text(args, "store-ca");
    options.store_cert = drv_args_text(args, "store-cert");
    options.store_key = drv_args_text(args, "store-key");
    if (!options.store && (options.store_ca || options.store_cert || options.store_key)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "certificates for a store need the store: --store etcd://HOST:PORT");
        return -1;
    }
    host_uuid = drv_host_uuid();
    options.host_uuid = host_uuid;
    identity = drv_init(&options, error);
    if (!identity)
        return -1;
    said_and_next(cli, identity, "Made cluster");
    drv_cli_warn_open_store(cli, options.store, options.store_ca, options.store_cert);
    drv_libvirt_first_look(cli);
    next_steps(cli, TRUE);
    return DRV_EXIT_DONE;
}

int drv_cmd_join(drv_cli *cli, const drv_args *args, GError **error)
{
    drv_init_options options = options_of(args);
    g_autofree char *token = NULL;
    g_autofree char *host_uuid = NULL;
    g_autoptr(drv_identity) identity = NULL;

    if (drv_args_has(args, "token") == drv_args_has(args, "token-file")) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "joining needs a token: either --token-file FILE or --token T, "
                    "made by “drover token create” on a node of the cluster");
        return -1;
    }
    if (drv_args_has(args, "token-file")) {
        token = drv_cli_read_secret(drv_args_text(args, "token-file"), error);
        if (!token)
            return -1;
    } else {
        token = g_strdup(drv_args_text(args, "token"));
    }
    host_uuid = drv_host_uuid();
    options.host_uuid = host_uuid;
    identity = drv_join(&options, drv_args_operand(args, 0), token, error);
    if (!identity)
        return -1;
    said_and_next(cli, identity, "Joined cluster");
    drv_libvirt_first_look(cli);
    if (identity->same_host_uuid)
        drv_cli_message(cli,
                        "warning: this host has the same host UUID as node %s (%s), and libvirt will not migrate "
                        "running VMs between them: " DRV_HOST_UUID_REMEDY,
                        identity->same_host_uuid, host_uuid);
    next_steps(cli, FALSE);
    return DRV_EXIT_DONE;
}
