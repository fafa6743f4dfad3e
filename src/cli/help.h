/* SPDX-License-Identifier: Apache-2.0 */
/* --help, from the same tables that are parsed. */
#pragma once

#include <json-c/json.h>

#include "cli/args.h"

void drv_help_overview(FILE *out);

/** drv_help_group() - the commands that begin with the word @group. */
void drv_help_group(FILE *out, const char *group);
void drv_help_command(FILE *out, const drv_command *command);

/** drv_help_json() - all tables, for programs. Transfer full. */
json_object *drv_help_json(void);
