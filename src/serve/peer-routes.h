/* SPDX-License-Identifier: Apache-2.0 */
/* What other nodes may ask of this one: everything under /v1/peer/ but the API's own. */
#pragma once

#include <glib.h>
#include <json-c/json.h>

#include "node/context.h"
#include "serve/serve.h"

/**
 * drv_serve_peer() - everything under /v1/peer/ but what the API itself answers
 * (membership, join).
 * @caller: name of the node that asks, from its certificate
 * @path: what follows "/v1/peer/", with the query
 * @body: NULL when there is none
 * Return: the answer, or NULL and @error.
 */
json_object *drv_serve_peer(drv_context *ctx, const char *caller, const char *method, const char *path,
                            json_object *body, GError **error);

/**
 * drv_serve_peer_at() - the table of these, for tests: the pattern of its @i-th one, NULL behind the last one.
 * Transfer full.
 */
char *drv_serve_peer_at(guint i, const char **method, drv_peer_who *who);
