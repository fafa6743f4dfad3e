/* SPDX-License-Identifier: Apache-2.0 */
/* drover jobs, job, cancel, reconcile. */
#pragma once

#include <glib.h>

#include "cli/args.h"

int drv_cmd_jobs(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_job(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_cancel(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_reconcile(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_job_pause(drv_cli *cli, const drv_args *args, GError **error);
int drv_cmd_job_resume(drv_cli *cli, const drv_args *args, GError **error);
