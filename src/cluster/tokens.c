/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens that are handed out: see authority.h. A used one stays until it expires, to tell "used" from
 * "unknown".
 */
#include "cluster/tokens.h"

#include <string.h>

#include "base/clock.h"
#include "cluster/publish.h"
#include "cluster/signed.h"
#include "cluster/token.h"
#include "model/json.h"

#define MOST_TTL_S (10LL * 366 * 24 * 3600)
#define TOKENS_MOST 1000

/* Tokens that nobody needs any more, not even to be told that they have expired. */
static void prune(drv_store *store)
{
    g_autoptr(GPtrArray) documents = drv_store_list(store, DRV_TOKENS_BUCKET, 0, NULL);
    gint64 before = drv_clock_real_ms() - 7LL * 24 * 3600 * 1000;

    for (guint i = 0; documents && i < documents->len; i++) {
        const drv_document *document = g_ptr_array_index(documents, i);
        g_autoptr(json_object) token = json_tokener_parse(document->json);

        if (drv_json_int(token, "expires_ms", 0) < before)
            drv_store_delete(store, DRV_TOKENS_BUCKET, document->key, document->revision, NULL);
    }
}

static gboolean check_token_wish(const char *kind, const char *name, gint64 ttl_s, GError **error)
{
    if (!kind || (!g_str_equal(kind, "join") && !g_str_equal(kind, "operator"))) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "\"kind\" must be \"join\" or \"operator\"");
        return FALSE;
    }
    if (ttl_s < 1 || ttl_s > MOST_TTL_S) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "\"ttl_s\" must be a number of seconds from 1 to %lld",
                    MOST_TTL_S);
        return FALSE;
    }
    if (name && (strlen(name) > 64 || !g_str_is_ascii(name))) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "\"name\" must be at most 64 ASCII characters");
        return FALSE;
    }
    return TRUE;
}

/* Only an operator's is known to all nodes. */
static gboolean put_token(drv_cluster *cluster, gpointer data, gboolean *again, GError **error)
{
    json_object *document = data;
    drv_store *store = drv_cluster_store(cluster);
    const char *id = drv_json_string(document, "id", NULL);
    g_autoptr(GPtrArray) there = NULL;
    drv_pending changes = {0};

    prune(store);
    there = drv_store_list(store, DRV_TOKENS_BUCKET, 0, error);
    if (there && there->len >= TOKENS_MOST)
        g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED,
                    "there are %u tokens already: delete some (`drover token list`)", there->len);
    if (!there || there->len >= TOKENS_MOST)
        return FALSE;
    if (!g_str_equal(drv_json_string(document, "kind", ""), "operator"))
        return drv_store_put(store, DRV_TOKENS_BUCKET, id, drv_publish_text(document), DRV_REVISION_NEW, NULL, error);
    drv_publish_add(&changes, DRV_TOKENS_BUCKET, id, drv_publish_text(document), DRV_REVISION_NEW);
    return drv_publish(cluster, &changes, again, error);
}

/* What is made with a token does not outlive it; what is not said is as long as it may be. */
static gboolean limit_ttl(drv_cluster *cluster, json_object *body, const char *with, gint64 now, gint64 *expires_ms,
                          GError **error)
{
    gint64 most = drv_cluster_token_ends_ms(cluster, with);

    if (*expires_ms <= most)
        return TRUE;
    if (!json_object_object_get_ex(body, "ttl_s", NULL)) {
        *expires_ms = most;
        return TRUE;
    }
    g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED,
                "the token that you use is good for %" G_GINT64_FORMAT " s more, and cannot make one that "
                "outlives it: ask for a shorter time, or use an operator's certificate",
                MAX(most - now, 0) / 1000);
    return FALSE;
}

json_object *drv_authority_token_create(drv_cluster *cluster, json_object *body, const char *with, GError **error)
{
    const drv_identity *identity = drv_cluster_identity(cluster);
    const char *kind = drv_json_string(body, "kind", NULL);
    const char *name = drv_json_string(body, "name", NULL);
    gint64 ttl_s = drv_json_int(body, "ttl_s", 3600), now = drv_clock_real_ms();
    gint64 expires_ms = now + ttl_s * 1000;
    g_autoptr(json_object) document = NULL;
    g_autofree char *hash = NULL;
    g_autofree char *text = NULL;
    json_object *answer;
    drv_token token;

    if (!check_token_wish(kind, name, ttl_s, error))
        return NULL;
    if (!drv_cluster_keeps(cluster))
        return drv_cluster_send_to_founder(cluster, error);
    if (!identity->ca_key_pem)
        return drv_cluster_send_to_signer(cluster, error);
    if (with && !limit_ttl(cluster, body, with, now, &expires_ms, error))
        return NULL;
    if (!drv_token_new(&token, identity->ca_fingerprint, error))
        return NULL;
    hash = drv_token_hash(&token);
    text = drv_token_text(&token);
    document = json_object_new_object();
    drv_json_set_string(document, "id", token.id);
    drv_json_set_string(document, "kind", kind);
    drv_json_set_string(document, "name", name);
    drv_json_set_string(document, "hash", hash);
    if (with)
        drv_json_set_string(document, "by", with);
    drv_json_set_int(document, "created_ms", now);
    drv_json_set_int(document, "expires_ms", expires_ms);

    if (!drv_signed_token(identity, document, error) || !drv_publish_change(cluster, put_token, document, error))
        return NULL;
    if (g_str_equal(kind, "operator"))
        drv_cluster_push(cluster);
    answer = json_object_new_object();
    drv_json_set_string(answer, "id", token.id);
    drv_json_set_string(answer, "token", text);
    drv_json_set_string(answer, "kind", kind);
    drv_json_set_int(answer, "expires_ms", expires_ms);
    return answer;
}

gboolean drv_authority_token_stands(drv_cluster *cluster, json_object *document, GError **error)
{
    const char *by = drv_json_string(document, "by", NULL);

    return !by || drv_cluster_token_valid(cluster, by, error);
}

json_object *drv_authority_tokens(drv_cluster *cluster, GError **error)
{
    g_autoptr(json_object) all = NULL;
    json_object *list, *answer;

    if (!drv_cluster_keeps(cluster))
        return drv_cluster_send_to_founder(cluster, error);
    all = drv_publish_bucket(drv_cluster_store(cluster), DRV_TOKENS_BUCKET, NULL, error);
    if (!all)
        return NULL;
    list = json_object_new_array();
    for (gsize i = 0; i < json_object_array_length(all); i++) {
        json_object *from = json_object_array_get_idx(all, i);
        json_object *to;

        if (drv_json_string(from, "used_by", NULL) || drv_json_int(from, "expires_ms", 0) <= drv_clock_real_ms() ||
            !drv_signed_token_is(drv_cluster_identity(cluster), NULL, from) ||
            !drv_authority_token_stands(cluster, from, NULL))
            continue;
        to = json_object_new_object();
        drv_json_set_string(to, "id", drv_json_string(from, "id", NULL));
        drv_json_set_string(to, "kind", drv_json_string(from, "kind", NULL));
        drv_json_set_string(to, "name", drv_json_string(from, "name", NULL));
        if (drv_json_string(from, "by", NULL))
            drv_json_set_string(to, "by", drv_json_string(from, "by", NULL));
        drv_json_set_int(to, "created_ms", drv_json_int(from, "created_ms", 0));
        drv_json_set_int(to, "expires_ms", drv_json_int(from, "expires_ms", 0));
        json_object_array_add(list, to);
    }
    answer = json_object_new_object();
    json_object_object_add(answer, "tokens", list);
    return answer;
}

typedef struct {
    const char *id;
    gboolean operator;
} deletion;

static gboolean delete_token(drv_cluster *cluster, gpointer data, gboolean *again, GError **error)
{
    deletion *wish = data;
    drv_store *store = drv_cluster_store(cluster);
    g_autoptr(drv_document) document = drv_store_get(store, DRV_TOKENS_BUCKET, wish->id, error);
    g_autoptr(json_object) token = document ? json_tokener_parse(document->json) : NULL;
    drv_pending changes = {0};

    if (!document)
        return FALSE;
    wish->operator= !g_strcmp0(drv_json_string(token, "kind", NULL), "operator");
    if (!wish->operator)
        return drv_store_delete(store, DRV_TOKENS_BUCKET, wish->id, document->revision, error);
    drv_publish_add(&changes, DRV_TOKENS_BUCKET, wish->id, NULL, document->revision);
    return drv_publish(cluster, &changes, again, error);
}

json_object *drv_authority_token_delete(drv_cluster *cluster, const char *id, GError **error)
{
    g_autoptr(GError) failure = NULL;
    deletion wish = {id, FALSE};

    if (strlen(id) != DRV_TOKEN_ID_TEXT || strspn(id, "0123456789abcdef") != DRV_TOKEN_ID_TEXT) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "there is no token %.64s (see `drover token list`)", id);
        return NULL;
    }
    if (!drv_cluster_keeps(cluster))
        return drv_cluster_send_to_founder(cluster, error);
    if (!drv_publish_change(cluster, delete_token, &wish, &failure)) {
        if (g_error_matches(failure, DRV_ERROR, DRV_ERROR_NOT_FOUND))
            g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "there is no token %s (see `drover token list`)", id);
        else
            g_propagate_error(error, g_steal_pointer(&failure));
        return NULL;
    }
    if (wish.operator)
        drv_cluster_push(cluster);
    return json_object_new_object();
}
