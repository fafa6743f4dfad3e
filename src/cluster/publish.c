/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of who belongs to the cluster: see publish.h. */
#include "cluster/publish.h"

#include "base/clock.h"
#include "base/log.h"
#include "model/json.h"

#define CLUSTER "cluster"
#define MEMBERSHIP "membership"
#define TRIES_MOST 30

static GMutex change_lock; /* of this process: others are told apart by the revision */

const char *drv_publish_text(json_object *object)
{
    return json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);
}

void drv_publish_add(drv_pending *to, const char *name, const char *key, const char *json, gint64 expected)
{
    to->all[to->count++] = (drv_store_change){name, key, json, expected};
}

static gboolean is_pending(const drv_pending *changes, const char *name, const char *key)
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

json_object *drv_publish_bucket(drv_store *store, const char *name, const drv_pending *changes, GError **error)
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
static json_object *operators(drv_store *store, const drv_pending *changes, GError **error)
{
    g_autoptr(json_object) tokens = drv_publish_bucket(store, DRV_TOKENS_BUCKET, changes, error);
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
            if (drv_json_string(from, "by", NULL))
                drv_json_set_string(to, "by", drv_json_string(from, "by", NULL));
            drv_json_set_int(to, "expires_ms", drv_json_int(from, "expires_ms", 0));
            drv_json_set_string(to, "signature", drv_json_string(from, "signature", NULL));
            json_object_array_add(array, to);
        }
    }
    return array;
}

/* The membership that follows from what is in the buckets, and from @changes. @last may be NULL. */
static json_object *compose(drv_store *store, const drv_identity *identity, const drv_document *last,
                            const drv_pending *changes, GError **error)
{
    g_autoptr(json_object) last_document = last ? json_tokener_parse(last->json) : NULL;
    g_autoptr(json_object) document = json_object_new_object();
    json_object *members = drv_publish_bucket(store, DRV_NODES_BUCKET, changes, error);
    json_object *revoked = members ? drv_publish_bucket(store, DRV_REVOKED_BUCKET, changes, error) : NULL;
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

json_object *drv_publish_write(drv_store *store, const drv_identity *identity, drv_pending *changes, gboolean *again,
                               GError **error)
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
    drv_publish_add(changes, CLUSTER, MEMBERSHIP, drv_publish_text(document), last ? last->revision : DRV_REVISION_NEW);
    if (drv_store_change_all(store, changes->all, changes->count, NULL, &problem))
        return g_steal_pointer(&document);
    if (g_error_matches(problem, DRV_ERROR, DRV_ERROR_CONFLICT) && last_membership(store, &now, NULL))
        *again = (now ? now->revision : 0) != (last ? last->revision : 0);
    g_propagate_error(error, g_steal_pointer(&problem));
    return NULL;
}

gboolean drv_publish(drv_cluster *cluster, drv_pending *changes, gboolean *again, GError **error)
{
    g_autoptr(json_object) document =
        drv_publish_write(drv_cluster_store(cluster), drv_cluster_identity(cluster), changes, again, error);
    g_autoptr(GError) problem = NULL;

    /* It is written where it counts; what this node keeps of it can be read there again. */
    if (document && !drv_cluster_apply(cluster, document, &problem))
        drv_log_warning("the membership could not be kept here: %s", problem->message);
    return document != NULL;
}

gboolean drv_publish_change(drv_cluster *cluster, drv_publish_func func, gpointer data, GError **error)
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
