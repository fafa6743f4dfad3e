/* SPDX-License-Identifier: Apache-2.0 */
/* Links and the accuracy of predictions as operators see them, of all nodes. */
#pragma once

#include <glib.h>
#include <json-c/json.h>

#include "node/context.h"

/** drv_fleet_probe_link() - measure one now: {"from", "to"}. */
json_object *drv_fleet_probe_link(drv_context *ctx, json_object *body, GError **error);
