/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of the fleet: nodes, VMs and jobs of every node, read at this moment. */
#pragma once

#include <glib.h>
#include <json-c/json.h>

#include "node/context.h"

json_object *drv_run_local_vms(drv_run *run, GError **error);

/** drv_run_lead_status() - set "leader" in @status (null: not known now), and "unrecorded", how many moves wait to be. */
void drv_run_lead_status(drv_run *run, json_object *status);

json_object *drv_run_plans(drv_run *run, GError **error);
json_object *drv_run_jobs(drv_run *run, GError **error);

/** drv_run_job() - at once if its revision is > @after, else when it changes or after @wait_ms. */
json_object *drv_run_job(drv_run *run, const char *id, gint64 after, guint wait_ms, GError **error);

/** drv_run_links() - what is known of the links between nodes. */
json_object *drv_run_links(drv_run *run, GError **error);

/** drv_run_accuracy() - how good the predictions of the moves in the history were. */
json_object *drv_run_accuracy(drv_run *run, GError **error);
json_object *drv_run_cancel(drv_run *run, const char *id, GError **error);

/** drv_run_job_act() - "pause", "resume" (of an operation) or "cancel"; the job as it is then. */
json_object *drv_run_job_act(drv_run *run, const char *id, const char *action, GError **error);
json_object *drv_run_node_settings(drv_run *run, const char *node, GError **error);
json_object *drv_run_node_settings_set(drv_run *run, const char *node, json_object *what, GError **error);

/** drv_run_reconcile() - ask both ends again about a job that needs attention; the job as it is then. */
json_object *drv_run_reconcile(drv_run *run, const char *id, GError **error);
