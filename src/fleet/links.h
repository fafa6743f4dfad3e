/* SPDX-License-Identifier: Apache-2.0 */
/* Links and the accuracy of predictions as operators see them, of all nodes. */
#pragma once

#include <glib.h>
#include <json-c/json.h>

#include "node/context.h"

/** drv_run_links_probe() - measure one now: {"from", "to"}. */
json_object *drv_run_links_probe(drv_run *run, json_object *body, GError **error);
