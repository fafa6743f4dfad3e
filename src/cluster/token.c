/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens: see token.h. */
#include "cluster/token.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>

#include "base/hex.h"

#define PREFIX "drover1"
#define SECRET_BYTES 24
#define DIGEST_BYTES 32
#define DIGEST_TEXT 43 /* base64url of 32 bytes, without padding */

/* base64url (RFC 4648 5) without padding; lengths here are known, so nothing else is needed. */
static char *encode(const guchar *bytes, gsize size)
{
    char *text = g_base64_encode(bytes, size);

    g_strdelimit(text, "+", '-');
    g_strdelimit(text, "/", '_');
    text[strcspn(text, "=")] = '\0';
    return text;
}

/* Exactly @size bytes, in their one spelling. */
static gboolean decode(const char *text, guchar *bytes, gsize size)
{
    g_autofree char *padded = g_strconcat(text, strlen(text) % 4 ? "=" : "", NULL);
    g_autofree guchar *out = NULL;
    g_autofree char *again = NULL;
    gsize got = 0;

    if (strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != strlen(text))
        return FALSE;
    g_strdelimit(padded, "-", '+');
    g_strdelimit(padded, "_", '/');
    out = g_base64_decode(padded, &got);
    if (got != size)
        return FALSE;
    again = encode(out, got);
    if (!g_str_equal(again, text))
        return FALSE;
    memcpy(bytes, out, size);
    return TRUE;
}

gboolean drv_token_new(drv_token *token, const char *fingerprint, GError **error)
{
    guchar id[DRV_TOKEN_ID_TEXT / 2], secret[SECRET_BYTES];
    g_autofree char *text = NULL;

    if (gnutls_rnd(GNUTLS_RND_RANDOM, id, sizeof id) < 0 || gnutls_rnd(GNUTLS_RND_KEY, secret, sizeof secret) < 0) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot make a token: no random numbers");
        return FALSE;
    }
    drv_hex_encode(token->id, id, sizeof id);
    text = encode(secret, sizeof secret);
    g_strlcpy(token->secret, text, sizeof token->secret);
    g_strlcpy(token->fingerprint, fingerprint, sizeof token->fingerprint);
    return TRUE;
}

static gboolean is_lower(const char *hex)
{
    return !hex[strcspn(hex, "ABCDEF")];
}

gboolean drv_token_parse(drv_token *token, const char *text, GError **error)
{
    g_autofree char *copy = NULL;
    g_auto(GStrv) parts = NULL;
    guchar id[DRV_TOKEN_ID_TEXT / 2], secret[SECRET_BYTES], digest[DIGEST_BYTES];

    if (strlen(text) < 512) {
        copy = g_strstrip(g_strdup(text));
        parts = g_strsplit(copy, ".", 5);
        if (g_strv_length(parts) == 4 && g_str_equal(parts[0], PREFIX) &&
            !drv_hex_decode(id, sizeof id, parts[1], NULL) && is_lower(parts[1]) &&
            strlen(parts[2]) == DRV_TOKEN_SECRET_TEXT && decode(parts[2], secret, sizeof secret) &&
            strlen(parts[3]) == DIGEST_TEXT && decode(parts[3], digest, sizeof digest)) {
            g_strlcpy(token->id, parts[1], sizeof token->id);
            g_strlcpy(token->secret, parts[2], sizeof token->secret);
            drv_hex_encode(token->fingerprint, digest, sizeof digest);
            return TRUE;
        }
    }
    g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                "this is not a token: one looks like " PREFIX ".….….… and is used whole, exactly "
                "as `drover token create` printed it");
    return FALSE;
}

char *drv_token_text(const drv_token *token)
{
    guchar digest[DIGEST_BYTES] = {0};
    g_autofree char *fingerprint = NULL;

    drv_hex_decode(digest, sizeof digest, token->fingerprint, NULL);
    fingerprint = encode(digest, sizeof digest);
    return g_strjoin(".", PREFIX, token->id, token->secret, fingerprint, NULL);
}

char *drv_token_hash(const drv_token *token)
{
    return g_compute_checksum_for_string(G_CHECKSUM_SHA256, token->secret, -1);
}

gboolean drv_token_matches(const drv_token *token, const char *hash)
{
    g_autofree char *ours = drv_token_hash(token);

    return strlen(hash) == strlen(ours) && !gnutls_memcmp(ours, hash, strlen(ours));
}
