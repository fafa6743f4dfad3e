/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's one door: what every backend would have to check is checked here, once.
 * Names are limited so that any backend can hold them (etcd's keys are paths): bucket,
 * key and counter have 1 to 128 characters out of letters, digits and "._:@+=,-".
 */
#include <string.h>

#include "store/ops.h"

#define NAME_MOST 128
#define JSON_MOST_BYTES (4u << 20)

static gboolean check_name(const char *what, const char *name, GError **error)
{
    gsize length = name ? strnlen(name, NAME_MOST + 1) : 0;

    if (length == 0 || length > NAME_MOST) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "a %s of the store has 1 to %d characters",
                    what, NAME_MOST);
        return FALSE;
    }
    for (gsize i = 0; i < length; i++) {
        if (!g_ascii_isalnum(name[i]) && !strchr("._:@+=,-", name[i])) {
            g_autofree char *shown = g_strescape(name, NULL);
            g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                        "the %s \"%s\" of the store may hold letters, digits and ._:@+=,- only", what,
                        shown);
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
    g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                "%s/%s cannot have the revision %" G_GINT64_FORMAT, bucket, key, expected);
    return FALSE;
}

drv_document *drv_document_new(const char *key, const char *json, gint64 revision)
{
    drv_document *document = g_new0(drv_document, 1);

    document->key = g_strdup(key);
    document->json = g_strdup(json);
    document->revision = revision;
    return document;
}

void drv_document_free(drv_document *document)
{
    if (!document)
        return;
    g_free(document->key);
    g_free(document->json);
    g_free(document);
}

drv_store *drv_store_open(const char *path, GError **error)
{
    if (strstr(path, "://")) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "%s: the store is a file on this host; give its path", path);
        return NULL;
    }
    return drv_store_open_sqlite(path, error);
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

gboolean drv_store_put(drv_store *store, const char *bucket, const char *key, const char *json,
                       gint64 expected, gint64 *revision, GError **error)
{
    if (!check_names(bucket, key, error) || !check_expected(bucket, key, expected, error))
        return FALSE;
    if (strnlen(json, JSON_MOST_BYTES + 1) > JSON_MOST_BYTES) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "%s/%s is too large for the store: at most %u MiB", bucket, key,
                    JSON_MOST_BYTES >> 20);
        return FALSE;
    }
    if (!g_utf8_validate(json, -1, NULL)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "%s/%s is not UTF-8", bucket, key);
        return FALSE;
    }
    return store->ops->put(store, bucket, key, json, expected, revision, error);
}

gboolean drv_store_delete(drv_store *store, const char *bucket, const char *key, gint64 expected,
                          GError **error)
{
    return check_names(bucket, key, error) && check_expected(bucket, key, expected, error) &&
           store->ops->remove(store, bucket, key, expected, error);
}

static int compare_documents(gconstpointer a, gconstpointer b)
{
    const drv_document *const *left = a, *const *right = b;

    return drv_key_compare((*left)->key, (*right)->key);
}

GPtrArray *drv_store_list(drv_store *store, const char *bucket, guint limit, GError **error)
{
    GPtrArray *found =
        check_name("bucket", bucket, error) ? store->ops->list(store, bucket, limit, error) : NULL;

    if (found)
        g_ptr_array_sort(found, compare_documents);
    return found;
}

gint64 drv_store_next(drv_store *store, const char *counter, GError **error)
{
    return check_name("counter", counter, error) ? store->ops->next(store, counter, error) : 0;
}
