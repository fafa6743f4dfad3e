/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens that are handed out. */
#pragma once

#include <glib.h>
#include <json-c/json.h>

#include "cluster/cluster.h"

/**
 * drv_authority_token_create() - body and answer of POST /v1/tokens.
 * @with: id of the token that whoever asks has shown: what is made with it is good for no longer. NULL:
 * a certificate was shown.
 */
json_object *drv_authority_token_create(drv_cluster *cluster, json_object *body, const char *with, GError **error);

/** drv_authority_token_stands() - is the token with which this one was made, if there is one, in force? */
gboolean drv_authority_token_stands(drv_cluster *cluster, json_object *document, GError **error);

json_object *drv_authority_tokens(drv_cluster *cluster, GError **error);
json_object *drv_authority_token_delete(drv_cluster *cluster, const char *id, GError **error);
