/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Membership as this node knows it: see cluster.h.
 *
 * `lock` guards `snapshot` and `stopping`; a snapshot itself never changes, readers take
 * a reference. `apply_lock` makes one document be stored and taken at a time.
 */
#include "api/cluster.h"

#include <string.h>

#include "api/client.h"
#include "model/json.h"
#include "api/pki.h"
#include "api/token.h"
#include "base/clock.h"
#include "base/log.h"

#define BUCKET "cluster"
#define KEY "membership"
#define PULL_MS 10000
#define CALL_MS 3000

typedef struct {
    char *name;
    char *address;
    char *fingerprint;
    char *pin; /* of its key */
    guint16 port;
} member;

typedef struct {
    char *hash;
    gint64 expires_ms;
} operator_token;

typedef struct {
    gint refs;
    gint64 version;
    char *text;            /* the document */
    GHashTable *members;   /* name → member */
    GHashTable *revoked;   /* fingerprint → name */
    GHashTable *operators; /* token id → operator_token */
} snapshot;

struct drv_cluster {
    const drv_identity *identity;
    drv_store *store;
    drv_client *client;
    drv_peers peers;
    GMutex lock;
    GCond wake;
    snapshot *snapshot;
    gboolean stopping;
    GMutex apply_lock;
    GThread *puller;
    void (*changed)(gpointer data);
    gpointer changed_data;
};

static void member_free(gpointer data)
{
    member *one = data;

    g_free(one->name);
    g_free(one->address);
    g_free(one->fingerprint);
    g_free(one->pin);
    g_free(one);
}

static void operator_token_free(gpointer data)
{
    operator_token *one = data;

    g_free(one->hash);
    g_free(one);
}

static void snapshot_unref(snapshot *view)
{
    if (!view || !g_atomic_int_dec_and_test(&view->refs))
        return;
    g_free(view->text);
    g_hash_table_unref(view->members);
    g_hash_table_unref(view->revoked);
    g_hash_table_unref(view->operators);
    g_free(view);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(snapshot, snapshot_unref)

static snapshot *snapshot_of(drv_cluster *cluster)
{
    snapshot *view;

    g_mutex_lock(&cluster->lock);
    view = cluster->snapshot;
    g_atomic_int_inc(&view->refs);
    g_mutex_unlock(&cluster->lock);
    return view;
}

static json_object *array_of(json_object *document, const char *key)
{
    json_object *array = json_object_object_get(document, key);

    return json_object_is_type(array, json_type_array) ? array : NULL;
}

static gboolean read_members(snapshot *view, json_object *array)
{
    for (gsize i = 0; i < json_object_array_length(array); i++) {
        json_object *from = json_object_array_get_idx(array, i);
        const char *name = drv_json_string(from, "name", NULL);
        const char *address = drv_json_string(from, "address", NULL);
        const char *fingerprint = drv_json_string(from, "fingerprint", NULL);
        const char *pin = drv_json_string(from, "pin", NULL);
        gint64 port = drv_json_int(from, "port", 0);
        member *one;

        if (!drv_node_name_check(name, NULL) || !drv_address_check(address, NULL) || port < 1 ||
            port > 65535 || !fingerprint || strlen(fingerprint) != DRV_FINGERPRINT_TEXT || !pin ||
            !g_str_has_prefix(pin, "sha256//") || strchr(pin, ';'))
            return FALSE;
        one = g_new0(member, 1);
        one->name = g_strdup(name);
        one->address = g_strdup(address);
        one->fingerprint = g_strdup(fingerprint);
        one->pin = g_strdup(pin);
        one->port = (guint16)port;
        g_hash_table_replace(view->members, one->name, one);
    }
    return TRUE;
}

static gboolean read_revoked(snapshot *view, json_object *array)
{
    for (gsize i = 0; i < json_object_array_length(array); i++) {
        json_object *from = json_object_array_get_idx(array, i);
        const char *name = drv_json_string(from, "name", NULL);
        const char *fingerprint = drv_json_string(from, "fingerprint", NULL);

        if (!name || !fingerprint)
            return FALSE;
        g_hash_table_insert(view->revoked, g_strdup(fingerprint), g_strdup(name));
    }
    return TRUE;
}

static gboolean read_operators(snapshot *view, json_object *array)
{
    for (gsize i = 0; i < json_object_array_length(array); i++) {
        json_object *from = json_object_array_get_idx(array, i);
        const char *id = drv_json_string(from, "id", NULL);
        const char *hash = drv_json_string(from, "hash", NULL);
        operator_token *one;

        if (!id || !hash)
            return FALSE;
        one = g_new0(operator_token, 1);
        one->hash = g_strdup(hash);
        one->expires_ms = drv_json_int(from, "expires_ms", 0);
        g_hash_table_insert(view->operators, g_strdup(id), one);
    }
    return TRUE;
}

static snapshot *snapshot_read(const drv_identity *identity, json_object *document, GError **error)
{
    g_autoptr(snapshot) view = g_new0(snapshot, 1);
    const char *cluster = drv_json_string(document, "cluster", NULL);
    const char *founder = drv_json_string(document, "founder", NULL);

    view->refs = 1;
    view->members = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, member_free);
    view->revoked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    view->operators = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, operator_token_free);
    view->version = drv_json_int(document, "version", 0);
    if (cluster && !g_str_equal(cluster, identity->cluster)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "the membership is that of another cluster (%.64s, not %s)", cluster,
                    identity->cluster);
        return NULL;
    }
    if (!cluster || g_strcmp0(founder, identity->founder) || view->version < 1 ||
        !array_of(document, "members") || !read_members(view, array_of(document, "members")) ||
        !array_of(document, "revoked") || !read_revoked(view, array_of(document, "revoked")) ||
        !array_of(document, "operators") || !read_operators(view, array_of(document, "operators"))) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "this is not a membership document");
        return NULL;
    }
    view->text = g_strdup(json_object_to_json_string_ext(document, JSON_C_TO_STRING_PLAIN));
    return g_steal_pointer(&view);
}

gboolean drv_cluster_apply(drv_cluster *cluster, json_object *document, GError **error)
{
    g_autoptr(snapshot) next = snapshot_read(cluster->identity, document, error);
    g_autoptr(GMutexLocker) one_at_a_time = NULL;
    g_autoptr(snapshot) old = NULL;

    if (!next)
        return FALSE;
    one_at_a_time = g_mutex_locker_new(&cluster->apply_lock);
    old = snapshot_of(cluster);
    if (next->version <= old->version)
        return TRUE;
    /* A revocation must hold even if the disk is full: use it first, then keep it. */
    g_mutex_lock(&cluster->lock);
    snapshot_unref(cluster->snapshot);
    cluster->snapshot = g_steal_pointer(&next);
    g_mutex_unlock(&cluster->lock);
    if (cluster->changed)
        cluster->changed(cluster->changed_data);
    return drv_store_put(cluster->store, BUCKET, KEY,
                         json_object_to_json_string_ext(document, JSON_C_TO_STRING_PLAIN),
                         DRV_REVISION_ANY, NULL, error);
}

json_object *drv_cluster_document(drv_cluster *cluster)
{
    g_autoptr(snapshot) view = snapshot_of(cluster);

    return json_tokener_parse(view->text);
}

void drv_cluster_on_change(drv_cluster *cluster, void (*func)(gpointer data), gpointer data)
{
    cluster->changed = func;
    cluster->changed_data = data;
}

/* ---- who may come in ---- */

gboolean drv_cluster_admit(drv_cluster *cluster, const char *organization, const char *name,
                           const char *fingerprint, GError **error)
{
    g_autoptr(snapshot) view = snapshot_of(cluster);
    const member *known;

    if (g_hash_table_contains(view->revoked, fingerprint)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED,
                    "the certificate of %s %s has been revoked; a node comes back with a new token, "
                    "after /etc/drover has been removed there, by `drover join`",
                    organization, name);
        return FALSE;
    }
    if (g_str_equal(organization, DRV_PKI_OPERATOR))
        return TRUE;
    /* A name that is not known here yet is a node that has just joined: the authority signed it. */
    known = g_hash_table_lookup(view->members, name);
    if (known && !g_str_equal(known->fingerprint, fingerprint)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED,
                    "node %s has another certificate now than the one that was shown", name);
        return FALSE;
    }
    return TRUE;
}

gboolean drv_cluster_admit_bearer(drv_cluster *cluster, const char *text, char **id, GError **error)
{
    g_autoptr(snapshot) view = snapshot_of(cluster);
    const operator_token *known;
    drv_token token;

    if (!drv_token_parse(&token, text, error)) {
        if (error && *error)
            (*error)->code = DRV_ERROR_DENIED;
        return FALSE;
    }
    known = g_hash_table_lookup(view->operators, token.id);
    if (!known || !drv_token_matches(&token, known->hash)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED,
                    "the operator's token is not known here (wrong, deleted, or a join token)");
        return FALSE;
    }
    if (known->expires_ms <= drv_clock_real_ms()) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED,
                    "the operator's token has expired: make a new one with `drover token create --operator`");
        return FALSE;
    }
    *id = g_strdup(token.id);
    return TRUE;
}

gboolean drv_cluster_token_valid(drv_cluster *cluster, const char *id)
{
    g_autoptr(snapshot) view = snapshot_of(cluster);
    const operator_token *known = g_hash_table_lookup(view->operators, id);

    return known && known->expires_ms > drv_clock_real_ms();
}

/* ---- the other nodes ---- */

static GPtrArray *peers_members(void *data)
{
    drv_cluster *cluster = data;
    g_autoptr(snapshot) view = snapshot_of(cluster);
    GPtrArray *array = g_ptr_array_new_with_free_func((GDestroyNotify)drv_member_free);
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, view->members);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const member *from = value;
        drv_member *one = g_new0(drv_member, 1);

        one->name = g_strdup(from->name);
        one->address = g_strdup(from->address);
        one->port = from->port;
        one->self = g_str_equal(from->name, cluster->identity->node);
        one->founder = g_str_equal(from->name, cluster->identity->founder);
        g_ptr_array_add(array, one);
    }
    return array;
}

static json_object *peers_call(void *data, const char *node, const char *method, const char *path,
                               json_object *body, guint timeout_ms, GError **error)
{
    drv_cluster *cluster = data;
    g_autoptr(snapshot) view = snapshot_of(cluster);
    const member *to = g_hash_table_lookup(view->members, node);

    if (!to) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND,
                    "%s is not a node of this cluster (see `drover node list`)", node);
        return NULL;
    }
    return drv_client_call_node(cluster->client, to->name, to->address, to->port, to->pin, method,
                                path, body, timeout_ms, error);
}

const drv_peers *drv_cluster_peers(drv_cluster *cluster)
{
    return &cluster->peers;
}

const drv_identity *drv_cluster_identity(drv_cluster *cluster)
{
    return cluster->identity;
}

drv_store *drv_cluster_store(drv_cluster *cluster)
{
    return cluster->store;
}

gboolean drv_cluster_is_founder(drv_cluster *cluster)
{
    return g_str_equal(cluster->identity->node, cluster->identity->founder);
}

json_object *drv_cluster_ask_founder(drv_cluster *cluster, const char *method, const char *path,
                                     json_object *body, GError **error)
{
    json_object *answer = peers_call(cluster, cluster->identity->founder, method, path, body,
                                     2 * CALL_MS, error);

    if (!answer && error && g_error_matches(*error, DRV_ERROR, DRV_ERROR_UNREACHABLE))
        g_prefix_error(error, "this can only be done by the cluster's founder, node %s: ",
                       cluster->identity->founder);
    return answer;
}

static void push_one(gpointer data, gpointer user_data)
{
    g_autofree char *name = data;
    drv_cluster *cluster = user_data;
    g_autoptr(json_object) document = drv_cluster_document(cluster);
    g_autoptr(json_object) answer = NULL;
    g_autoptr(GError) error = NULL;

    answer = peers_call(cluster, name, "PUT", "/v1/peer/membership", document, CALL_MS, &error);
    if (!answer)
        drv_log_debug("the membership was not taken, the node will ask for it node=%s: %s", name,
                      error->message);
}

void drv_cluster_push(drv_cluster *cluster)
{
    g_autoptr(GPtrArray) members = peers_members(cluster);
    GThreadPool *pool = g_thread_pool_new(push_one, cluster, 8, FALSE, NULL);

    for (guint i = 0; i < members->len; i++) {
        const drv_member *to = g_ptr_array_index(members, i);

        if (!to->self)
            g_thread_pool_push(pool, g_strdup(to->name), NULL);
    }
    g_thread_pool_free(pool, FALSE, TRUE);
}

static gpointer pull(gpointer data)
{
    drv_cluster *cluster = data;
    gboolean complained = FALSE;

    g_mutex_lock(&cluster->lock);
    while (!cluster->stopping) {
        gint64 until;
        g_autoptr(json_object) document = NULL;
        g_autoptr(GError) error = NULL;

        g_mutex_unlock(&cluster->lock);
        document = drv_cluster_ask_founder(cluster, "GET", "/v1/peer/membership", NULL, &error);
        if (document && drv_cluster_apply(cluster, document, &error)) {
            complained = FALSE;
        } else if (!complained) {
            drv_log_warning("cannot get the membership, going on with the last one: %s",
                            error->message);
            complained = TRUE;
        }
        until = g_get_monotonic_time() + PULL_MS * 1000;
        g_mutex_lock(&cluster->lock);
        while (!cluster->stopping)
            if (!g_cond_wait_until(&cluster->wake, &cluster->lock, until))
                break;
    }
    g_mutex_unlock(&cluster->lock);
    return NULL;
}

drv_cluster *drv_cluster_new(const drv_identity *identity, drv_store *store, GError **error)
{
    g_autoptr(drv_document) stored = drv_store_get(store, BUCKET, KEY, error);
    g_autoptr(json_object) document = stored ? json_tokener_parse(stored->json) : NULL;
    drv_client_options options = {.etc_dir = identity->etc_dir};
    g_autoptr(snapshot) view = NULL;
    g_autoptr(drv_client) client = NULL;
    drv_cluster *cluster;

    if (!stored) {
        if (error && g_error_matches(*error, DRV_ERROR, DRV_ERROR_NOT_FOUND)) {
            g_clear_error(error);
            g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED,
                        "the store has no membership although there is an identity in %s: restore "
                        "the store, or remove %s and init or join again",
                        identity->etc_dir, identity->etc_dir);
        }
        return NULL;
    }
    view = snapshot_read(identity, document, error);
    client = view ? drv_client_new(&options, error) : NULL;
    if (!client)
        return NULL;
    cluster = g_new0(drv_cluster, 1);
    cluster->identity = identity;
    cluster->store = store;
    cluster->snapshot = g_steal_pointer(&view);
    cluster->client = g_steal_pointer(&client);
    cluster->peers = (drv_peers){.members = peers_members, .call = peers_call, .data = cluster};
    g_mutex_init(&cluster->lock);
    g_mutex_init(&cluster->apply_lock);
    g_cond_init(&cluster->wake);
    return cluster;
}

void drv_cluster_start(drv_cluster *cluster)
{
    if (!drv_cluster_is_founder(cluster))
        cluster->puller = g_thread_new("membership", pull, cluster);
}

void drv_cluster_free(drv_cluster *cluster)
{
    if (!cluster)
        return;
    g_mutex_lock(&cluster->lock);
    cluster->stopping = TRUE;
    g_cond_broadcast(&cluster->wake);
    g_mutex_unlock(&cluster->lock);
    if (cluster->puller)
        g_thread_join(cluster->puller);
    drv_client_free(cluster->client);
    snapshot_unref(cluster->snapshot);
    g_mutex_clear(&cluster->lock);
    g_mutex_clear(&cluster->apply_lock);
    g_cond_clear(&cluster->wake);
    g_free(cluster);
}
