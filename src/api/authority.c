/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens, signing and revoking at the founder: see authority.h.
 *
 * One lock around every change: there is one founder, and changes are rare. The token
 * is nevertheless used up by a compare-and-swap in the store, so that no second process
 * could use it either; a used one stays until it expires, to tell "used" from "unknown".
 */
#include "api/authority.h"

#include <string.h>

#include "model/json.h"
#include "api/pki.h"
#include "api/token.h"
#include "base/clock.h"
#include "base/log.h"

#define NODES "node"
#define TOKENS "token"
#define REVOKED "revoked"
#define POLICIES "policy" /* run/policies.c */
#define CLUSTER "cluster"
#define MEMBERSHIP "membership"
#define MOST_TTL_S (10LL * 366 * 24 * 3600)
#define TOKENS_MOST 1000

G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_x509_crt_t, gnutls_x509_crt_deinit, NULL)

static GMutex change_lock;

static const char *plain(json_object *object)
{
    return json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);
}

static json_object *node_document(const drv_identity *identity, const char *name,
                                  const char *address, gint64 port, gnutls_x509_crt_t certificate)
{
    g_autofree char *fingerprint = drv_pki_fingerprint(certificate);
    g_autofree char *pin = drv_pki_pin(certificate);
    json_object *node = json_object_new_object();

    drv_json_set_string(node, "name", name);
    drv_json_set_string(node, "address", address);
    drv_json_set_int(node, "port", port);
    drv_json_set_string(node, "fingerprint", fingerprint);
    drv_json_set_string(node, "pin", pin);
    json_object_object_add(node, "founder",
                           json_object_new_boolean(g_str_equal(name, identity->founder)));
    drv_json_set_int(node, "joined_ms", drv_clock_real_ms());
    return node;
}

/* All of a bucket, parsed; the key is put in as "id" where the document does not have one. */
static json_object *bucket(drv_store *store, const char *name, GError **error)
{
    g_autoptr(GPtrArray) documents = drv_store_list(store, name, 0, error);
    json_object *array;

    if (!documents)
        return NULL;
    array = json_object_new_array();
    for (guint i = 0; i < documents->len; i++) {
        const drv_document *document = g_ptr_array_index(documents, i);
        json_object *one = json_tokener_parse(document->json);

        if (one)
            json_object_array_add(array, one);
    }
    return array;
}

/* Operators' tokens as every node has to know them. */
static json_object *operators(drv_store *store, GError **error)
{
    g_autoptr(json_object) tokens = bucket(store, TOKENS, error);
    json_object *array;

    if (!tokens)
        return NULL;
    array = json_object_new_array();
    for (gsize i = 0; i < json_object_array_length(tokens); i++) {
        json_object *from = json_object_array_get_idx(tokens, i);

        if (!g_strcmp0(drv_json_string(from, "kind", NULL), "operator")) {
            json_object *to = json_object_new_object();

            drv_json_set_string(to, "id", drv_json_string(from, "id", NULL));
            drv_json_set_string(to, "hash", drv_json_string(from, "hash", NULL));
            drv_json_set_int(to, "expires_ms", drv_json_int(from, "expires_ms", 0));
            json_object_array_add(array, to);
        }
    }
    return array;
}

json_object *drv_authority_document(drv_store *store, const drv_identity *identity, GError **error)
{
    g_autoptr(drv_document) last = drv_store_get(store, CLUSTER, MEMBERSHIP, NULL);
    g_autoptr(json_object) last_document = last ? json_tokener_parse(last->json) : NULL;
    g_autoptr(json_object) document = json_object_new_object();
    json_object *members = bucket(store, NODES, error);
    json_object *revoked = members ? bucket(store, REVOKED, error) : NULL;
    json_object *tokens = revoked ? operators(store, error) : NULL;
    /* By the clock, so that it grows even when the store was restored from an old copy. */
    gint64 version = MAX(drv_json_int(last_document, "version", 0) + 1, drv_clock_real_ms());

    drv_json_set_int(document, "version", version);
    drv_json_set_string(document, "cluster", identity->cluster);
    drv_json_set_string(document, "founder", identity->founder);
    json_object_object_add(document, "members", members);
    json_object_object_add(document, "revoked", revoked);
    json_object_object_add(document, "operators", tokens);
    return tokens ? g_steal_pointer(&document) : NULL;
}

static gboolean clear_bucket(drv_store *store, const char *name, GError **error)
{
    g_autoptr(GPtrArray) documents = drv_store_list(store, name, 0, error);

    if (!documents)
        return FALSE;
    for (guint i = 0; i < documents->len; i++) {
        const drv_document *document = g_ptr_array_index(documents, i);

        if (!drv_store_delete(store, name, document->key, DRV_REVISION_ANY, error))
            return FALSE;
    }
    return TRUE;
}

gboolean drv_authority_found(drv_store *store, const drv_identity *identity, GError **error)
{
    g_auto(gnutls_x509_crt_t) certificate = drv_pki_load(identity->node_pem, error);
    g_autoptr(json_object) node = NULL;
    g_autoptr(json_object) document = NULL;

    if (!certificate)
        return FALSE;
    node = node_document(identity, identity->node, identity->address, identity->port, certificate);
    if (!clear_bucket(store, NODES, error) || !clear_bucket(store, TOKENS, error) ||
        !clear_bucket(store, REVOKED, error) || !clear_bucket(store, POLICIES, error) ||
        !drv_store_put(store, NODES, identity->node, plain(node), DRV_REVISION_ANY, NULL, error))
        return FALSE;
    document = drv_authority_document(store, identity, error);
    return document && drv_store_put(store, CLUSTER, MEMBERSHIP, plain(document), DRV_REVISION_ANY,
                                     NULL, error);
}

/* Called with the lock held; the push comes after it. */
static gboolean publish(drv_cluster *cluster, GError **error)
{
    g_autoptr(json_object) document =
        drv_authority_document(drv_cluster_store(cluster), drv_cluster_identity(cluster), error);

    return document && drv_cluster_apply(cluster, document, error);
}

gboolean drv_authority_start(drv_cluster *cluster, GError **error)
{
    gboolean done;

    if (!drv_cluster_is_founder(cluster))
        return TRUE;
    g_mutex_lock(&change_lock);
    done = publish(cluster, error);
    g_mutex_unlock(&change_lock);
    return done;
}

/* ---- tokens ---- */

/* Tokens that nobody needs any more, not even to be told that they have expired. */
static void prune(drv_store *store)
{
    g_autoptr(GPtrArray) documents = drv_store_list(store, TOKENS, 0, NULL);
    gint64 before = drv_clock_real_ms() - 7LL * 24 * 3600 * 1000;

    for (guint i = 0; documents && i < documents->len; i++) {
        const drv_document *document = g_ptr_array_index(documents, i);
        g_autoptr(json_object) token = json_tokener_parse(document->json);

        if (drv_json_int(token, "expires_ms", 0) < before)
            drv_store_delete(store, TOKENS, document->key, document->revision, NULL);
    }
}

static gboolean check_token_wish(const char *kind, const char *name, gint64 ttl_s, GError **error)
{
    if (!kind || (!g_str_equal(kind, "join") && !g_str_equal(kind, "operator"))) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "\"kind\" must be \"join\" or \"operator\"");
        return FALSE;
    }
    if (ttl_s < 1 || ttl_s > MOST_TTL_S) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "\"ttl_s\" must be a number of seconds from 1 to %lld", MOST_TTL_S);
        return FALSE;
    }
    if (name && (strlen(name) > 64 || !g_str_is_ascii(name))) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "\"name\" must be at most 64 ASCII characters");
        return FALSE;
    }
    return TRUE;
}

json_object *drv_authority_token_create(drv_cluster *cluster, json_object *body, GError **error)
{
    const drv_identity *identity = drv_cluster_identity(cluster);
    drv_store *store = drv_cluster_store(cluster);
    const char *kind = drv_json_string(body, "kind", NULL);
    const char *name = drv_json_string(body, "name", NULL);
    gint64 ttl_s = drv_json_int(body, "ttl_s", 3600), now = drv_clock_real_ms();
    g_autoptr(json_object) document = NULL;
    g_autoptr(GPtrArray) there = NULL;
    g_autofree char *hash = NULL;
    g_autofree char *text = NULL;
    json_object *answer;
    drv_token token;

    if (!check_token_wish(kind, name, ttl_s, error))
        return NULL;
    if (!drv_cluster_is_founder(cluster))
        return drv_cluster_ask_founder(cluster, "POST", "/v1/tokens", body, error);
    if (!drv_token_new(&token, identity->ca_fingerprint, error))
        return NULL;
    hash = drv_token_hash(&token);
    text = drv_token_text(&token);
    document = json_object_new_object();
    drv_json_set_string(document, "id", token.id);
    drv_json_set_string(document, "kind", kind);
    drv_json_set_string(document, "name", name);
    drv_json_set_string(document, "hash", hash);
    drv_json_set_int(document, "created_ms", now);
    drv_json_set_int(document, "expires_ms", now + ttl_s * 1000);

    g_mutex_lock(&change_lock);
    prune(store);
    there = drv_store_list(store, TOKENS, 0, error);
    if (there && there->len >= TOKENS_MOST) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED,
                    "there are %u tokens already: delete some (`drover token list`)", there->len);
        g_clear_pointer(&there, g_ptr_array_unref);
    }
    if (!there ||
        !drv_store_put(store, TOKENS, token.id, plain(document), DRV_REVISION_NEW, NULL, error) ||
        (g_str_equal(kind, "operator") && !publish(cluster, error))) {
        g_mutex_unlock(&change_lock);
        return NULL;
    }
    g_mutex_unlock(&change_lock);
    if (g_str_equal(kind, "operator"))
        drv_cluster_push(cluster);
    answer = json_object_new_object();
    drv_json_set_string(answer, "id", token.id);
    drv_json_set_string(answer, "token", text);
    drv_json_set_string(answer, "kind", kind);
    drv_json_set_int(answer, "expires_ms", now + ttl_s * 1000);
    return answer;
}

json_object *drv_authority_tokens(drv_cluster *cluster, GError **error)
{
    g_autoptr(json_object) all = NULL;
    json_object *list, *answer;

    if (!drv_cluster_is_founder(cluster))
        return drv_cluster_ask_founder(cluster, "GET", "/v1/tokens", NULL, error);
    all = bucket(drv_cluster_store(cluster), TOKENS, error);
    if (!all)
        return NULL;
    list = json_object_new_array();
    for (gsize i = 0; i < json_object_array_length(all); i++) {
        json_object *from = json_object_array_get_idx(all, i);
        json_object *to;

        if (drv_json_string(from, "used_by", NULL) ||
            drv_json_int(from, "expires_ms", 0) <= drv_clock_real_ms())
            continue;
        to = json_object_new_object();
        drv_json_set_string(to, "id", drv_json_string(from, "id", NULL));
        drv_json_set_string(to, "kind", drv_json_string(from, "kind", NULL));
        drv_json_set_string(to, "name", drv_json_string(from, "name", NULL));
        drv_json_set_int(to, "created_ms", drv_json_int(from, "created_ms", 0));
        drv_json_set_int(to, "expires_ms", drv_json_int(from, "expires_ms", 0));
        json_object_array_add(list, to);
    }
    answer = json_object_new_object();
    json_object_object_add(answer, "tokens", list);
    return answer;
}

json_object *drv_authority_token_delete(drv_cluster *cluster, const char *id, GError **error)
{
    drv_store *store = drv_cluster_store(cluster);
    g_autofree char *path = g_strconcat("/v1/tokens/", id, NULL);
    g_autoptr(drv_document) document = NULL;
    g_autoptr(json_object) token = NULL;
    g_autoptr(GError) failure = NULL;
    gboolean operator, done;

    if (strlen(id) != DRV_TOKEN_ID_TEXT || strspn(id, "0123456789abcdef") != DRV_TOKEN_ID_TEXT) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "there is no token %.64s", id);
        return NULL;
    }
    if (!drv_cluster_is_founder(cluster))
        return drv_cluster_ask_founder(cluster, "DELETE", path, NULL, error);
    g_mutex_lock(&change_lock);
    document = drv_store_get(store, TOKENS, id, &failure);
    token = document ? json_tokener_parse(document->json) : NULL;
    operator = !g_strcmp0(drv_json_string(token, "kind", NULL), "operator");
    done = document && drv_store_delete(store, TOKENS, id, document->revision, &failure) &&
           (!operator || publish(cluster, &failure));
    g_mutex_unlock(&change_lock);
    if (!done) {
        if (g_error_matches(failure, DRV_ERROR, DRV_ERROR_NOT_FOUND))
            g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND,
                        "there is no token %s (see `drover token list`)", id);
        else
            g_propagate_error(error, g_steal_pointer(&failure));
        return NULL;
    }
    if (operator)
        drv_cluster_push(cluster);
    return json_object_new_object();
}

/* ---- joining ---- */

/* The token's document if it may be used now. */
static drv_document *usable(drv_store *store, const drv_identity *identity, const char *text,
                            GError **error)
{
    g_autoptr(drv_document) document = NULL;
    g_autoptr(json_object) stored = NULL;
    g_autoptr(GError) failure = NULL;
    drv_token token;

    if (!text || !drv_token_parse(&token, text, error)) {
        if (!text)
            g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "\"token\" is missing");
        return NULL;
    }
    if (!g_str_equal(token.fingerprint, identity->ca_fingerprint)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED, "the token is of another cluster");
        return NULL;
    }
    document = drv_store_get(store, TOKENS, token.id, &failure);
    if (!document && !g_error_matches(failure, DRV_ERROR, DRV_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return NULL;
    }
    stored = document ? json_tokener_parse(document->json) : NULL;
    if (!stored || !drv_token_matches(&token, drv_json_string(stored, "hash", NULL) ?: "") ||
        g_strcmp0(drv_json_string(stored, "kind", NULL), "join")) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED,
                    "the token is not a join token of this cluster (wrong, or deleted): make a new "
                    "one with `drover token create`");
        return NULL;
    }
    if (drv_json_string(stored, "used_by", NULL)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED,
                    "the token has been used already, by node %s: make a new one with `drover token create`",
                    drv_json_string(stored, "used_by", NULL));
        return NULL;
    }
    if (drv_json_int(stored, "expires_ms", 0) <= drv_clock_real_ms()) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED,
                    "the token has expired: make a new one with `drover token create`");
        return NULL;
    }
    return g_steal_pointer(&document);
}

static gboolean place_free(drv_store *store, const char *name, const char *address, gint64 port,
                           GError **error)
{
    g_autoptr(json_object) nodes = bucket(store, NODES, error);

    if (!nodes)
        return FALSE;
    for (gsize i = 0; i < json_object_array_length(nodes); i++) {
        json_object *node = json_object_array_get_idx(nodes, i);

        if (!g_strcmp0(drv_json_string(node, "name", NULL), name)) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                        "the cluster has a node %s already: choose another name (--name), or revoke "
                        "that one first (`drover node revoke %s`)",
                        name, name);
            return FALSE;
        }
        if (!g_strcmp0(drv_json_string(node, "address", NULL), address) &&
            drv_json_int(node, "port", 0) == port) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                        "%s port %" G_GINT64_FORMAT " is node %s already: give this host's own "
                        "address (--address)",
                        address, port, drv_json_string(node, "name", NULL));
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean use_up(drv_store *store, const drv_document *document, const char *name,
                       GError **error)
{
    g_autoptr(json_object) token = json_tokener_parse(document->json);
    g_autoptr(GError) failure = NULL;

    drv_json_set_string(token, "used_by", name);
    drv_json_set_int(token, "used_ms", drv_clock_real_ms());
    if (drv_store_put(store, TOKENS, document->key, plain(token), document->revision, NULL,
                      &failure))
        return TRUE;
    if (g_error_matches(failure, DRV_ERROR, DRV_ERROR_CONFLICT) ||
        g_error_matches(failure, DRV_ERROR, DRV_ERROR_NOT_FOUND))
        g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED,
                    "the token has been used at this very moment: make a new one with `drover token create`");
    else
        g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

static json_object *sign(drv_cluster *cluster, json_object *body, const char *name,
                         const char *address, gint64 port, GError **error)
{
    const drv_identity *identity = drv_cluster_identity(cluster);
    drv_store *store = drv_cluster_store(cluster);
    const char *request = drv_json_string(body, "csr", NULL);
    g_autoptr(drv_document) token = usable(store, identity, drv_json_string(body, "token", NULL), error);
    g_autofree char *leaf = NULL;
    g_autofree char *chain = NULL;
    g_auto(gnutls_x509_crt_t) certificate = NULL;
    g_autoptr(json_object) node = NULL;
    json_object *answer;

    if (!token)
        return NULL;
    if (!drv_node_name_check(name, error) || !drv_address_check(address, error))
        return NULL;
    if (port < 1 || port > 65535 || !request) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "\"%s\" is missing or not good",
                    request ? "port" : "csr");
        return NULL;
    }
    if (!place_free(store, name, address, port, error))
        return NULL;
    leaf = drv_pki_sign(identity->ca_pem, identity->ca_key_pem, request, DRV_PKI_NODE, name, address,
                        error);
    certificate = leaf ? drv_pki_load(leaf, error) : NULL;
    if (!certificate || !use_up(store, token, name, error))
        return NULL;
    node = node_document(identity, name, address, port, certificate);
    if (!drv_store_put(store, NODES, name, plain(node), DRV_REVISION_NEW, NULL, error) ||
        !publish(cluster, error))
        return NULL;
    chain = g_strconcat(leaf, identity->ca_pem, NULL);
    answer = json_object_new_object();
    drv_json_set_string(answer, "certificate", chain);
    drv_json_set_string(answer, "ca", identity->ca_pem);
    drv_json_set_string(answer, "cluster", identity->cluster);
    drv_json_set_string(answer, "founder", identity->founder);
    drv_json_set_string(answer, "name", name);
    drv_json_set_string(answer, "address", address);
    json_object_object_add(answer, "membership", drv_cluster_document(cluster));
    return answer;
}

json_object *drv_authority_join(drv_cluster *cluster, json_object *body, const char *from,
                                GError **error)
{
    const char *name = drv_json_string(body, "name", NULL);
    const char *address = drv_json_string(body, "address", NULL) ?: from;
    gint64 port = drv_json_int(body, "port", 0);
    json_object *answer;

    if (!drv_cluster_is_founder(cluster)) {
        drv_json_set_string(body, "address", address);
        return drv_cluster_ask_founder(cluster, "POST", "/v1/join", body, error);
    }
    g_mutex_lock(&change_lock);
    answer = sign(cluster, body, name, address, port, error);
    g_mutex_unlock(&change_lock);
    if (answer) {
        drv_log_notice("a node has joined node=%s address=%s", name, address);
        drv_cluster_push(cluster);
    }
    return answer;
}

/* ---- revoking ---- */

static gboolean revoke_node(drv_cluster *cluster, const char *name, GError **error)
{
    drv_store *store = drv_cluster_store(cluster);
    g_autoptr(GError) failure = NULL;
    g_autoptr(drv_document) document = drv_store_get(store, NODES, name, &failure);
    g_autoptr(json_object) node = NULL;
    g_autoptr(json_object) revoked = NULL;
    const char *fingerprint;

    if (!document) {
        if (g_error_matches(failure, DRV_ERROR, DRV_ERROR_NOT_FOUND))
            g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND,
                        "the cluster has no node %.64s (see `drover node list`)", name);
        else
            g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    node = json_tokener_parse(document->json);
    fingerprint = drv_json_string(node, "fingerprint", NULL);
    revoked = json_object_new_object();
    drv_json_set_string(revoked, "name", name);
    drv_json_set_string(revoked, "fingerprint", fingerprint);
    drv_json_set_int(revoked, "revoked_ms", drv_clock_real_ms());
    /* In this order: a crash in between leaves a node that is refused and can be revoked again. */
    return drv_store_put(store, REVOKED, fingerprint, plain(revoked), DRV_REVISION_ANY, NULL,
                         error) &&
           drv_store_delete(store, NODES, name, document->revision, error) &&
           publish(cluster, error);
}

json_object *drv_authority_revoke(drv_cluster *cluster, const char *name, GError **error)
{
    g_autofree char *path = g_strconcat("/v1/nodes/", name, NULL);
    gboolean done;

    if (!drv_node_name_check(name, NULL)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND,
                    "the cluster has no node %.64s (see `drover node list`)", name);
        return NULL;
    }
    if (g_str_equal(name, drv_cluster_identity(cluster)->founder)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED,
                    "%s is the founder of the cluster and holds its authority: it cannot be removed",
                    name);
        return NULL;
    }
    if (!drv_cluster_is_founder(cluster))
        return drv_cluster_ask_founder(cluster, "DELETE", path, NULL, error);
    g_mutex_lock(&change_lock);
    done = revoke_node(cluster, name, error);
    g_mutex_unlock(&change_lock);
    if (!done)
        return NULL;
    drv_log_notice("a node has been revoked node=%s", name);
    drv_cluster_push(cluster);
    return json_object_new_object();
}
