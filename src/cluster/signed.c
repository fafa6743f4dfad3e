/* SPDX-License-Identifier: Apache-2.0 */
/* What only the authority says: see signed.h. */
#include "cluster/signed.h"

#include <string.h>

#include "cluster/pki.h"
#include "model/json.h"

#define TOKEN "signature"
#define SIGNER "signs_signature"

static gboolean is_hex(const char *text)
{
    return text && text[0] && text[strspn(text, "0123456789abcdef")] == '\0';
}

/* What is signed of a token, NULL if it is none. Transfer full. */
static char *of_token(const drv_identity *identity, const char *kind, json_object *token)
{
    const char *id = drv_json_string(token, "id", NULL), *hash = drv_json_string(token, "hash", NULL);
    const char *by = drv_json_string(token, "by", NULL);

    if (!kind || strchr(kind, '\n') || !is_hex(id) || !is_hex(hash) || (by && !is_hex(by)))
        return NULL;
    return g_strdup_printf("drover token\n%s\n%s\n%s\n%s\n%s\n%" G_GINT64_FORMAT "\n", identity->cluster, kind, id,
                           hash, by ? by : "-", drv_json_int(token, "expires_ms", 0));
}

static char *of_signer(const drv_identity *identity, json_object *member)
{
    const char *name = drv_json_string(member, "name", NULL);
    const char *fingerprint = drv_json_string(member, "fingerprint", NULL);

    return drv_node_name_check(name ? name : "", NULL) && is_hex(fingerprint)
               ? g_strdup_printf("drover signer\n%s\n%s\n%s\n", identity->cluster, name, fingerprint)
               : NULL;
}

static gboolean add(const drv_identity *identity, json_object *to, const char *key, const char *text, GError **error)
{
    g_autofree char *signature = NULL;

    if (!text || !identity->ca_key_pem) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "%s",
                    text ? "this node does not have the authority's key" : "there is nothing to sign");
        return FALSE;
    }
    signature = drv_pki_seal(identity->ca_key_pem, text, error);
    if (signature)
        drv_json_set_string(to, key, signature);
    return signature != NULL;
}

gboolean drv_signed_token(const drv_identity *identity, json_object *token, GError **error)
{
    g_autofree char *text = of_token(identity, drv_json_string(token, "kind", NULL), token);

    return add(identity, token, TOKEN, text, error);
}

gboolean drv_signed_token_is(const drv_identity *identity, const char *kind, json_object *token)
{
    g_autofree char *text = of_token(identity, kind ? kind : drv_json_string(token, "kind", NULL), token);
    const char *signature = drv_json_string(token, TOKEN, NULL);

    return text && signature && drv_pki_seal_is(identity->ca_pem, text, signature);
}

gboolean drv_signed_signer(const drv_identity *identity, json_object *member, GError **error)
{
    g_autofree char *text = of_signer(identity, member);

    return add(identity, member, SIGNER, text, error);
}

gboolean drv_signed_signer_is(const drv_identity *identity, json_object *member)
{
    g_autofree char *text = of_signer(identity, member);
    const char *signature = drv_json_string(member, SIGNER, NULL);

    return text && signature && drv_pki_seal_is(identity->ca_pem, text, signature);
}
