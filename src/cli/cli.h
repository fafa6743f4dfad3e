/* SPDX-License-Identifier: Apache-2.0 */
/* What every command is given, and what it is made of. */
#pragma once

#include <glib.h>
#include <stdio.h>

#include "cli/api.h"
#include "cli/args.h"
#include "cli/exit.h"
#include "cli/show.h"
#include "cli/table.h"

struct drv_cli {
    FILE *out; /* results */
    FILE *err; /* messages */
    gboolean json;
    const drv_args *args;
    drv_cli_api *api; /* NULL until asked for; freed by drv_cli_main() */
};

/**
 * drv_cli_main() - one run of drover.
 * @api: NULL for the real one; a test's own is freed as well
 * Return: the exit code.
 */
int drv_cli_main(int argc, char *const *argv, FILE *out, FILE *err, drv_cli_api *api);

/** drv_cli_call() - ask droverd, connecting at the first call. Transfer full. */
json_object *drv_cli_call(drv_cli *cli, const char *method, const char *path, json_object *body,
                          GError **error);

/** drv_cli_delete() - DELETE what @prefix and the command's operand name; says "@kind OPERAND @fate", or the answer as JSON. */
int drv_cli_delete(drv_cli *cli, const drv_args *args, const char *prefix, const char *kind,
                   const char *fate, GError **error);

/** drv_cli_api_get() - the connection, made at the first call. Borrowed. */
drv_cli_api *drv_cli_api_get(drv_cli *cli, GError **error);

/** drv_cli_print_json() - one object on stdout. */
void drv_cli_print_json(drv_cli *cli, json_object *object);

/** drv_cli_message() - one line on stderr, safe for a terminal. */
void drv_cli_message(drv_cli *cli, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/** drv_cli_warn_unreachable() - a line for each node that @answer says did not answer. */
void drv_cli_warn_unreachable(drv_cli *cli, json_object *answer);

/**
 * drv_cli_show_list() - how a list ends: @answer as JSON or @table for people, and who did not answer.
 * Return: DRV_EXIT_DONE.
 */
int drv_cli_show_list(drv_cli *cli, json_object *answer, const drv_table *table);

/** drv_cli_path() - @prefix, then @id escaped for a URL, then @suffix. Transfer full. */
char *drv_cli_path(const char *prefix, const char *id, const char *suffix);

/** drv_cli_read_secret() - the first line of @file ("-": stdin). Transfer full. */
char *drv_cli_read_secret(const char *file, GError **error);

/** drv_cli_warn_open_store() - says so if etcd at @where is reached without encryption. In cmd-store.c. */
void drv_cli_warn_open_store(drv_cli *cli, const char *where, const char *ca, const char *cert);

/* The commands, one file each (a group of commands shares one). */
int drv_cmd_init(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_join(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_token_create(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_token_list(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_token_revoke(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_node_list(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_node_label(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_node_revoke(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_node_authority(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_store_status(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_store_move(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_backup(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_restore(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_vm_list(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_vm_goals(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_vm_owner(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_content_list(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_content_prune(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_content_on(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_content_off(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_policy_list(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_policy_show(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_policy_set(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_policy_delete(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_migrate(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_link_list(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_link_probe(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_report_accuracy(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_jobs(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_job(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_cancel(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_reconcile(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_job_pause(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_job_resume(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_plan_migrate(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_plan_evacuate(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_plan_place(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_plan_show(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_plan_list(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_roll(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_evacuate(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_apply(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_node_drain(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_node_resume(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_doctor(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_version(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_help(drv_cli *cli, const drv_args *args, GError **error);
