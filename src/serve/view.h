/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of the fleet: nodes, VMs and jobs of every node, read at this moment. */
#pragma once

#include <glib.h>
#include <json-c/json.h>

#include "node/context.h"

json_object *drv_serve_local_vms(drv_context *ctx, GError **error);

/** drv_serve_lead_status() - set "leader" in @status (null: not known now), and "unrecorded", how many moves wait to be. */
void drv_serve_lead_status(drv_context *ctx, json_object *status);

json_object *drv_serve_plans(drv_context *ctx, GError **error);
json_object *drv_serve_jobs(drv_context *ctx, GError **error);

/** drv_serve_job() - at once if its revision is > @after, else when it changes or after @wait_ms. */
json_object *drv_serve_job(drv_context *ctx, const char *id, gint64 after, guint wait_ms, GError **error);

/** drv_serve_links() - what is known of the links between nodes. */
json_object *drv_serve_links(drv_context *ctx, GError **error);

/** drv_serve_accuracy() - how good the predictions of the moves in the history were. */
json_object *drv_serve_accuracy(drv_context *ctx, GError **error);
json_object *drv_serve_cancel(drv_context *ctx, const char *id, GError **error);

/** drv_serve_job_act() - "pause", "resume" (of an operation) or "cancel"; the job as it is then. */
json_object *drv_serve_job_act(drv_context *ctx, const char *id, const char *action, GError **error);
json_object *drv_serve_node_settings(drv_context *ctx, const char *node, GError **error);
json_object *drv_serve_node_settings_set(drv_context *ctx, const char *node, json_object *what, GError **error);

/** drv_serve_reconcile() - ask both ends again about a job that needs attention; the job as it is then. */
json_object *drv_serve_reconcile(drv_context *ctx, const char *id, GError **error);
