/* SPDX-License-Identifier: Apache-2.0 */
/* The jobs of this node, those that run and those that have ended. */
#pragma once

#include "move/job.h"
#include "node/context.h"

json_object *drv_move_jobs(drv_context *ctx, GError **error);
/** drv_move_job() - one that runs (transfer full), or NULL: then it may be in the store. */
drv_job *drv_move_job(drv_context *ctx, const char *id);
/** drv_move_job_view() - at once if its revision is > @after, else when it changes or after @wait_ms. */
json_object *drv_move_job_view(drv_context *ctx, const char *id, gint64 after, guint wait_ms, GError **error);
