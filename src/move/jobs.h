/* SPDX-License-Identifier: Apache-2.0 */
/* The jobs of this node, those that run and those that have ended. */
#pragma once

#include "node/context.h"
#include "move/job.h"

json_object *drv_run_local_jobs(drv_run *run, GError **error);
/** drv_run_local_job() - one that runs (transfer full), or NULL: then it may be in the store. */
drv_job *drv_run_local_job(drv_run *run, const char *id);
/** drv_run_local_job_view() - at once if its revision is > @after, else when it changes or after @wait_ms. */
json_object *drv_run_local_job_view(drv_run *run, const char *id, gint64 after, guint wait_ms, GError **error);
