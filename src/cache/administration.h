/* SPDX-License-Identifier: Apache-2.0 */
/* What operators see of the known-content store and may do to it. */
#pragma once

#include <glib.h>
#include <json-c/json.h>

#include "cache/cache.h"
#include "node/context.h"

/**
 * drv_content_list() - {"on", "bytes", "most_bytes", "age_s", "saved_bytes", "key_kept", "problem": null or
 * {"message", "at_ms"}, "contents": […]}. Transfer full.
 */
json_object *drv_content_list(drv_content *content);

/** drv_content_prune() - @what: {"all", "older_than_s", "vm", "owner"}: all of what is given must be so. {"removed", "bytes"}. Transfer full. */
json_object *drv_content_prune(drv_content *content, json_object *what, GError **error);

/** drv_content_set() - {"on": …}; off removes everything. Stays so over a restart. Transfer full. */
json_object *drv_content_set(drv_content *content, json_object *what, GError **error);
