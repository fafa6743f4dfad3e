/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Membership as this node knows it: see cluster.h.
 *
 * `lock` guards `snapshot` and `stopping`; a snapshot itself never changes, readers take
 * a reference. `apply_lock` makes one document be stored and taken at a time.
 */
#include "api/cluster.h"

#include <glib/gstdio.h>
#include <string.h>

#include "api/client.h"
#include "model/json.h"
#include "api/pki.h"
#include "api/token.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/copy.h"
#include "store/gate.h"

#define BUCKET "cluster"
#define KEY "membership"
#define PULL_MS 10000
#define AGAIN_MS 2000 /* after the store did not answer */
#define CALL_MS 3000

typedef struct {
    char *name;
    char *address;
    char *fingerprint;
    char *pin; /* of its key */
    guint16 port;
    gboolean signs; /* has the authority's key */
} member;

typedef struct {
    char *hash;
    gint64 expires_ms;
} operator_token;

typedef struct {
    gint refs;
    gint64 version;
    char *text;            /* the document */
    char *where;           /* the cluster's store; NULL: at the founder */
    GHashTable *members;   /* name → member */
    GHashTable *revoked;   /* fingerprint → name */
    GHashTable *operators; /* token id → operator_token */
} snapshot;

struct drv_cluster {
    drv_identity *identity;
    drv_store *own;
    drv_store *gate; /* the cluster's */
    drv_client *client;
    drv_peers peers;
    GMutex lock;
    GCond wake;
    snapshot *snapshot;
    gboolean stopping;
    drv_keeping keeping; /* what is behind the gate */
    GMutex apply_lock;
    GMutex follow_lock; /* one goes over to another store at a time */
    GThread *follower;
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
    g_free(view->where);
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
        one->signs = drv_json_bool(from, "signs") || drv_json_bool(from, "founder");
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
    view->where = g_strdup(drv_json_string(document, "store", NULL));
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
    g_cond_broadcast(&cluster->wake);
    g_mutex_unlock(&cluster->lock);
    if (cluster->changed)
        cluster->changed(cluster->changed_data);
    return drv_store_put(cluster->own, BUCKET, KEY,
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

json_object *drv_cluster_ask_signer(drv_cluster *cluster, const char *method, const char *path,
                                    json_object *body, GError **error)
{
    g_autoptr(snapshot) view = snapshot_of(cluster);
    g_autoptr(GError) first = NULL;
    json_object *answer;
    GHashTableIter iter;
    gpointer value;

    answer = drv_cluster_ask_founder(cluster, method, path, body, &first);
    g_hash_table_iter_init(&iter, view->members);
    while (!answer && g_hash_table_iter_next(&iter, NULL, &value)) {
        const member *to = value;
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

/* ---- following what others change ---- */

/* From the store, if it is not the founder's alone. */
static gboolean pull_from_store(drv_cluster *cluster, GError **error)
{
    g_autoptr(drv_document) stored = drv_store_get(cluster->gate, BUCKET, KEY, error);
    g_autoptr(json_object) document = stored ? json_tokener_parse(stored->json) : NULL;

    return stored && drv_cluster_apply(cluster, document, error);
}

static gboolean pull_from_founder(drv_cluster *cluster, GError **error)
{
    g_autoptr(json_object) document =
        drv_cluster_ask_founder(cluster, "GET", "/v1/peer/membership", NULL, error);

    return document && drv_cluster_apply(cluster, document, error);
}

/* A store that does not answer may have been moved away: the founder, who moves it, knows. */
static gboolean pull(drv_cluster *cluster, GError **error)
{
    if (!drv_store_is_shared(cluster->gate))
        return drv_cluster_is_founder(cluster) || pull_from_founder(cluster, error);
    if (pull_from_store(cluster, error))
        return TRUE;
    if (!drv_cluster_is_founder(cluster))
        pull_from_founder(cluster, NULL);
    return FALSE;
}

/* This node's gate from now on. @store: taken over, NULL: the founder's. */
static void go_through(drv_cluster *cluster, drv_keeping *keeping, drv_store *store)
{
    gboolean own = !store && drv_cluster_is_founder(cluster);

    g_mutex_lock(&cluster->lock);
    drv_keeping_clear(&cluster->keeping);
    cluster->keeping = *keeping;
    *keeping = (drv_keeping){0};
    g_mutex_unlock(&cluster->lock);
    drv_gate_set(cluster->gate, own ? cluster->own : store, own);
}

/* How one comes to the store at @where, from a member that knows. */
static gboolean ask_keeping(drv_cluster *cluster, const char *where, drv_keeping *keeping,
                            GError **error)
{
    g_autoptr(snapshot) view = snapshot_of(cluster);
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, view->members);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const member *to = value;
        g_autoptr(json_object) answer = NULL;

        if (g_str_equal(to->name, cluster->identity->node))
            continue;
        answer = peers_call(cluster, to->name, "GET", "/v1/peer/store", NULL, CALL_MS, NULL);
        if (answer && !g_strcmp0(drv_json_string(answer, "where", NULL), where))
            return drv_keeping_read(keeping, answer, error);
    }
    g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE,
                "no other node says how one comes to the cluster's store %s", where);
    return FALSE;
}

/* Where the membership says that the store is. */
static gboolean follow_store(drv_cluster *cluster, GError **error)
{
    g_autoptr(GMutexLocker) one_at_a_time G_GNUC_UNUSED =
        g_mutex_locker_new(&cluster->follow_lock);
    g_autoptr(snapshot) view = snapshot_of(cluster);
    g_auto(drv_keeping) keeping = {0};
    g_autoptr(drv_store) store = NULL;
    gboolean same;

    g_mutex_lock(&cluster->lock);
    same = !g_strcmp0(view->where, cluster->keeping.where);
    g_mutex_unlock(&cluster->lock);
    if (same)
        return TRUE;
    if (view->where && !ask_keeping(cluster, view->where, &keeping, error))
        return FALSE;
    if (!drv_keeping_write(&keeping, cluster->identity->etc_dir, error) ||
        (view->where && !(store = drv_keeping_open(&keeping, cluster->identity->etc_dir,
                                                   cluster->identity->cluster, FALSE, error))))
        return FALSE;
    drv_log_notice("the cluster's store is elsewhere now store=%s",
                   view->where ?: "at the founder");
    go_through(cluster, &keeping, g_steal_pointer(&store));
    return TRUE;
}

gboolean drv_cluster_hear(drv_cluster *cluster, const char *caller, json_object *document,
                          GError **error)
{
    if (g_str_equal(caller, cluster->identity->founder)) {
        g_autoptr(GError) later = NULL;

        if (!drv_cluster_apply(cluster, document, error))
            return FALSE;
        /* At once: whoever moved the store relies on it. Else the follower tries again. */
        if (!follow_store(cluster, &later))
            drv_log_warning("cannot follow the cluster's store yet: %s", later->message);
        return TRUE;
    }
    if (drv_store_is_shared(cluster->gate))
        return pull_from_store(cluster, error);
    g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED,
                "only the founder, node %s, says who belongs to the cluster",
                cluster->identity->founder);
    return FALSE;
}

/* Until there may be something new. Return: FALSE when it ends. */
static gboolean wait_for_news(drv_cluster *cluster, gint64 *revision, gint64 version, guint ms)
{
    gint64 until = g_get_monotonic_time() + (gint64)ms * 1000;
    gboolean go_on;

    if (drv_store_is_shared(cluster->gate) && ms == PULL_MS) {
        const char *place = drv_store_place(cluster->gate);

        *revision = drv_store_wait(cluster->gate, BUCKET, *revision, PULL_MS, NULL);
        if (*revision >= 0)
            until = 0;
        if (place != drv_store_place(cluster->gate)) /* it counts from its own beginning */
            *revision = -1;
    }
    g_mutex_lock(&cluster->lock);
    while (!cluster->stopping && cluster->snapshot->version == version &&
           g_cond_wait_until(&cluster->wake, &cluster->lock, until))
        ;
    go_on = !cluster->stopping;
    g_mutex_unlock(&cluster->lock);
    return go_on;
}

static gpointer follow(gpointer data)
{
    drv_cluster *cluster = data;
    gboolean complained = FALSE, good;
    gint64 revision = -1, version;

    do {
        g_autoptr(GError) error = NULL;
        g_autoptr(snapshot) view = NULL;

        good = pull(cluster, &error);
        view = snapshot_of(cluster);
        version = view->version;
        good = follow_store(cluster, good ? &error : NULL) && good;
        if (!good && !complained)
            drv_log_warning("cannot get the membership, going on with the last one: %s",
                            error->message);
        else if (good && complained)
            drv_log_notice("the membership can be got again");
        complained = !good;
    } while (wait_for_news(cluster, &revision, version, good ? PULL_MS : AGAIN_MS));
    return NULL;
}

/* ---- moving it ---- */

typedef struct {
    drv_cluster *cluster;
    drv_keeping *keeping;
} noting;

static gboolean note(gpointer data, GError **error)
{
    noting *n = data;

    return drv_keeping_write(n->keeping, n->cluster->identity->etc_dir, error);
}

gboolean drv_cluster_move_store(drv_cluster *cluster, const drv_keeping *to, guint *documents,
                                GError **error)
{
    g_auto(drv_keeping) keeping = {g_strdup(to->where), g_strdup(to->ca_pem),
                                   g_strdup(to->cert_pem), g_strdup(to->key_pem)};
    const char *etc_dir = cluster->identity->etc_dir;
    g_autofree char *scratch = g_build_filename(etc_dir, "store.new", NULL);
    noting n = {cluster, &keeping};
    drv_store *store = cluster->own;

    if (keeping.where) {
        /* Its certificates are tried from a place of their own: those in use stay. */
        const drv_keeping none = {0};

        if (g_mkdir_with_parents(scratch, 0700) < 0 ||
            !drv_keeping_write(&keeping, scratch, error) ||
            !(store = drv_keeping_open(&keeping, scratch, cluster->identity->cluster, TRUE, error)))
            return FALSE;
        g_free(keeping.where);
        keeping.where = g_strdup(drv_store_place(store));
        if (!drv_store_move(cluster->gate, store, FALSE, cluster->identity->node, note, &n,
                            documents, error)) {
            drv_store_close(store);
            drv_keeping_write(&none, scratch, NULL);
            g_rmdir(scratch);
            return FALSE;
        }
        /* From now on with the files that the next droverd will use. */
        store = drv_keeping_open(&keeping, etc_dir, cluster->identity->cluster, FALSE, error);
        if (store)
            go_through(cluster, &keeping, store);
        drv_keeping_write(&none, scratch, NULL);
        g_rmdir(scratch);
        return store != NULL;
    }
    if (!drv_store_clear_cluster(store, error) ||
        !drv_store_move(cluster->gate, store, TRUE, cluster->identity->node, note, &n, documents,
                        error))
        return FALSE;
    go_through(cluster, &keeping, NULL);
    return TRUE;
}

/* ---- opening ---- */

/* A file that was left says where to: a crash may have come before that was noted. */
static gboolean find_left(drv_cluster *cluster, GError **error)
{
    g_autoptr(drv_document) left =
        drv_store_get(cluster->own, DRV_LEFT_BUCKET, DRV_LEFT_KEY, NULL);
    g_autoptr(json_object) mark = left ? json_tokener_parse(left->json) : NULL;

    if (cluster->keeping.where || !left)
        return TRUE;
    cluster->keeping.where = g_strdup(drv_json_string(mark, "to", NULL));
    drv_log_warning("the cluster's store was moved to %s and %s does not say so: noting it",
                    cluster->keeping.where, cluster->identity->etc_dir);
    return drv_keeping_write(&cluster->keeping, cluster->identity->etc_dir, error);
}

static gboolean open_gate(drv_cluster *cluster, GError **error)
{
    const drv_identity *identity = cluster->identity;
    drv_store *store = NULL;

    cluster->gate = drv_gate_new();
    if (!drv_keeping_load(&cluster->keeping, identity->etc_dir, error) ||
        (drv_cluster_is_founder(cluster) && !find_left(cluster, error)))
        return FALSE;
    if (cluster->keeping.where) {
        store = drv_keeping_open(&cluster->keeping, identity->etc_dir, identity->cluster, FALSE,
                                 error);
        if (!store)
            return FALSE;
        drv_gate_set(cluster->gate, store, FALSE);
    } else if (drv_cluster_is_founder(cluster)) {
        drv_gate_set(cluster->gate, cluster->own, TRUE);
    }
    return TRUE;
}

drv_cluster *drv_cluster_new(drv_identity *identity, drv_store *store, GError **error)
{
    g_autoptr(drv_document) stored = drv_store_get(store, BUCKET, KEY, error);
    g_autoptr(json_object) document = stored ? json_tokener_parse(stored->json) : NULL;
    drv_client_options options = {.etc_dir = identity->etc_dir};
    g_autoptr(snapshot) view = NULL;
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
    view = snapshot_read(identity, document, error);
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
    return open_gate(cluster, error) ? g_steal_pointer(&cluster) : NULL;
}

void drv_cluster_start(drv_cluster *cluster)
{
    cluster->follower = g_thread_new("membership", follow, cluster);
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
    snapshot_unref(cluster->snapshot);
    g_mutex_clear(&cluster->lock);
    g_mutex_clear(&cluster->apply_lock);
    g_mutex_clear(&cluster->follow_lock);
    g_cond_clear(&cluster->wake);
    g_free(cluster);
}
