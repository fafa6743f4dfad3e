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
json_object *drv_cli_call(drv_cli *cli, const char *method, const char *path, json_object *body, GError **error);

/** drv_cli_delete() - DELETE what @prefix and the command's operand name; says "@kind OPERAND @fate", or the answer as JSON. */
int drv_cli_delete(drv_cli *cli, const drv_args *args, const char *prefix, const char *kind, const char *fate,
                   GError **error);

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
