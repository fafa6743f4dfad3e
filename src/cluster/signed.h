/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only the authority says: which tokens there are, and which nodes besides the founder have its key. Each
 * node can write to etcd, so these records carry the authority's signature, and one without is not believed.
 * Any thread.
 */
#pragma once

#include <json-c/json.h>
#include <json.h>

#include "cluster/identity.h"

/** drv_signed_token() - sign a token's document: its id, kind, hash, expiry and the token with which it was made. */
gboolean drv_signed_token(const drv_identity *identity, json_object *token, GError **error);

/** drv_signed_token_is() - is it? @kind: NULL: what the document says */
gboolean drv_signed_token_is(const drv_identity *identity, const char *kind, json_object *token);

/** drv_signed_signer() - sign that the node of a member's document has the authority's key. */
gboolean drv_signed_signer(const drv_identity *identity, json_object *member, GError **error);
gboolean drv_signed_signer_is(const drv_identity *identity, json_object *member);
