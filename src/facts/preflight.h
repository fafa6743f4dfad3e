/* SPDX-License-Identifier: Apache-2.0 */
/* Whether this node can take a VM, looked at again when its move begins. */
#pragma once

#include "node/context.h"
#include "plan/target.h"

/** drv_preflight_goal() - what plan/target.h wants to know of a step. Borrows from @step. */
drv_plan_target_goal drv_preflight_goal(json_object *step);

/**
 * drv_facts_preflight() - can this node take the VM of @step still?
 *
 * With the judgement that the plan was made with, on what is true here now. All that is against it is
 * said at once: DRV_ERROR_REFUSED. Blocks on libvirt.
 */
gboolean drv_facts_preflight(drv_context *ctx, json_object *step, GError **error);
