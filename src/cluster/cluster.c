/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Membership as this node knows it: see cluster.h.
 *
 * `lock` guards `snapshot`, `keeping` and `stopping`; a snapshot itself never changes, readers take
 * a reference. `apply_lock` makes one document be stored and taken at a time.
 */
#include "cluster/cluster.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cluster/cluster-inside.h"
#include "cluster/endpoint.h"
#include "cluster/following.h"
#include "cluster/pki.h"
#include "cluster/snapshot.h"
#include "cluster/token.h"
#include "model/ask.h"
#include "model/json.h"
#include "store/gate.h"

#define CALL_MS 3000

drv_snapshot *drv_cluster_view(drv_cluster *cluster)
{
    drv_snapshot *view;

    g_mutex_lock(&cluster->lock);
    view = cluster->snapshot;
    g_atomic_int_inc(&view->refs);
    g_mutex_unlock(&cluster->lock);
    return view;
}

/*
 * Who is revoked once stays so, whoever wrote a membership that does not say it. Return: @document with those that
 * @old has and @next has not, or NULL: there are none. Transfer full.
 */
static json_object *with_revoked(const drv_snapshot *old, const drv_snapshot *next, json_object *document)
{
    json_object *whole = NULL;
    GHashTableIter iter;
    gpointer fingerprint, name;

    g_hash_table_iter_init(&iter, old->revoked);
    while (g_hash_table_iter_next(&iter, &fingerprint, &name)) {
        json_object *one;

        if (g_hash_table_contains(next->revoked, fingerprint))
            continue;
        drv_log_warning("the cluster's store does not say any more that %s is revoked; it stays so here", (char *)name);
        if (!whole)
            whole = drv_json_copy(document);
        one = json_object_new_object();
        drv_json_set_string(one, "name", name);
        drv_json_set_string(one, "fingerprint", fingerprint);
        json_object_array_add(drv_json_array(whole, "revoked"), one);
    }
    return whole;
}

gboolean drv_cluster_apply(drv_cluster *cluster, json_object *document, GError **error)
{
    g_autoptr(drv_snapshot) next = drv_snapshot_read(cluster->identity, document, error);
    g_autoptr(GMutexLocker) one_at_a_time = NULL;
    g_autoptr(drv_snapshot) old = NULL;
    g_autoptr(json_object) whole = NULL;

    if (!next)
        return FALSE;
    one_at_a_time = g_mutex_locker_new(&cluster->apply_lock);
    old = drv_cluster_view(cluster);
    if (next->version <= old->version)
        return TRUE;
    if (next->unsigned_tokens && next->unsigned_tokens != old->unsigned_tokens)
        drv_log_warning(
            "%u operators' tokens in the cluster's store are not signed by the authority, and are not taken",
            next->unsigned_tokens);
    whole = with_revoked(old, next, document);
    if (whole) {
        g_clear_pointer(&next, drv_snapshot_unref);
        next = drv_snapshot_read(cluster->identity, whole, error);
        if (!next)
            return FALSE;
        document = whole;
    }
    /* A revocation must hold even if the disk is full: use it first, then keep it. */
    g_mutex_lock(&cluster->lock);
    drv_snapshot_unref(cluster->snapshot);
    cluster->snapshot = g_steal_pointer(&next);
    g_cond_broadcast(&cluster->wake);
    g_mutex_unlock(&cluster->lock);
    if (cluster->changed)
        cluster->changed(cluster->changed_data);
    return drv_store_put(cluster->own, DRV_MEMBERSHIP_BUCKET, DRV_MEMBERSHIP_KEY,
                         json_object_to_json_string_ext(document, JSON_C_TO_STRING_PLAIN), DRV_REVISION_ANY, NULL,
                         error);
}

json_object *drv_cluster_document(drv_cluster *cluster)
{
    g_autoptr(drv_snapshot) view = drv_cluster_view(cluster);

    return json_tokener_parse(view->text);
}

void drv_cluster_on_change(drv_cluster *cluster, void (*func)(gpointer data), gpointer data)
{
    cluster->changed = func;
    cluster->changed_data = data;
}

/* ---- who may come in ---- */

gboolean drv_cluster_admit(drv_cluster *cluster, const char *organization, const char *name, const char *fingerprint,
                           GError **error)
{
    g_autoptr(drv_snapshot) view = drv_cluster_view(cluster);
    const drv_snapshot_member *known;

    if (g_hash_table_contains(view->revoked, fingerprint) && g_str_equal(organization, DRV_PKI_OPERATOR)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED,
                    "the operator's key has been revoked; on a node that has the authority's key remove "
                    "/etc/drover/operator.key, and the next drover command there makes a new one");
        return FALSE;
    }
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

#define UNKNOWN_TOKEN "the operator's token is not known here (wrong, deleted, or a join token)"
#define GENERATIONS_MOST 16 /* tokens that were made with tokens */

/* The earliest end among the token and those with which it was made; 0: one of them is not there. */
static gint64 ends_ms(const drv_snapshot *view, const char *id)
{
    gint64 ends = G_MAXINT64;

    for (int i = 0; id; i++) {
        const drv_snapshot_token *known = g_hash_table_lookup(view->operators, id);

        if (!known || i == GENERATIONS_MOST)
            return 0;
        ends = MIN(ends, known->expires_ms);
        id = known->by;
    }
    return ends;
}

static gboolean in_force(const drv_snapshot *view, const char *id, GError **error)
{
    gint64 ends = ends_ms(view, id);

    if (ends > drv_clock_real_ms())
        return TRUE;
    if (ends)
        g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED,
                    "the operator's token has expired: make a new one with `drover token create --operator`");
    else if (g_hash_table_contains(view->operators, id))
        g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED,
                    "the operator's token is good for nothing any more: the one with which it was made "
                    "has been deleted");
    else
        g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED, UNKNOWN_TOKEN);
    return FALSE;
}

gboolean drv_cluster_admit_bearer(drv_cluster *cluster, const char *text, char **id, GError **error)
{
    g_autoptr(drv_snapshot) view = drv_cluster_view(cluster);
    const drv_snapshot_token *known;
    drv_token token;

    if (!drv_token_parse(&token, text, error)) {
        if (error && *error)
            (*error)->code = DRV_ERROR_DENIED;
        return FALSE;
    }
    known = g_hash_table_lookup(view->operators, token.id);
    if (!known || !drv_token_matches(&token, known->hash)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED, UNKNOWN_TOKEN);
        return FALSE;
    }
    if (!in_force(view, token.id, error))
        return FALSE;
    *id = g_strdup(token.id);
    return TRUE;
}

gboolean drv_cluster_token_valid(drv_cluster *cluster, const char *id, GError **error)
{
    g_autoptr(drv_snapshot) view = drv_cluster_view(cluster);

    return in_force(view, id, error);
}

gint64 drv_cluster_token_ends_ms(drv_cluster *cluster, const char *id)
{
    g_autoptr(drv_snapshot) view = drv_cluster_view(cluster);

    return ends_ms(view, id);
}

/* ---- the other nodes ---- */

static GPtrArray *peers_members(void *data)
{
    drv_cluster *cluster = data;
    g_autoptr(drv_snapshot) view = drv_cluster_view(cluster);
    GPtrArray *array = g_ptr_array_new_with_free_func((GDestroyNotify)drv_member_free);
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, view->members);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const drv_snapshot_member *from = value;
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

static json_object *peers_call(void *data, const char *node, const char *method, const char *path, json_object *body,
                               guint timeout_ms, GError **error)
{
    drv_cluster *cluster = data;
    g_autoptr(drv_snapshot) view = drv_cluster_view(cluster);
    const drv_snapshot_member *to = g_hash_table_lookup(view->members, node);

    if (!to) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "%s is not a node of this cluster (see `drover node list`)",
                    node);
        return NULL;
    }
    return drv_client_call_node(cluster->client, to->name, to->address, to->port, to->pin, method, path, body,
                                timeout_ms, error);
}

const drv_peers *drv_cluster_peers(drv_cluster *cluster)
{
    return &cluster->peers;
}

drv_identity *drv_cluster_identity(drv_cluster *cluster)
{
    return cluster->identity;
}

drv_store *drv_cluster_own(drv_cluster *cluster)
{
    return cluster->own;
}

drv_store *drv_cluster_store(drv_cluster *cluster)
{
    return cluster->gate;
}

gboolean drv_cluster_keeps(drv_cluster *cluster)
{
    return drv_gate_is_open(cluster->gate);
}

json_object *drv_cluster_keeping(drv_cluster *cluster)
{
    json_object *object;

    g_mutex_lock(&cluster->lock);
    object = drv_keeping_json(&cluster->keeping);
    g_mutex_unlock(&cluster->lock);
    return object;
}

gboolean drv_cluster_is_founder(drv_cluster *cluster)
{
    return g_str_equal(cluster->identity->node, cluster->identity->founder);
}

char *drv_cluster_url(drv_cluster *cluster, const char *name)
{
    g_autoptr(drv_snapshot) view = drv_cluster_view(cluster);
    const drv_snapshot_member *to = g_hash_table_lookup(view->members, name);
    g_autofree char *where = to ? drv_endpoint_text(to->address, to->port) : NULL;

    return where ? g_strconcat("https://", where, NULL) : NULL;
}

json_object *drv_cluster_send_to_founder(drv_cluster *cluster, GError **error)
{
    g_set_error_literal(error, DRV_ELSEWHERE, 0, cluster->identity->founder);
    return NULL;
}

json_object *drv_cluster_send_to_signer(drv_cluster *cluster, GError **error)
{
    g_autoptr(drv_snapshot) view = drv_cluster_view(cluster);
    g_autoptr(json_object) answer = drv_cluster_ask_founder(cluster, "GET", "/v1/peer/membership", NULL, NULL);
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, view->members);
    while (!answer && g_hash_table_iter_next(&iter, NULL, &value)) {
        const drv_snapshot_member *to = value;

        if (!to->signs || g_str_equal(to->name, cluster->identity->node) ||
            g_str_equal(to->name, cluster->identity->founder))
            continue;
        answer = peers_call(cluster, to->name, "GET", "/v1/peer/membership", NULL, CALL_MS, NULL);
        if (answer) {
            g_set_error_literal(error, DRV_ELSEWHERE, 0, to->name);
            return NULL;
        }
    }
    return drv_cluster_send_to_founder(cluster, error);
}

json_object *drv_cluster_ask_founder(drv_cluster *cluster, const char *method, const char *path, json_object *body,
                                     GError **error)
{
    json_object *answer = peers_call(cluster, cluster->identity->founder, method, path, body, 2 * CALL_MS, error);

    if (!answer && error && g_error_matches(*error, DRV_ERROR, DRV_ERROR_UNREACHABLE))
        g_prefix_error(error, "this can only be done by the cluster's founder, node %s: ", cluster->identity->founder);
    return answer;
}

json_object *drv_cluster_ask_signer(drv_cluster *cluster, const char *method, const char *path, json_object *body,
                                    GError **error)
{
    g_autoptr(drv_snapshot) view = drv_cluster_view(cluster);
    g_autoptr(GError) first = NULL;
    json_object *answer;
    GHashTableIter iter;
    gpointer value;

    answer = drv_cluster_ask_founder(cluster, method, path, body, &first);
    g_hash_table_iter_init(&iter, view->members);
    while (!answer && g_hash_table_iter_next(&iter, NULL, &value)) {
        const drv_snapshot_member *to = value;
        g_autoptr(GError) problem = NULL;

        /* What one that answers says is it: another one would say the same. */
        if (!g_error_matches(first, DRV_ERROR, DRV_ERROR_UNREACHABLE) &&
            !g_error_matches(first, DRV_ERROR, DRV_ERROR_NOT_FOUND))
            break;
        if (!to->signs || g_str_equal(to->name, cluster->identity->node) ||
            g_str_equal(to->name, cluster->identity->founder))
            continue;
        answer = peers_call(cluster, to->name, method, path, body, 2 * CALL_MS, &problem);
        if (!answer && !g_error_matches(problem, DRV_ERROR, DRV_ERROR_UNREACHABLE)) {
            g_clear_error(&first);
            first = g_steal_pointer(&problem);
        }
    }
    if (!answer)
        g_propagate_error(error, g_steal_pointer(&first));
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
        drv_log_debug("the membership was not taken, the node will ask for it node=%s: %s", name, error->message);
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

drv_cluster *drv_cluster_new(drv_identity *identity, drv_store *store, GError **error)
{
    g_autoptr(drv_document) stored = drv_store_get(store, DRV_MEMBERSHIP_BUCKET, DRV_MEMBERSHIP_KEY, error);
    g_autoptr(json_object) document = stored ? json_tokener_parse(stored->json) : NULL;
    drv_client_options options = {.etc_dir = identity->etc_dir};
    g_autoptr(drv_snapshot) view = NULL;
    g_autoptr(drv_client) client = NULL;
    g_autoptr(drv_cluster) cluster = NULL;

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
    view = drv_snapshot_read(identity, document, error);
    client = view ? drv_client_new(&options, error) : NULL;
    if (!client)
        return NULL;
    cluster = g_new0(drv_cluster, 1);
    cluster->identity = identity;
    cluster->own = store;
    cluster->snapshot = g_steal_pointer(&view);
    cluster->client = g_steal_pointer(&client);
    cluster->peers = (drv_peers){.members = peers_members, .call = peers_call, .data = cluster};
    g_mutex_init(&cluster->lock);
    g_mutex_init(&cluster->apply_lock);
    g_mutex_init(&cluster->follow_lock);
    g_cond_init(&cluster->wake);
    return drv_cluster_open_gate(cluster, error) ? g_steal_pointer(&cluster) : NULL;
}

void drv_cluster_start(drv_cluster *cluster)
{
    cluster->follower = g_thread_new("membership", drv_cluster_follow, cluster);
}

void drv_cluster_free(drv_cluster *cluster)
{
    if (!cluster)
        return;
    g_mutex_lock(&cluster->lock);
    cluster->stopping = TRUE;
    g_cond_broadcast(&cluster->wake);
    g_mutex_unlock(&cluster->lock);
    if (cluster->gate)
        drv_store_stop_waiting(cluster->gate);
    if (cluster->follower)
        g_thread_join(cluster->follower);
    drv_client_free(cluster->client);
    drv_store_close(cluster->gate);
    drv_keeping_clear(&cluster->keeping);
    drv_snapshot_unref(cluster->snapshot);
    g_mutex_clear(&cluster->lock);
    g_mutex_clear(&cluster->apply_lock);
    g_mutex_clear(&cluster->follow_lock);
    g_cond_clear(&cluster->wake);
    g_free(cluster);
}
