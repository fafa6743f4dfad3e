/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens as people carry them: drover1.<id>.<secret>.<fingerprint of the authority>.
 * The secret is 192 random bits, so its plain SHA-256 is what is stored.
 */
#pragma once

#include <glib.h>

#include "hyper/gerror.h"

#define DRV_TOKEN_ID_TEXT 16     /* hex digits */
#define DRV_TOKEN_SECRET_TEXT 32 /* base64url */
#define DRV_FINGERPRINT_TEXT 64  /* hex digits of a SHA-256 */

typedef struct {
    char id[DRV_TOKEN_ID_TEXT + 1];
    char secret[DRV_TOKEN_SECRET_TEXT + 1];
    char fingerprint[DRV_FINGERPRINT_TEXT + 1]; /* of the authority's certificate */
} drv_token;

/** drv_token_new() - random id and secret. @fingerprint: 64 hex digits. */
gboolean drv_token_new(drv_token *token, const char *fingerprint, GError **error);

/** drv_token_parse() - DRV_ERROR_INVALID for what is not a token; never says what the secret was. */
gboolean drv_token_parse(drv_token *token, const char *text, GError **error);

/** drv_token_text() - transfer full. */
char *drv_token_text(const drv_token *token);

/** drv_token_hash() - hex SHA-256 of the secret, as stored. Transfer full. */
char *drv_token_hash(const drv_token *token);

/** drv_token_matches() - constant time. @hash: as stored. */
gboolean drv_token_matches(const drv_token *token, const char *hash);
