/* SPDX-License-Identifier: Apache-2.0 */
/* Founding, joining, the authority's key, revoking: see authority.h; tokens.c has the tokens. */
#include "cluster/authority.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cluster/pki.h"
#include "cluster/publish.h"
#include "cluster/signed.h"
#include "cluster/token.h"
#include "cluster/tokens.h"
#include "model/json.h"

#define POLICIES "policy" /* fleet/policies.c */
#define CALL_MS 5000

G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_x509_crt_t, gnutls_x509_crt_deinit, NULL)

static json_object *node_document(const drv_identity *identity, const char *name, const char *address, gint64 port,
                                  const char *host_uuid, gnutls_x509_crt_t certificate)
{
    g_autofree char *fingerprint = drv_pki_fingerprint(certificate);
    g_autofree char *pin = drv_pki_pin(certificate);
    json_object *node = json_object_new_object();

    drv_json_set_string(node, "name", name);
    drv_json_set_string(node, "address", address);
    drv_json_set_int(node, "port", port);
    drv_json_set_string(node, "fingerprint", fingerprint);
    drv_json_set_string(node, "pin", pin);
    json_object_object_add(node, "founder", json_object_new_boolean(g_str_equal(name, identity->founder)));
    drv_json_set_int(node, "joined_ms", drv_clock_real_ms());
    if (host_uuid)
        drv_json_set_string(node, "host_uuid", host_uuid);
    return node;
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

gboolean drv_authority_found(drv_store *store, drv_store *own, const drv_identity *identity, GError **error)
{
    g_auto(gnutls_x509_crt_t) certificate = drv_pki_load(identity->node_pem, error);
    g_autoptr(json_object) node = NULL;
    g_autoptr(json_object) document = NULL;
    drv_pending changes = {0};
    gboolean again;

    if (!certificate)
        return FALSE;
    node = node_document(identity, identity->node, identity->address, identity->port, identity->host_uuid, certificate);
    if (!clear_bucket(store, DRV_NODES_BUCKET, error) || !clear_bucket(store, DRV_TOKENS_BUCKET, error) ||
        !clear_bucket(store, DRV_REVOKED_BUCKET, error) || !clear_bucket(store, POLICIES, error))
        return FALSE;
    drv_publish_add(&changes, DRV_NODES_BUCKET, identity->node, drv_publish_text(node), DRV_REVISION_ANY);
    document = drv_publish_write(store, identity, &changes, &again, error);
    return document && (own == store || drv_store_put(own, "cluster", "membership", drv_publish_text(document),
                                                      DRV_REVISION_ANY, NULL, error));
}

static gboolean publish_only(drv_cluster *cluster, gpointer data, gboolean *again, GError **error)
{
    drv_pending changes = {0};

    return drv_publish(cluster, &changes, again, error);
}

gboolean drv_authority_publish(drv_cluster *cluster, GError **error)
{
    if (!drv_publish_change(cluster, publish_only, NULL, error))
        return FALSE;
    drv_cluster_push(cluster);
    return TRUE;
}

gboolean drv_authority_start(drv_cluster *cluster, GError **error)
{
    /* In etcd membership and buckets are written together, and it may not answer now. */
    if (!drv_cluster_is_founder(cluster) || drv_store_is_shared(drv_cluster_store(cluster)))
        return TRUE;
    return drv_publish_change(cluster, publish_only, NULL, error);
}

/* ---- joining ---- */

/* The token's document if it may be used now. */
static drv_document *usable(drv_cluster *cluster, const char *text, GError **error)
{
    const drv_identity *identity = drv_cluster_identity(cluster);
    drv_store *store = drv_cluster_store(cluster);
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
    document = drv_store_get(store, DRV_TOKENS_BUCKET, token.id, &failure);
    if (!document && !g_error_matches(failure, DRV_ERROR, DRV_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return NULL;
    }
    stored = document ? json_tokener_parse(document->json) : NULL;
    if (stored && !drv_signed_token_is(identity, NULL, stored)) {
        drv_log_warning("a token in the cluster's store is not signed by the authority, and is not taken token=%s",
                        token.id);
        g_clear_pointer(&stored, json_object_put);
    }
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
    if (!drv_authority_token_stands(cluster, stored, error)) {
        g_prefix_error(error, "the token was made with another one, and ");
        return NULL;
    }
    return g_steal_pointer(&document);
}

static gboolean place_free(drv_store *store, const char *name, const char *address, gint64 port, GError **error)
{
    g_autoptr(json_object) nodes = drv_publish_bucket(store, DRV_NODES_BUCKET, NULL, error);

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
        if (!g_strcmp0(drv_json_string(node, "address", NULL), address) && drv_json_int(node, "port", 0) == port) {
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
    return g_strdup(drv_publish_text(token));
}

typedef struct {
    json_object *body;
    const char *name;
    const char *address;
    gint64 port;
    const char *host_uuid; /* libvirt's, or NULL */
    char *leaf;            /* receives the certificate */
    char *twin;            /* and the name of a node whose host had the same UUID when it joined, or NULL */
} joining;

/* libvirt would refuse each migration between the two. */
static char *find_twin(drv_store *store, const char *host_uuid)
{
    g_autoptr(GPtrArray) nodes = host_uuid ? drv_store_list(store, DRV_NODES_BUCKET, 0, NULL) : NULL;

    for (guint i = 0; nodes && i < nodes->len; i++) {
        const drv_document *document = nodes->pdata[i];
        g_autoptr(json_object) node = json_tokener_parse(document->json);

        if (g_strcmp0(drv_json_string(node, "host_uuid", NULL), host_uuid) == 0)
            return g_strdup(document->key);
    }
    return NULL;
}

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
    g_autoptr(drv_document) token = usable(cluster, drv_json_string(wish->body, "token", NULL), error);
    g_autofree char *spent = NULL;
    g_auto(gnutls_x509_crt_t) certificate = NULL;
    g_autoptr(json_object) node = NULL;
    g_autoptr(GError) problem = NULL;
    drv_pending changes = {0};

    if (!token || !check_wish(wish, error) || !place_free(store, wish->name, wish->address, wish->port, error))
        return FALSE;
    g_clear_pointer(&wish->leaf, g_free);
    g_free(wish->twin);
    wish->twin = find_twin(store, wish->host_uuid);
    wish->leaf = drv_pki_sign(identity->ca_pem, identity->ca_key_pem, drv_json_string(wish->body, "csr", NULL),
                              DRV_PKI_NODE, wish->name, wish->address, error);
    certificate = wish->leaf ? drv_pki_load(wish->leaf, error) : NULL;
    if (!certificate)
        return FALSE;
    spent = used(token, wish->name);
    node = node_document(identity, wish->name, wish->address, wish->port, wish->host_uuid, certificate);
    drv_publish_add(&changes, DRV_TOKENS_BUCKET, token->key, spent, token->revision);
    drv_publish_add(&changes, DRV_NODES_BUCKET, wish->name, drv_publish_text(node), DRV_REVISION_NEW);
    if (drv_publish(cluster, &changes, again, &problem))
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
    drv_json_set_string(answer, "same_host_uuid", wish->twin);
    json_object_object_add(answer, "membership", drv_cluster_document(cluster));
    if (drv_store_is_shared(drv_cluster_store(cluster)))
        json_object_object_add(answer, "store", drv_cluster_keeping(cluster));
    return answer;
}

json_object *drv_authority_join(drv_cluster *cluster, json_object *body, const char *from, GError **error)
{
    joining wish = {.body = body,
                    .name = drv_json_string(body, "name", NULL),
                    .address = drv_json_string(body, "address", NULL) ?: from,
                    .port = drv_json_int(body, "port", 0)};
    const char *host_uuid = drv_json_string(body, "host_uuid", NULL);
    json_object *answer = NULL;

    if (host_uuid && g_uuid_string_is_valid(host_uuid))
        wish.host_uuid = host_uuid;

    if (!drv_cluster_keeps(cluster) || !drv_cluster_identity(cluster)->ca_key_pem) {
        drv_json_set_string(body, "address", wish.address);
        return drv_cluster_ask_signer(cluster, "POST", "/v1/join", body, error);
    }
    if (drv_publish_change(cluster, sign, &wish, error)) {
        answer = welcome(cluster, &wish);
        drv_log_notice("a node has joined node=%s address=%s", wish.name, wish.address);
        drv_cluster_push(cluster);
    }
    g_free(wish.leaf);
    g_free(wish.twin);
    return answer;
}

/* ---- the authority's key ---- */

/* Notes with the node that it can sign. */
static gboolean note_signs(drv_cluster *cluster, gpointer data, gboolean *again, GError **error)
{
    const char *name = data;
    g_autoptr(drv_document) document = drv_store_get(drv_cluster_store(cluster), DRV_NODES_BUCKET, name, error);
    g_autoptr(json_object) node = document ? json_tokener_parse(document->json) : NULL;
    drv_pending changes = {0};

    if (!node)
        return FALSE;
    json_object_object_add(node, "signs", json_object_new_boolean(TRUE));
    if (!drv_signed_signer(drv_cluster_identity(cluster), node, error))
        return FALSE;
    drv_publish_add(&changes, DRV_NODES_BUCKET, name, drv_publish_text(node), document->revision);
    return drv_publish(cluster, &changes, again, error);
}

json_object *drv_authority_give(drv_cluster *cluster, const char *name, GError **error)
{
    const drv_identity *identity = drv_cluster_identity(cluster);
    const drv_peers *peers = drv_cluster_peers(cluster);
    g_autoptr(json_object) key = NULL;
    g_autoptr(json_object) answer = NULL;

    if (!drv_store_is_shared(drv_cluster_store(cluster))) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED,
                    "without etcd only the founder, node %s, can let nodes in, and another one with "
                    "the authority's key could do nothing with it: move the store first (drover store "
                    "move etcd://…)",
                    identity->founder);
        return NULL;
    }
    if (!identity->ca_key_pem)
        return drv_cluster_send_to_signer(cluster, error);
    if (!g_str_equal(name, identity->node)) {
        key = json_object_new_object();
        drv_json_set_string(key, "key", identity->ca_key_pem);
        answer = peers->call(peers->data, name, "PUT", "/v1/peer/authority", key, CALL_MS, error);
        if (!answer)
            return NULL;
    }
    if (!drv_publish_change(cluster, note_signs, (gpointer)name, error))
        return NULL;
    drv_log_notice("a node can sign from now on node=%s", name);
    drv_cluster_push(cluster);
    return json_object_new_object();
}

json_object *drv_authority_take(drv_cluster *cluster, json_object *body, GError **error)
{
    return drv_identity_add_authority(drv_cluster_identity(cluster), drv_json_string(body, "key", ""), error)
               ? json_object_new_object()
               : NULL;
}

/* ---- revoking ---- */

static gboolean revoke_node(drv_cluster *cluster, gpointer data, gboolean *again, GError **error)
{
    const char *name = data;
    g_autoptr(GError) failure = NULL;
    g_autoptr(drv_document) document = drv_store_get(drv_cluster_store(cluster), DRV_NODES_BUCKET, name, &failure);
    g_autoptr(json_object) node = NULL;
    g_autoptr(json_object) revoked = NULL;
    const char *fingerprint;
    drv_pending changes = {0};

    if (!document) {
        if (g_error_matches(failure, DRV_ERROR, DRV_ERROR_NOT_FOUND))
            g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "the cluster has no node %.64s (see `drover node list`)",
                        name);
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
    drv_publish_add(&changes, DRV_REVOKED_BUCKET, fingerprint, drv_publish_text(revoked), DRV_REVISION_ANY);
    drv_publish_add(&changes, DRV_NODES_BUCKET, name, NULL, document->revision);
    return drv_publish(cluster, &changes, again, error);
}

/* Someone must be left who can let nodes in. */
static gboolean is_dispensable(drv_cluster *cluster, const char *name, GError **error)
{
    const drv_identity *identity = drv_cluster_identity(cluster);

    if (!g_str_equal(name, identity->founder))
        return TRUE;
    if (drv_store_is_shared(drv_cluster_store(cluster)) && identity->ca_key_pem && !g_str_equal(name, identity->node))
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED,
                "%s is the founder of the cluster and holds its authority: it cannot be removed%s", name,
                drv_store_is_shared(drv_cluster_store(cluster))
                    ? " here, only at another node that has the authority's key (drover node "
                      "authority NODE)"
                    : "");
    return FALSE;
}

json_object *drv_authority_revoke(drv_cluster *cluster, const char *name, GError **error)
{
    if (!drv_node_name_check(name, NULL)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "the cluster has no node %.64s (see `drover node list`)",
                    name);
        return NULL;
    }
    if (!is_dispensable(cluster, name, error))
        return NULL;
    if (!drv_cluster_keeps(cluster))
        return drv_cluster_send_to_founder(cluster, error);
    if (!drv_publish_change(cluster, revoke_node, (gpointer)name, error))
        return NULL;
    drv_log_notice("a node has been revoked node=%s", name);
    drv_cluster_push(cluster);
    return json_object_new_object();
}
