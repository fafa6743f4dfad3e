/* SPDX-License-Identifier: Apache-2.0 */
/* Known content as operators see it: every node is asked for its own. */
#pragma once

#include <glib.h>
#include <json-c/json.h>

#include "node/context.h"

json_object *drv_cache_local(drv_context *ctx, GError **error);
json_object *drv_cache_local_prune(drv_context *ctx, json_object *what, GError **error);
json_object *drv_cache_local_set(drv_context *ctx, json_object *what, GError **error);

json_object *drv_cache_contents(drv_context *ctx, GError **error);
json_object *drv_cache_contents_prune(drv_context *ctx, json_object *what, GError **error);
json_object *drv_cache_contents_set(drv_context *ctx, json_object *what, GError **error);
