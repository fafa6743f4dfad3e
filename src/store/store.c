/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's one door: what every backend would have to check is checked here, once.
 * Names are limited so that any backend can hold them (etcd's keys are paths): bucket,
 * key and counter have 1 to 128 characters out of letters, digits and "._:@+=,-".
 */
#include "store/store.h"

#include <json-c/json.h>
#include <math.h>
#include <string.h>

#include "store/etcd.h"
#include "store/ops.h"
#include "store/order.h"
#include "store/sqlite.h"

#define NAME_MOST 128
#define CHANGES_MOST 100 /* etcd takes 128 operations at a time */
#define JSON_DEPTH 200
#define JSON_MOST_BYTES (4u << 20)

static gboolean check_name(const char *what, const char *name, GError **error)
{
    gsize length = name ? strnlen(name, NAME_MOST + 1) : 0;

    if (length == 0 || length > NAME_MOST) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "a %s of the store has 1 to %d characters", what, NAME_MOST);
        return FALSE;
    }
    for (gsize i = 0; i < length; i++) {
        if (!g_ascii_isalnum(name[i]) && !strchr("._:@+=,-", name[i])) {
            g_autofree char *shown = g_strescape(name, NULL);
            g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                        "the %s \"%s\" of the store may hold letters, digits and ._:@+=,- only", what, shown);
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean check_names(const char *bucket, const char *key, GError **error)
{
    return check_name("bucket", bucket, error) && check_name("key", key, error);
}

static gboolean check_expected(const char *bucket, const char *key, gint64 expected, GError **error)
{
    if (expected >= DRV_REVISION_ANY)
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "%s/%s cannot have the revision %" G_GINT64_FORMAT, bucket, key,
                expected);
    return FALSE;
}

/* json-c takes NaN and Infinity, which are not JSON. */
static gboolean is_finite(json_object *value)
{
    if (json_object_is_type(value, json_type_double))
        return isfinite(json_object_get_double(value));
    if (json_object_is_type(value, json_type_array))
        for (gsize i = 0; i < json_object_array_length(value); i++)
            if (!is_finite(json_object_array_get_idx(value, i)))
                return FALSE;
    if (json_object_is_type(value, json_type_object)) {
        json_object_object_foreach(value, name, member)
        {
            (void)name;
            if (!is_finite(member))
                return FALSE;
        }
    }
    return TRUE;
}

static gboolean is_json(const char *text)
{
    json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH);
    json_object *value;
    gboolean good;

    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    value = json_tokener_parse_ex(tokener, text, (int)strlen(text) + 1);
    good = json_tokener_get_error(tokener) == json_tokener_success && is_finite(value);
    json_object_put(value);
    json_tokener_free(tokener);
    return good;
}

static gboolean check_json(const char *bucket, const char *key, const char *json, GError **error)
{
    if (strnlen(json, JSON_MOST_BYTES + 1) > JSON_MOST_BYTES)
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "%s/%s is too large for the store: at most %u MiB", bucket,
                    key, JSON_MOST_BYTES >> 20);
    else if (!g_utf8_validate(json, -1, NULL))
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "%s/%s is not UTF-8", bucket, key);
    else if (!is_json(json))
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "%s/%s is not JSON: %.40s", bucket, key, json);
    else
        return TRUE;
    return FALSE;
}

drv_store *drv_store_open_with(const drv_store_options *options, GError **error)
{
    const char *where = options->where ?: "";

    if (g_str_has_prefix(where, "etcd://") || g_str_has_prefix(where, "etcds://"))
        return drv_store_open_etcd(options, error);
    if (!*where || strstr(where, "://")) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "%s cannot be a store: give the path of a file, or "
                    "etcd://HOST[:PORT][,HOST…][/PREFIX]",
                    *where ? where : "nothing");
        return NULL;
    }
    return drv_store_open_sqlite(where, error);
}

drv_store *drv_store_open(const char *where, GError **error)
{
    const drv_store_options options = {.where = where, .make = TRUE};

    return drv_store_open_with(&options, error);
}

void drv_store_close(drv_store *store)
{
    if (store)
        store->ops->close(store);
}

drv_document *drv_store_get(drv_store *store, const char *bucket, const char *key, GError **error)
{
    return check_names(bucket, key, error) ? store->ops->get(store, bucket, key, error) : NULL;
}

static gboolean check_change(const drv_store_change *change, GError **error)
{
    return check_names(change->bucket, change->key, error) &&
           check_expected(change->bucket, change->key, change->expected, error) &&
           (!change->json || check_json(change->bucket, change->key, change->json, error));
}

gboolean drv_store_change_all(drv_store *store, const drv_store_change *changes, guint count, gint64 *revision,
                              GError **error)
{
    if (count < 1 || count > CHANGES_MOST) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "1 to %d documents can be changed together, not %u",
                    CHANGES_MOST, count);
        return FALSE;
    }
    for (guint i = 0; i < count; i++) {
        if (!check_change(&changes[i], error))
            return FALSE;
        for (guint j = 0; j < i; j++)
            if (g_str_equal(changes[i].key, changes[j].key) && g_str_equal(changes[i].bucket, changes[j].bucket)) {
                g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "%s/%s is to be changed twice at once",
                            changes[i].bucket, changes[i].key);
                return FALSE;
            }
    }
    return store->ops->change(store, changes, count, revision, error);
}

gboolean drv_store_put(drv_store *store, const char *bucket, const char *key, const char *json, gint64 expected,
                       gint64 *revision, GError **error)
{
    const drv_store_change change = {bucket, key, json ?: "", expected};

    return drv_store_change_all(store, &change, 1, revision, error);
}

gboolean drv_store_delete(drv_store *store, const char *bucket, const char *key, gint64 expected, GError **error)
{
    const drv_store_change change = {bucket, key, NULL, expected};

    return drv_store_change_all(store, &change, 1, NULL, error);
}

static int compare_documents(gconstpointer a, gconstpointer b)
{
    const drv_document *const *left = a, *const *right = b;

    return drv_key_compare((*left)->key, (*right)->key);
}

GPtrArray *drv_store_list(drv_store *store, const char *bucket, guint limit, GError **error)
{
    GPtrArray *found = check_name("bucket", bucket, error) ? store->ops->list(store, bucket, limit, error) : NULL;

    if (found)
        g_ptr_array_sort(found, compare_documents);
    return found;
}

gint64 drv_store_next(drv_store *store, const char *counter, GError **error)
{
    return check_name("counter", counter, error) ? store->ops->next(store, counter, error) : 0;
}

gboolean drv_store_raise(drv_store *store, const char *counter, gint64 value, GError **error)
{
    return check_name("counter", counter, error) && store->ops->raise(store, counter, value, error);
}

GPtrArray *drv_store_counters(drv_store *store, GError **error)
{
    return store->ops->counters(store, error);
}

GPtrArray *drv_store_buckets(drv_store *store, GError **error)
{
    return store->ops->buckets(store, error);
}

gint64 drv_store_wait(drv_store *store, const char *bucket, gint64 after, guint wait_ms, GError **error)
{
    return check_name("bucket", bucket, error) ? store->ops->wait(store, bucket, after, wait_ms, error) : -1;
}

void drv_store_stop_waiting(drv_store *store)
{
    store->ops->stop_waiting(store);
}

drv_claim drv_store_claim(drv_store *store, const char *name, const char *who, guint ttl_s, gint64 *lease,
                          char **holder, GError **error)
{
    *holder = NULL;
    return check_name("claim", name, error) && check_name("holder", who, error)
               ? store->ops->claim(store, name, who, ttl_s, lease, holder, error)
               : DRV_CLAIM_FAILED;
}

void drv_store_release(drv_store *store, gint64 lease)
{
    if (lease)
        store->ops->release(store, lease);
}

gboolean drv_store_is_shared(drv_store *store)
{
    return store->ops->is_shared(store);
}

const char *drv_store_place(drv_store *store)
{
    return store->ops->place(store);
}

json_object *drv_store_status(drv_store *store)
{
    return store->ops->status(store);
}
