/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a VM's memory a target has already, for predictions: known content (cache.h) that earlier moves left
 * at both ends. Pure.
 */
#pragma once

#include "model/json.h"
#include "plan/estimate.h"

/**
 * drv_recycled_is_at() - have its @moves (plan/history.h) brought the VM from node @here to @target, or back?
 * Then both may have content of it.
 */
gboolean drv_recycled_is_at(const char *here, json_object *moves, const char *target);

/**
 * drv_recycled_share() - of what is filled of a VM's memory, what is kept here of it, less what it
 * has changed since by the windows of @in. 0 to 1; 0 if it was not sampled. What the target still has
 * of that is not asked.
 * @contents: of drv_content_list(); NULL: none
 */
double drv_recycled_share(json_object *contents, const char *uuid, const drv_estimate_input *in, gint64 now_ms);

/**
 * drv_recycled_json() - {node: share} of all nodes that the VM's @moves to or from @here name, for the fleet's
 * view. Transfer full; NULL: none.
 */
json_object *drv_recycled_json(const char *here, json_object *contents, const char *uuid, json_object *moves,
                               const drv_estimate_input *in, gint64 now_ms);
