/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens, signing and revoking: see authority.h.
 *
 * Each change is written together with the membership that follows from it, compared with the
 * one from which it was made: of two nodes that change something at the same time one begins
 * again. A used token stays until it expires, to tell "used" from "unknown".
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
#define TRIES_MOST 30
#define CALL_MS 5000

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

/* What is about to be written, together with the membership. */
typedef struct {
    drv_store_change all[4];
    guint count;
} pending;

static void add(pending *to, const char *name, const char *key, const char *json, gint64 expected)
{
    to->all[to->count++] = (drv_store_change){name, key, json, expected};
}

static gboolean is_pending(const pending *changes, const char *name, const char *key)
{
    for (guint i = 0; changes && i < changes->count; i++)
        if (g_str_equal(changes->all[i].bucket, name) && g_str_equal(changes->all[i].key, key))
            return TRUE;
    return FALSE;
}

static void add_parsed(json_object *array, const char *json)
{
    json_object *one = json_tokener_parse(json);

    if (one)
        json_object_array_add(array, one);
}

/* All of a bucket, parsed, as it will be after @changes (may be NULL). */
static json_object *bucket(drv_store *store, const char *name, const pending *changes,
                           GError **error)
{
    g_autoptr(GPtrArray) documents = drv_store_list(store, name, 0, error);
    json_object *array;

    if (!documents)
        return NULL;
    array = json_object_new_array();
    for (guint i = 0; i < documents->len; i++) {
        const drv_document *document = g_ptr_array_index(documents, i);

        if (!is_pending(changes, name, document->key))
            add_parsed(array, document->json);
    }
    for (guint i = 0; changes && i < changes->count; i++)
        if (changes->all[i].json && g_str_equal(changes->all[i].bucket, name))
            add_parsed(array, changes->all[i].json);
    return array;
}

/* Operators' tokens as every node has to know them. */
static json_object *operators(drv_store *store, const pending *changes, GError **error)
{
    g_autoptr(json_object) tokens = bucket(store, TOKENS, changes, error);
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

/* The membership that follows from what is in the buckets, and from @changes. @last may be NULL. */
static json_object *compose(drv_store *store, const drv_identity *identity,
                            const drv_document *last, const pending *changes, GError **error)
{
    g_autoptr(json_object) last_document = last ? json_tokener_parse(last->json) : NULL;
    g_autoptr(json_object) document = json_object_new_object();
    json_object *members = bucket(store, NODES, changes, error);
    json_object *revoked = members ? bucket(store, REVOKED, changes, error) : NULL;
    json_object *tokens = revoked ? operators(store, changes, error) : NULL;
    /* By the clock, so that it grows even when the store was restored from an old copy. */
    gint64 version = MAX(drv_json_int(last_document, "version", 0) + 1, drv_clock_real_ms());

    drv_json_set_int(document, "version", version);
    drv_json_set_string(document, "cluster", identity->cluster);
    drv_json_set_string(document, "founder", identity->founder);
    if (drv_store_is_shared(store))
        drv_json_set_string(document, "store", drv_store_place(store));
    json_object_object_add(document, "members", members);
    json_object_object_add(document, "revoked", revoked);
    json_object_object_add(document, "operators", tokens);
    return tokens ? g_steal_pointer(&document) : NULL;
}

/* The last membership, or NULL with its revision being DRV_REVISION_NEW; FALSE and @error. */
static gboolean last_membership(drv_store *store, drv_document **last, GError **error)
{
    g_autoptr(GError) problem = NULL;

    *last = drv_store_get(store, CLUSTER, MEMBERSHIP, &problem);
    if (*last || g_error_matches(problem, DRV_ERROR, DRV_ERROR_NOT_FOUND))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
}

/*
 * Write @changes and the membership that follows. @again: receives whether the membership was changed
 * by somebody else in between: then nothing was written, and all has to be looked at anew.
 */
static json_object *write_all(drv_store *store, const drv_identity *identity, pending *changes,
                              gboolean *again, GError **error)
{
    g_autoptr(drv_document) last = NULL;
    g_autoptr(drv_document) now = NULL;
    g_autoptr(json_object) document = NULL;
    g_autoptr(GError) problem = NULL;

    if (!last_membership(store, &last, error))
        return NULL;
    document = compose(store, identity, last, changes, error);
    if (!document)
        return NULL;
    add(changes, CLUSTER, MEMBERSHIP, plain(document), last ? last->revision : DRV_REVISION_NEW);
    if (drv_store_change_all(store, changes->all, changes->count, NULL, &problem))
        return g_steal_pointer(&document);
    if (g_error_matches(problem, DRV_ERROR, DRV_ERROR_CONFLICT) &&
        last_membership(store, &now, NULL))
        *again = (now ? now->revision : 0) != (last ? last->revision : 0);
    g_propagate_error(error, g_steal_pointer(&problem));
    return NULL;
}

static gboolean publish(drv_cluster *cluster, pending *changes, gboolean *again, GError **error)
{
    g_autoptr(json_object) document = write_all(
        drv_cluster_store(cluster), drv_cluster_identity(cluster), changes, again, error);
    g_autoptr(GError) problem = NULL;

    /* It is written where it counts; what this node keeps of it can be read there again. */
    if (document && !drv_cluster_apply(cluster, document, &problem))
        drv_log_warning("the membership could not be kept here: %s", problem->message);
    return document != NULL;
}

/* @func looks, and ends with publish(); it is called again as long as that says so. */
typedef gboolean (*change_func)(drv_cluster *cluster, gpointer data, gboolean *again,
                                GError **error);

static gboolean change(drv_cluster *cluster, change_func func, gpointer data, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&change_lock);

    for (int i = 0;; i++) {
        g_autoptr(GError) problem = NULL;
        gboolean again = FALSE;

        if (func(cluster, data, &again, &problem))
            return TRUE;
        if (!again || i == TRIES_MOST) {
            g_propagate_error(error, g_steal_pointer(&problem));
            return FALSE;
        }
    }
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

gboolean drv_authority_found(drv_store *store, drv_store *own, const drv_identity *identity,
                             GError **error)
{
    g_auto(gnutls_x509_crt_t) certificate = drv_pki_load(identity->node_pem, error);
    g_autoptr(json_object) node = NULL;
    g_autoptr(json_object) document = NULL;
    pending changes = {0};
    gboolean again;

    if (!certificate)
        return FALSE;
    node = node_document(identity, identity->node, identity->address, identity->port, certificate);
    if (!clear_bucket(store, NODES, error) || !clear_bucket(store, TOKENS, error) ||
        !clear_bucket(store, REVOKED, error) || !clear_bucket(store, POLICIES, error))
        return FALSE;
    add(&changes, NODES, identity->node, plain(node), DRV_REVISION_ANY);
    document = write_all(store, identity, &changes, &again, error);
    return document && (own == store || drv_store_put(own, CLUSTER, MEMBERSHIP, plain(document),
                                                      DRV_REVISION_ANY, NULL, error));
}

static gboolean publish_only(drv_cluster *cluster, gpointer data, gboolean *again, GError **error)
{
    pending changes = {0};

    return publish(cluster, &changes, again, error);
}

gboolean drv_authority_publish(drv_cluster *cluster, GError **error)
{
    if (!change(cluster, publish_only, NULL, error))
        return FALSE;
    drv_cluster_push(cluster);
    return TRUE;
}

gboolean drv_authority_start(drv_cluster *cluster, GError **error)
{
    /* In etcd membership and buckets are written together, and it may not answer now. */
    if (!drv_cluster_is_founder(cluster) || drv_store_is_shared(drv_cluster_store(cluster)))
        return TRUE;
    return change(cluster, publish_only, NULL, error);
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

/* Only an operator's is known to all nodes. */
static gboolean put_token(drv_cluster *cluster, gpointer data, gboolean *again, GError **error)
{
    json_object *document = data;
    drv_store *store = drv_cluster_store(cluster);
    const char *id = drv_json_string(document, "id", NULL);
    g_autoptr(GPtrArray) there = NULL;
    pending changes = {0};

    prune(store);
    there = drv_store_list(store, TOKENS, 0, error);
    if (there && there->len >= TOKENS_MOST)
        g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED,
                    "there are %u tokens already: delete some (`drover token list`)", there->len);
    if (!there || there->len >= TOKENS_MOST)
        return FALSE;
    if (!g_str_equal(drv_json_string(document, "kind", ""), "operator"))
        return drv_store_put(store, TOKENS, id, plain(document), DRV_REVISION_NEW, NULL, error);
    add(&changes, TOKENS, id, plain(document), DRV_REVISION_NEW);
    return publish(cluster, &changes, again, error);
}

json_object *drv_authority_token_create(drv_cluster *cluster, json_object *body, GError **error)
{
    const drv_identity *identity = drv_cluster_identity(cluster);
    const char *kind = drv_json_string(body, "kind", NULL);
    const char *name = drv_json_string(body, "name", NULL);
    gint64 ttl_s = drv_json_int(body, "ttl_s", 3600), now = drv_clock_real_ms();
    g_autoptr(json_object) document = NULL;
    g_autofree char *hash = NULL;
    g_autofree char *text = NULL;
    json_object *answer;
    drv_token token;

    if (!check_token_wish(kind, name, ttl_s, error))
        return NULL;
    if (!drv_cluster_keeps(cluster))
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

    if (!change(cluster, put_token, document, error))
        return NULL;
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

    if (!drv_cluster_keeps(cluster))
        return drv_cluster_ask_founder(cluster, "GET", "/v1/tokens", NULL, error);
    all = bucket(drv_cluster_store(cluster), TOKENS, NULL, error);
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

typedef struct {
    const char *id;
    gboolean operator;
} deletion;

static gboolean delete_token(drv_cluster *cluster, gpointer data, gboolean *again, GError **error)
{
    deletion *wish = data;
    drv_store *store = drv_cluster_store(cluster);
    g_autoptr(drv_document) document = drv_store_get(store, TOKENS, wish->id, error);
    g_autoptr(json_object) token = document ? json_tokener_parse(document->json) : NULL;
    pending changes = {0};

    if (!document)
        return FALSE;
    wish->operator = !g_strcmp0(drv_json_string(token, "kind", NULL), "operator");
    if (!wish->operator)
        return drv_store_delete(store, TOKENS, wish->id, document->revision, error);
    add(&changes, TOKENS, wish->id, NULL, document->revision);
    return publish(cluster, &changes, again, error);
}

json_object *drv_authority_token_delete(drv_cluster *cluster, const char *id, GError **error)
{
    g_autofree char *path = g_strconcat("/v1/tokens/", id, NULL);
    g_autoptr(GError) failure = NULL;
    deletion wish = {id, FALSE};

    if (strlen(id) != DRV_TOKEN_ID_TEXT || strspn(id, "0123456789abcdef") != DRV_TOKEN_ID_TEXT) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "there is no token %.64s", id);
        return NULL;
    }
    if (!drv_cluster_keeps(cluster))
        return drv_cluster_ask_founder(cluster, "DELETE", path, NULL, error);
    if (!change(cluster, delete_token, &wish, &failure)) {
        if (g_error_matches(failure, DRV_ERROR, DRV_ERROR_NOT_FOUND))
            g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND,
                        "there is no token %s (see `drover token list`)", id);
        else
            g_propagate_error(error, g_steal_pointer(&failure));
        return NULL;
    }
    if (wish.operator)
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
    g_autoptr(json_object) nodes = bucket(store, NODES, NULL, error);

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

/* Its document with who has used it. Transfer full. */
static char *used(const drv_document *document, const char *name)
{
    g_autoptr(json_object) token = json_tokener_parse(document->json);

    drv_json_set_string(token, "used_by", name);
    drv_json_set_int(token, "used_ms", drv_clock_real_ms());
    return g_strdup(plain(token));
}

typedef struct {
    json_object *body;
    const char *name;
    const char *address;
    gint64 port;
    char *leaf; /* receives the certificate */
} joining;

static gboolean check_wish(const joining *wish, GError **error)
{
    if (!drv_node_name_check(wish->name, error) || !drv_address_check(wish->address, error))
        return FALSE;
    if (wish->port >= 1 && wish->port <= 65535 && drv_json_string(wish->body, "csr", NULL))
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "\"%s\" is missing or not good",
                drv_json_string(wish->body, "csr", NULL) ? "port" : "csr");
    return FALSE;
}

static gboolean sign(drv_cluster *cluster, gpointer data, gboolean *again, GError **error)
{
    joining *wish = data;
    const drv_identity *identity = drv_cluster_identity(cluster);
    drv_store *store = drv_cluster_store(cluster);
    g_autoptr(drv_document) token =
        usable(store, identity, drv_json_string(wish->body, "token", NULL), error);
    g_autofree char *spent = NULL;
    g_auto(gnutls_x509_crt_t) certificate = NULL;
    g_autoptr(json_object) node = NULL;
    g_autoptr(GError) problem = NULL;
    pending changes = {0};

    if (!token || !check_wish(wish, error) ||
        !place_free(store, wish->name, wish->address, wish->port, error))
        return FALSE;
    g_clear_pointer(&wish->leaf, g_free);
    wish->leaf = drv_pki_sign(identity->ca_pem, identity->ca_key_pem,
                              drv_json_string(wish->body, "csr", NULL), DRV_PKI_NODE, wish->name,
                              wish->address, error);
    certificate = wish->leaf ? drv_pki_load(wish->leaf, error) : NULL;
    if (!certificate)
        return FALSE;
    spent = used(token, wish->name);
    node = node_document(identity, wish->name, wish->address, wish->port, certificate);
    add(&changes, TOKENS, token->key, spent, token->revision);
    add(&changes, NODES, wish->name, plain(node), DRV_REVISION_NEW);
    if (publish(cluster, &changes, again, &problem))
        return TRUE;
    /* Another one used it, or took the name: looking again says which. */
    if (g_error_matches(problem, DRV_ERROR, DRV_ERROR_CONFLICT))
        *again = TRUE;
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
}

static json_object *welcome(drv_cluster *cluster, const joining *wish)
{
    const drv_identity *identity = drv_cluster_identity(cluster);
    g_autofree char *chain = g_strconcat(wish->leaf, identity->ca_pem, NULL);
    json_object *answer = json_object_new_object();

    drv_json_set_string(answer, "certificate", chain);
    drv_json_set_string(answer, "ca", identity->ca_pem);
    drv_json_set_string(answer, "cluster", identity->cluster);
    drv_json_set_string(answer, "founder", identity->founder);
    drv_json_set_string(answer, "name", wish->name);
    drv_json_set_string(answer, "address", wish->address);
    json_object_object_add(answer, "membership", drv_cluster_document(cluster));
    if (drv_store_is_shared(drv_cluster_store(cluster)))
        json_object_object_add(answer, "store", drv_cluster_keeping(cluster));
    return answer;
}

json_object *drv_authority_join(drv_cluster *cluster, json_object *body, const char *from,
                                GError **error)
{
    joining wish = {.body = body,
                    .name = drv_json_string(body, "name", NULL),
                    .address = drv_json_string(body, "address", NULL) ?: from,
                    .port = drv_json_int(body, "port", 0)};
    json_object *answer = NULL;

    if (!drv_cluster_keeps(cluster) || !drv_cluster_identity(cluster)->ca_key_pem) {
        drv_json_set_string(body, "address", wish.address);
        return drv_cluster_ask_signer(cluster, "POST", "/v1/join", body, error);
    }
    if (change(cluster, sign, &wish, error)) {
        answer = welcome(cluster, &wish);
        drv_log_notice("a node has joined node=%s address=%s", wish.name, wish.address);
        drv_cluster_push(cluster);
    }
    g_free(wish.leaf);
    return answer;
}

/* ---- the authority's key ---- */

/* Notes with the node that it can sign. */
static gboolean note_signs(drv_cluster *cluster, gpointer data, gboolean *again, GError **error)
{
    const char *name = data;
    g_autoptr(drv_document) document =
        drv_store_get(drv_cluster_store(cluster), NODES, name, error);
    g_autoptr(json_object) node = document ? json_tokener_parse(document->json) : NULL;
    pending changes = {0};

    if (!node)
        return FALSE;
    json_object_object_add(node, "signs", json_object_new_boolean(TRUE));
    add(&changes, NODES, name, plain(node), document->revision);
    return publish(cluster, &changes, again, error);
}

json_object *drv_authority_give(drv_cluster *cluster, const char *name, GError **error)
{
    const drv_identity *identity = drv_cluster_identity(cluster);
    const drv_peers *peers = drv_cluster_peers(cluster);
    g_autofree char *path = g_strdup_printf("/v1/nodes/%s/authority", name);
    g_autoptr(json_object) key = NULL;
    g_autoptr(json_object) answer = NULL;

    if (!drv_store_is_shared(drv_cluster_store(cluster))) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED,
                    "without etcd only the founder, node %s, can let nodes in, and another one with "
                    "the authority's key could do nothing with it: move the store first (drover store "
                    "move etcd://…)", identity->founder);
        return NULL;
    }
    if (!identity->ca_key_pem)
        return drv_cluster_ask_signer(cluster, "POST", path, NULL, error);
    if (!g_str_equal(name, identity->node)) {
        key = json_object_new_object();
        drv_json_set_string(key, "key", identity->ca_key_pem);
        answer = peers->call(peers->data, name, "PUT", "/v1/peer/authority", key, CALL_MS, error);
        if (!answer)
            return NULL;
    }
    if (!change(cluster, note_signs, (gpointer)name, error))
        return NULL;
    drv_log_notice("a node can sign from now on node=%s", name);
    drv_cluster_push(cluster);
    return json_object_new_object();
}

json_object *drv_authority_take(drv_cluster *cluster, json_object *body, GError **error)
{
    return drv_identity_add_authority(drv_cluster_identity(cluster),
                                      drv_json_string(body, "key", ""), error)
               ? json_object_new_object()
               : NULL;
}

/* ---- revoking ---- */

static gboolean revoke_node(drv_cluster *cluster, gpointer data, gboolean *again, GError **error)
{
    const char *name = data;
    g_autoptr(GError) failure = NULL;
    g_autoptr(drv_document) document =
        drv_store_get(drv_cluster_store(cluster), NODES, name, &failure);
    g_autoptr(json_object) node = NULL;
    g_autoptr(json_object) revoked = NULL;
    const char *fingerprint;
    pending changes = {0};

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
    add(&changes, REVOKED, fingerprint, plain(revoked), DRV_REVISION_ANY);
    add(&changes, NODES, name, NULL, document->revision);
    return publish(cluster, &changes, again, error);
}

/* Someone must be left who can let nodes in. */
static gboolean is_dispensable(drv_cluster *cluster, const char *name, GError **error)
{
    const drv_identity *identity = drv_cluster_identity(cluster);

    if (!g_str_equal(name, identity->founder))
        return TRUE;
    if (drv_store_is_shared(drv_cluster_store(cluster)) && identity->ca_key_pem &&
        !g_str_equal(name, identity->node))
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED,
                "%s is the founder of the cluster and holds its authority: it cannot be removed%s",
                name, drv_store_is_shared(drv_cluster_store(cluster))
                          ? " here, only at another node that has the authority's key (drover node "
                            "authority NODE)"
                          : "");
    return FALSE;
}

json_object *drv_authority_revoke(drv_cluster *cluster, const char *name, GError **error)
{
    g_autofree char *path = g_strconcat("/v1/nodes/", name, NULL);

    if (!drv_node_name_check(name, NULL)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND,
                    "the cluster has no node %.64s (see `drover node list`)", name);
        return NULL;
    }
    if (!is_dispensable(cluster, name, error))
        return NULL;
    if (!drv_cluster_keeps(cluster))
        return drv_cluster_ask_founder(cluster, "DELETE", path, NULL, error);
    if (!change(cluster, revoke_node, (gpointer)name, error))
        return NULL;
    drv_log_notice("a node has been revoked node=%s", name);
    drv_cluster_push(cluster);
    return json_object_new_object();
}
