/* SPDX-License-Identifier: Apache-2.0 */
/* Whether this node can take a VM, asked when a plan is made and again when its move begins. */
#pragma once

#include "run/internal.h"

/**
 * drv_run_preflight() - can this node take the VM of @step?
 *
 * All that is against it is said at once: DRV_ERROR_REFUSED. Blocks on libvirt.
 */
gboolean drv_run_preflight(drv_run *run, json_object *step, GError **error);
