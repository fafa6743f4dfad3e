/* SPDX-License-Identifier: Apache-2.0 */
/* From one store to another: see copy.h. */
#include "store/copy.h"

#include <json-c/json.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/etcd-schema.h"
#include "store/etcd-state.h"
#include "store/gate.h"
#include "store/ops.h"

/*
 * What is kept once for the cluster. All other buckets are a node's own, wherever these are: a new one for
 * the cluster has to be added here, or it stays behind in a move.
 */
static const char *const shared[] = {"node", "token",      "revoked",    "cluster",       "policy",
                                     "plan", "fleet-plan", "operations", "node-settings", "history"};
/* Names of moves and plans have the node's in them. */
static const char *const own_counters[] = {"job", "plan"};

gboolean drv_store_cluster_bucket(const char *bucket)
{
    for (gsize i = 0; i < G_N_ELEMENTS(shared); i++)
        if (g_str_equal(bucket, shared[i]))
            return TRUE;
    return FALSE;
}

gboolean drv_store_cluster_counter(const char *counter)
{
    for (gsize i = 0; i < G_N_ELEMENTS(own_counters); i++)
        if (g_str_equal(counter, own_counters[i]))
            return FALSE;
    return TRUE;
}

/* Each node has its own copy of who belongs to the cluster: it is written over, and does not count. */
static gboolean is_membership(const char *bucket)
{
    return g_str_equal(bucket, "cluster");
}

/* Calls @func for each of the cluster's buckets of @store. */
static gboolean for_each_bucket(drv_store *store,
                                gboolean (*func)(drv_store *store, const char *bucket, gpointer data, GError **error),
                                gpointer data, GError **error)
{
    g_autoptr(GPtrArray) buckets = drv_store_buckets(store, error);

    for (guint i = 0; buckets && i < buckets->len; i++)
        if (drv_store_cluster_bucket(buckets->pdata[i]) && !func(store, buckets->pdata[i], data, error))
            return FALSE;
    return buckets != NULL;
}

static gboolean clear_one(drv_store *store, const char *bucket, gpointer data, GError **error)
{
    g_autoptr(GPtrArray) documents = drv_store_list(store, bucket, 0, error);

    for (guint i = 0; documents && !is_membership(bucket) && i < documents->len; i++) {
        const drv_document *document = documents->pdata[i];

        if (!drv_store_delete(store, bucket, document->key, document->revision, error))
            return FALSE;
    }
    return documents != NULL;
}

gboolean drv_store_clear_cluster(drv_store *store, GError **error)
{
    return for_each_bucket(store, clear_one, NULL, error);
}

typedef struct {
    drv_store *to;
    guint count;
} copying;

static gboolean copy_one(drv_store *from, const char *bucket, gpointer data, GError **error)
{
    copying *c = data;
    g_autoptr(GPtrArray) documents = drv_store_list(from, bucket, 0, error);

    for (guint i = 0; documents && i < documents->len; i++) {
        const drv_document *document = documents->pdata[i];

        if (!drv_store_put(c->to, bucket, document->key, document->json,
                           is_membership(bucket) ? DRV_REVISION_ANY : DRV_REVISION_NEW, NULL, error))
            return FALSE;
        c->count++;
    }
    return documents != NULL;
}

static gboolean check_one(drv_store *from, const char *bucket, gpointer data, GError **error)
{
    copying *c = data;
    g_autoptr(GPtrArray) before = drv_store_list(from, bucket, 0, error);
    g_autoptr(GPtrArray) after = before ? drv_store_list(c->to, bucket, 0, error) : NULL;
    gboolean same = after && before->len == after->len;

    for (guint i = 0; same && i < before->len; i++) {
        const drv_document *left = before->pdata[i], *right = after->pdata[i];

        same = g_str_equal(left->key, right->key) && g_str_equal(left->json, right->json);
    }
    if (after && !same)
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "the copy of %s in %s is not the same as in %s: try again",
                    bucket, drv_store_place(c->to), drv_store_place(from));
    return same;
}

static gboolean is_empty(drv_store *store, const char *bucket, gpointer data, GError **error)
{
    if (is_membership(bucket) && !drv_store_is_shared(store))
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                "there is something in %s already (%s): choose another prefix, or remove it", drv_store_place(store),
                bucket);
    return FALSE;
}

static gboolean copy_counters(drv_store *from, drv_store *to, GError **error)
{
    g_autoptr(GPtrArray) counters = drv_store_counters(from, error);

    for (guint i = 0; counters && i < counters->len; i++) {
        const drv_document *counter = counters->pdata[i];

        if (drv_store_cluster_counter(counter->key) &&
            !drv_store_raise(to, counter->key, g_ascii_strtoll(counter->json, NULL, 10), error))
            return FALSE;
    }
    return counters != NULL;
}

gboolean drv_store_copy_cluster(drv_store *from, drv_store *to, guint *documents, GError **error)
{
    copying c = {.to = to};

    if (!for_each_bucket(to, is_empty, NULL, error) || !for_each_bucket(from, copy_one, &c, error) ||
        !copy_counters(from, to, error) || !for_each_bucket(from, check_one, &c, error))
        return FALSE;
    *documents = c.count;
    return TRUE;
}

/* ---- moving ---- */

/* In the file: a droverd that is started without knowing of the move finds it and stops. */
static gboolean mark_left(drv_store *store, const char *to, GError **error)
{
    g_autofree char *text = NULL;
    json_object *mark = json_object_new_object();

    json_object_object_add(mark, "to", json_object_new_string(to));
    json_object_object_add(mark, "when_ms", json_object_new_int64(drv_clock_real_ms()));
    text = g_strdup(json_object_to_json_string_ext(mark, JSON_C_TO_STRING_PLAIN));
    json_object_put(mark);
    return drv_store_put(store, DRV_LEFT_BUCKET, DRV_LEFT_KEY, text, DRV_REVISION_ANY, NULL, error);
}

static void unmark(drv_store *store)
{
    drv_store_delete(store, DRV_LEFT_BUCKET, DRV_LEFT_KEY, DRV_REVISION_ANY, NULL);
}

/* What was copied so far goes again: the next try begins with nothing there. */
static void take_back(drv_store *to)
{
    g_autoptr(GError) error = NULL;

    if (!drv_store_clear_cluster(to, &error))
        drv_log_warning("a part of the store's copy stays in %s: %s", drv_store_place(to), error->message);
}

/* The last step, which others see. What this host notes comes after it: see docs/store.rst. */
static gboolean leave(drv_store *from, drv_store *to, gint64 lease, drv_store_keep_func keep, gpointer data,
                      GError **error)
{
    if (drv_store_is_shared(from))
        return drv_etcd_leave(from, drv_store_place(to), lease, error) && (!keep || keep(data, error));
    if (!mark_left(from, drv_store_place(to), error))
        return FALSE;
    if (!keep || keep(data, error))
        return TRUE;
    unmark(from);
    return FALSE;
}

/* Everything that can fail; @gate is frozen. */
static gboolean move_frozen(drv_store *from, drv_store *to, const char *who, gint64 *lease, drv_store_keep_func keep,
                            gpointer data, guint *documents, GError **error)
{
    if (drv_store_is_shared(from) && !drv_etcd_fence(from, who, lease, error))
        return FALSE;
    /* A file that was left has what was in it then; that is of use until now, if etcd should be lost. */
    if (!drv_store_is_shared(to) && !drv_store_clear_cluster(to, error))
        return FALSE;
    if (!for_each_bucket(to, is_empty, NULL, error)) {
        g_prefix_error(error, "nothing can be moved to %s: ", drv_store_place(to));
        return FALSE;
    }
    if (drv_store_copy_cluster(from, to, documents, error) && leave(from, to, *lease, keep, data, error))
        return TRUE;
    take_back(to);
    return FALSE;
}

gboolean drv_store_move(drv_store *gate, drv_store *to, gboolean borrowed, const char *who, drv_store_keep_func keep,
                        gpointer data, guint *documents, GError **error)
{
    drv_store *from;
    gint64 lease = 0;
    gboolean moved;

    drv_gate_freeze(gate);
    from = drv_gate_inner(gate);
    moved = from && move_frozen(from, to, who, &lease, keep, data, documents, error);
    if (moved && !drv_store_is_shared(to))
        unmark(to);
    if (from)
        drv_store_release(from, lease);
    if (moved)
        drv_gate_set(gate, to, borrowed);
    drv_gate_thaw(gate);
    if (!from)
        g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE, "what the cluster keeps is not kept here");
    return moved;
}
