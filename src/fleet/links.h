/* SPDX-License-Identifier: Apache-2.0 */
/* A link that an operator wants to have measured, by the node where it begins. */
#pragma once

#include <glib.h>
#include <json-c/json.h>

#include "node/context.h"

/** drv_fleet_probe_link() - measure one now: {"from", "to"}. */
json_object *drv_fleet_probe_link(drv_context *ctx, json_object *body, GError **error);
