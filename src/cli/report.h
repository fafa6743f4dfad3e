/* SPDX-License-Identifier: Apache-2.0 */
/* How a move ended: for people, for scripts, and as an exit code. */
#pragma once

#include <glib.h>
#include <json-c/json.h>
#include <stdio.h>

#include "cli/exit.h"

/** drv_report_outcome() - "done", "rolled-back", "failed", "cancelled", "needs-attention";
 * "running" before its end. */
const char *drv_report_outcome(json_object *job);

/**
 * drv_report_exit() - of a job that has ended. A move that failed before it began
 * (state "failed") has the exit code of what stopped it.
 */
drv_exit drv_report_exit(json_object *job);

/**
 * drv_report_json() - the object of `migrate --json`: always the same keys, null where
 * nothing is known. Transfer full.
 * @job: may be NULL
 * @vm, @target: as asked for, where the job does not say; @target may be NULL
 * @outcome, @error: NULL to take them from the job
 */
json_object *drv_report_json(json_object *job, const char *vm, const char *target, const char *outcome,
                             const char *error);

/** drv_report_print() - a few lines; the reason of a failure is left to the caller's stderr. */
void drv_report_print(FILE *out, json_object *job);

/** drv_report_error() - why it failed; borrowed, NULL: it did not, or nobody knows. */
const char *drv_report_error(json_object *job);
