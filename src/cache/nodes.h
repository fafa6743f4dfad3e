/* SPDX-License-Identifier: Apache-2.0 */
/* Known content as operators see it: every node is asked for its own. */
#pragma once

#include <glib.h>
#include <json-c/json.h>

#include "node/context.h"

json_object *drv_run_local_content(drv_run *run, GError **error);
json_object *drv_run_local_content_prune(drv_run *run, json_object *what, GError **error);
json_object *drv_run_local_content_set(drv_run *run, json_object *what, GError **error);

json_object *drv_run_contents(drv_run *run, GError **error);
json_object *drv_run_contents_prune(drv_run *run, json_object *what, GError **error);
json_object *drv_run_contents_set(drv_run *run, json_object *what, GError **error);
