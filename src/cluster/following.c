/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Following what others change: who belongs to the cluster, and where its store is; and moving
 * that. See cluster.h.
 */
#include "cluster/following.h"

#include <glib/gstdio.h>
#include <string.h>

#include "base/log.h"
#include "cluster/cluster-inside.h"
#include "model/json.h"
#include "store/copy.h"
#include "store/gate.h"

#define PULL_MS 10000
#define AGAIN_MS 2000 /* after the store did not answer */
#define CALL_MS 3000

/* From the store, if it is not the founder's alone. */
static gboolean pull_from_store(drv_cluster *cluster, GError **error)
{
    g_autoptr(drv_document) stored = drv_store_get(cluster->gate, DRV_MEMBERSHIP_BUCKET, DRV_MEMBERSHIP_KEY, error);
    g_autoptr(json_object) document = stored ? json_tokener_parse(stored->json) : NULL;

    return stored && drv_cluster_apply(cluster, document, error);
}

static gboolean pull_from_founder(drv_cluster *cluster, GError **error)
{
    g_autoptr(json_object) document = drv_cluster_ask_founder(cluster, "GET", "/v1/peer/membership", NULL, error);

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
static gboolean ask_keeping(drv_cluster *cluster, const char *where, drv_keeping *keeping, GError **error)
{
    g_autoptr(drv_snapshot) view = drv_cluster_view(cluster);
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, view->members);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const drv_snapshot_member *to = value;
        g_autoptr(json_object) answer = NULL;

        if (g_str_equal(to->name, cluster->identity->node))
            continue;
        answer = cluster->peers.call(cluster, to->name, "GET", "/v1/peer/store", NULL, CALL_MS, NULL);
        if (answer && !g_strcmp0(drv_json_string(answer, "where", NULL), where))
            return drv_keeping_read(keeping, answer, error);
    }
    g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE, "no other node says how one comes to the cluster's store %s",
                where);
    return FALSE;
}

/* Where the membership says that the store is. */
static gboolean follow_store(drv_cluster *cluster, GError **error)
{
    g_autoptr(GMutexLocker) one_at_a_time G_GNUC_UNUSED = g_mutex_locker_new(&cluster->follow_lock);
    g_autoptr(drv_snapshot) view = drv_cluster_view(cluster);
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
        (view->where &&
         !(store = drv_keeping_open(&keeping, cluster->identity->etc_dir, cluster->identity->cluster, FALSE, error))))
        return FALSE;
    drv_log_notice("the cluster's store is elsewhere now store=%s", view->where ?: "at the founder");
    go_through(cluster, &keeping, g_steal_pointer(&store));
    return TRUE;
}

gboolean drv_cluster_hear(drv_cluster *cluster, const char *caller, json_object *document, GError **error)
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
    g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED, "only the founder, node %s, says who belongs to the cluster",
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

        *revision = drv_store_wait(cluster->gate, DRV_MEMBERSHIP_BUCKET, *revision, PULL_MS, NULL);
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

gpointer drv_cluster_follow(gpointer data)
{
    drv_cluster *cluster = data;
    gboolean complained = FALSE, good;
    gint64 revision = -1, version;

    do {
        g_autoptr(GError) error = NULL;
        g_autoptr(drv_snapshot) view = NULL;

        good = pull(cluster, &error);
        view = drv_cluster_view(cluster);
        version = view->version;
        good = follow_store(cluster, good ? &error : NULL) && good;
        if (!good && !complained)
            drv_log_warning("cannot get the membership, going on with the last one: %s", error->message);
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

gboolean drv_cluster_move_store(drv_cluster *cluster, const drv_keeping *to, guint *documents, GError **error)
{
    g_auto(drv_keeping)
        keeping = {g_strdup(to->where), g_strdup(to->ca_pem), g_strdup(to->cert_pem), g_strdup(to->key_pem)};
    const char *etc_dir = cluster->identity->etc_dir;
    g_autofree char *scratch = g_build_filename(etc_dir, "store.new", NULL);
    noting n = {cluster, &keeping};
    drv_store *store = cluster->own;

    if (keeping.where) {
        /* Its certificates are tried from a place of their own: those in use stay. */
        const drv_keeping none = {0};

        if (!drv_identity_make_directory(scratch, error) || !drv_keeping_write(&keeping, scratch, error) ||
            !(store = drv_keeping_open(&keeping, scratch, cluster->identity->cluster, TRUE, error)))
            return FALSE;
        g_free(keeping.where);
        keeping.where = g_strdup(drv_store_place(store));
        if (!drv_store_move(cluster->gate, store, FALSE, cluster->identity->node, note, &n, documents, error)) {
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
    if (!drv_store_move(cluster->gate, store, TRUE, cluster->identity->node, note, &n, documents, error))
        return FALSE;
    go_through(cluster, &keeping, NULL);
    return TRUE;
}

/* ---- opening ---- */

/* A file that was left says where to: a crash may have come before that was noted. */
static gboolean find_left(drv_cluster *cluster, GError **error)
{
    g_autoptr(drv_document) left = drv_store_get(cluster->own, DRV_LEFT_BUCKET, DRV_LEFT_KEY, NULL);
    g_autoptr(json_object) mark = left ? json_tokener_parse(left->json) : NULL;

    if (cluster->keeping.where || !left)
        return TRUE;
    cluster->keeping.where = g_strdup(drv_json_string(mark, "to", NULL));
    drv_log_warning("the cluster's store was moved to %s and %s does not say so: noting it", cluster->keeping.where,
                    cluster->identity->etc_dir);
    return drv_keeping_write(&cluster->keeping, cluster->identity->etc_dir, error);
}

gboolean drv_cluster_open_gate(drv_cluster *cluster, GError **error)
{
    const drv_identity *identity = cluster->identity;
    drv_store *store = NULL;

    cluster->gate = drv_gate_new();
    if (!drv_keeping_load(&cluster->keeping, identity->etc_dir, error) ||
        (drv_cluster_is_founder(cluster) && !find_left(cluster, error)))
        return FALSE;
    if (cluster->keeping.where) {
        store = drv_keeping_open(&cluster->keeping, identity->etc_dir, identity->cluster, FALSE, error);
        if (!store)
            return FALSE;
        drv_gate_set(cluster->gate, store, FALSE);
    } else if (drv_cluster_is_founder(cluster)) {
        drv_gate_set(cluster->gate, cluster->own, TRUE);
    }
    return TRUE;
}
