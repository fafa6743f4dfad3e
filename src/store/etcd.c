/* SPDX-License-Identifier: Apache-2.0 */
/* The store in an etcd: the calls. etcd.h says how things are kept there. */
#include "store/etcd.h"

#include "store/etcd-state.h"

#include <string.h>

#include "store/etcd-claim.h"
#include "store/etcd-json.h"
#include "store/etcd-schema.h"
#include "store/etcd-status.h"

#define TRIES_MOST 200 /* of a counter that many want at once */

static json_object *array_of(json_object *one)
{
    json_object *array = json_object_new_array();

    json_object_array_add(array, one);
    return array;
}

static drv_document *to_document(drv_etcd *s, const char *kind, const char *bucket, json_object *kv, GError **error)
{
    g_autofree char *key = drv_etcd_name(s, kind, bucket, drv_etcd_string(kv, "key"));
    g_autofree char *text = key ? drv_etcd_text(drv_etcd_string(kv, "value"), error) : NULL;

    return text ? drv_document_new(key, text, drv_etcd_number(kv, "mod_revision")) : NULL;
}

/* @range is taken over; what it finds, in etcd's order. */
static GPtrArray *find(drv_etcd *s, const char *kind, const char *bucket, json_object *range, GError **error)
{
    gboolean succeeded = FALSE;
    g_autoptr(json_object) answer = drv_etcd_transact(s, NULL, array_of(drv_etcd_wrap("request_range", range)), NULL,
                                                      TRUE, NULL, &succeeded, error);
    g_autoptr(GPtrArray) found = drv_documents_new();
    json_object *kvs = answer ? drv_etcd_kvs(answer, 0) : NULL;

    if (!answer)
        return NULL;
    for (gsize i = 0; kvs && i < json_object_array_length(kvs); i++) {
        g_autoptr(GError) damaged = NULL;
        drv_document *document = to_document(s, kind, bucket, json_object_array_get_idx(kvs, i), &damaged);

        if (damaged) {
            g_propagate_error(error, g_steal_pointer(&damaged));
            return NULL;
        }
        if (document)
            g_ptr_array_add(found, document);
    }
    return g_steal_pointer(&found);
}

static drv_document *get(drv_store *store, const char *bucket, const char *key, GError **error)
{
    drv_etcd *s = (drv_etcd *)store;
    g_autofree char *name = drv_etcd_key(s, "doc", bucket, key);
    g_autoptr(GPtrArray) found = find(s, "doc", bucket, drv_etcd_object("key", name, NULL), error);

    if (found && !found->len)
        drv_store_no_such(bucket, key, error);
    return found && found->len ? g_ptr_array_steal_index(found, 0) : NULL;
}

static GPtrArray *list(drv_store *store, const char *bucket, guint limit, GError **error)
{
    drv_etcd *s = (drv_etcd *)store;
    json_object *range = drv_etcd_range_all(s, "doc", bucket);

    if (limit) {
        json_object_object_add(range, "limit", json_object_new_int64(limit));
        json_object_object_add(range, "sort_order", json_object_new_string("DESCEND"));
        json_object_object_add(range, "sort_target", json_object_new_string("CREATE"));
    }
    return find(s, "doc", bucket, range, error);
}

/* ---- changes ---- */

static void add_change(drv_etcd *s, const drv_store_change *change, json_object *compare, json_object *success,
                       json_object *failure)
{
    g_autofree char *key = drv_etcd_key(s, "doc", change->bucket, change->key);
    g_autofree char *value = change->json ? drv_etcd_value(change->json) : NULL;

    if (change->expected > 0)
        json_object_array_add(compare, drv_etcd_compare(key, "mod_revision", "EQUAL", change->expected));
    else if (change->expected == DRV_REVISION_NEW)
        json_object_array_add(compare, drv_etcd_compare(key, "create_revision", "EQUAL", 0));
    else if (!change->json)
        json_object_array_add(compare, drv_etcd_compare(key, "create_revision", "GREATER", 0));
    if (value)
        json_object_array_add(success, drv_etcd_wrap("request_put", drv_etcd_object("key", key, "value", value, NULL)));
    else
        json_object_array_add(success, drv_etcd_wrap("request_delete_range", drv_etcd_object("key", key, NULL)));
    json_object_array_add(failure, drv_etcd_range(key));
}

/* A change that was carried out by a member from which no answer came looks like another one's. */
static gboolean is_ours(const drv_store_change *changes, guint count, json_object *answer, gint64 *revision)
{
    gboolean wrote = FALSE;

    for (guint i = 0; i < count; i++) {
        json_object *kvs = drv_etcd_kvs(answer, i + 1);
        json_object *kv = kvs ? json_object_array_get_idx(kvs, 0) : NULL;
        g_autofree char *value = changes[i].json ? drv_etcd_value(changes[i].json) : NULL;

        if (!value != !kv || (kv && !g_str_equal(drv_etcd_string(kv, "value"), value)))
            return FALSE;
        if (kv) {
            *revision = drv_etcd_number(kv, "mod_revision");
            wrote = TRUE;
        }
    }
    return wrote;
}

static void say_which(const drv_store_change *changes, guint count, json_object *answer, GError **error)
{
    for (guint i = 0; i < count; i++) {
        json_object *kvs = drv_etcd_kvs(answer, i + 1);

        if (!drv_store_compare(&changes[i],
                               kvs ? drv_etcd_number(json_object_array_get_idx(kvs, 0), "mod_revision") : 0, error))
            return;
    }
    g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "etcd refused a change without a reason");
}

/* etcd makes the change with which its room ends, and says that there is none all the same. */
static gboolean was_made(drv_etcd *s, const drv_store_change *changes, guint count, gint64 *revision)
{
    json_object *reads = json_object_new_array();
    g_autofree char *schema = drv_etcd_key(s, "schema", NULL, NULL);
    g_autoptr(json_object) answer = NULL;
    gboolean succeeded = FALSE;

    json_object_array_add(reads, drv_etcd_range(schema)); /* is_ours() begins behind it */
    for (guint i = 0; i < count; i++) {
        g_autofree char *key = drv_etcd_key(s, "doc", changes[i].bucket, changes[i].key);

        json_object_array_add(reads, drv_etcd_range(key));
    }
    answer = drv_etcd_transact(s, NULL, reads, NULL, TRUE, NULL, &succeeded, NULL);
    return answer && succeeded && is_ours(changes, count, answer, revision);
}

static gboolean change_all(drv_store *store, const drv_store_change *changes, guint count, gint64 *revision,
                           GError **error)
{
    drv_etcd *s = (drv_etcd *)store;
    json_object *compare = json_object_new_array(), *success = json_object_new_array(),
                *failure = json_object_new_array();
    g_autoptr(json_object) answer = NULL;
    gboolean succeeded = FALSE, unsure = FALSE, writes = FALSE;
    g_autoptr(GError) problem = NULL;
    gint64 now = 0;
    json_object *header;

    for (guint i = 0; i < count; i++) {
        add_change(s, &changes[i], compare, success, failure);
        writes = writes || changes[i].json;
    }
    answer = drv_etcd_transact(s, compare, success, failure, writes, &unsure, &succeeded, &problem);
    if (!answer &&
        !(unsure && g_error_matches(problem, DRV_ERROR, DRV_ERROR_FAILED) && was_made(s, changes, count, &now))) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return FALSE;
    }
    if (!answer)
        succeeded = TRUE;
    if (answer && succeeded && json_object_object_get_ex(answer, "header", &header))
        now = drv_etcd_number(header, "revision");
    if (!succeeded && !(unsure && is_ours(changes, count, answer, &now))) {
        say_which(changes, count, answer, error);
        return FALSE;
    }
    if (revision)
        *revision = now;
    return TRUE;
}

/* ---- counters ---- */

/* The counter, and its key's revision (0: it has never been used); -1 and @error. */
static gint64 read_counter(drv_etcd *s, const char *counter, gint64 *revision, GError **error)
{
    g_autofree char *key = drv_etcd_key(s, "number", counter, NULL);
    g_autoptr(GPtrArray) found = find(s, "number", NULL, drv_etcd_object("key", key, NULL), error);
    const drv_document *document = found && found->len ? found->pdata[0] : NULL;

    *revision = document ? document->revision : 0;
    return !found ? -1 : document ? g_ascii_strtoll(document->json, NULL, 10) : 0;
}

/* From what read_counter() said. 1: done, 0: another one was faster, -1: @error. */
static int write_counter(drv_etcd *s, const char *counter, gint64 value, gint64 revision, GError **error)
{
    g_autofree char *key = drv_etcd_key(s, "number", counter, NULL);
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, value);
    g_autofree char *encoded = drv_etcd_value(text);
    json_object *compare = array_of(revision ? drv_etcd_compare(key, "mod_revision", "EQUAL", revision)
                                             : drv_etcd_compare(key, "create_revision", "EQUAL", 0));
    json_object *put = drv_etcd_wrap("request_put", drv_etcd_object("key", key, "value", encoded, NULL));
    gboolean succeeded = FALSE;
    /* Carried out twice it is seen as another's: then a number is left out, which is no harm. */
    g_autoptr(json_object) answer = drv_etcd_transact(s, compare, array_of(put), NULL, TRUE, NULL, &succeeded, error);

    return !answer ? -1 : succeeded;
}

/* @at_least: 0: one more than it is. Return: what it is now; 0 and @error. */
static gint64 advance(drv_etcd *s, const char *counter, gint64 at_least, GError **error)
{
    for (int i = 0; i < TRIES_MOST; i++) {
        gint64 revision;
        gint64 value = read_counter(s, counter, &revision, error);
        gint64 wanted = at_least ?: value + 1;
        int done;

        if (value < 0)
            return 0;
        if (at_least && value >= at_least)
            return value;
        done = write_counter(s, counter, wanted, revision, error);
        if (done)
            return done > 0 ? wanted : 0;
        g_thread_yield();
    }
    g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "too many want a number of %s at the same time: try again",
                counter);
    return 0;
}

static gint64 next(drv_store *store, const char *counter, GError **error)
{
    return advance((drv_etcd *)store, counter, 0, error);
}

static gboolean raise_counter(drv_store *store, const char *counter, gint64 value, GError **error)
{
    return value < 1 || advance((drv_etcd *)store, counter, value, error) > 0;
}

static GPtrArray *counters(drv_store *store, GError **error)
{
    drv_etcd *s = (drv_etcd *)store;

    return find(s, "number", NULL, drv_etcd_range_all(s, "number", NULL), error);
}

static GPtrArray *buckets(drv_store *store, GError **error)
{
    drv_etcd *s = (drv_etcd *)store;
    json_object *range = drv_etcd_range_all(s, "doc", NULL);
    g_autoptr(GPtrArray) keys = NULL;
    GPtrArray *names;

    json_object_object_add(range, "keys_only", json_object_new_boolean(TRUE));
    keys = find(s, "doc", NULL, range, error);
    if (!keys)
        return NULL;
    names = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < keys->len; i++) { /* in their order: all of a bucket together */
        const char *key = ((const drv_document *)keys->pdata[i])->key;
        gsize length = strcspn(key, "/");
        const char *last = names->len ? names->pdata[names->len - 1] : "";

        if (strlen(last) != length || strncmp(last, key, length))
            g_ptr_array_add(names, g_strndup(key, length));
    }
    return names;
}

/* ---- opening ---- */

static gboolean is_shared(drv_store *store)
{
    return TRUE;
}

static const char *place(drv_store *store)
{
    return ((drv_etcd *)store)->url.text;
}

static void close_store(drv_store *store)
{
    drv_etcd *s = (drv_etcd *)store;

    drv_etcd_http_free(s->http);
    drv_etcd_url_clear(&s->url);
    g_mutex_clear(&s->lock);
    g_free(s->cluster);
    g_free(s);
}

static const struct drv_store_ops ops = {
    .get = get,
    .change = change_all,
    .list = list,
    .next = next,
    .raise = raise_counter,
    .counters = counters,
    .buckets = buckets,
    .wait = drv_etcd_wait,
    .stop_waiting = drv_etcd_stop_waiting,
    .claim = drv_etcd_claim,
    .release = drv_etcd_release,
    .is_shared = is_shared,
    .place = place,
    .status = drv_etcd_status,
    .close = close_store,
};

static gboolean can_read(const char *file, GError **error)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) problem = NULL;

    if (!file || g_file_get_contents(file, &text, NULL, &problem))
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "for TLS with etcd: %s", problem->message);
    return FALSE;
}

drv_store *drv_store_open_etcd(const drv_store_options *options, GError **error)
{
    gboolean tls = options->ca_file || options->cert_file || options->key_file;
    drv_etcd *s;

    if (!options->cert_file != !options->key_file) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "for TLS with etcd a certificate and its key are needed, both or neither");
        return NULL;
    }
    if (!can_read(options->ca_file, error) || !can_read(options->cert_file, error) ||
        !can_read(options->key_file, error))
        return NULL;
    s = g_new0(drv_etcd, 1);
    s->store.ops = &ops;
    g_mutex_init(&s->lock);
    s->cluster = g_strdup(options->cluster);
    s->make = options->make;
    if (!drv_etcd_url_parse(&s->url, options->where, tls, error)) {
        close_store(&s->store);
        return NULL;
    }
    s->http = drv_etcd_http_new(&s->url, options->ca_file, options->cert_file, options->key_file);
    return &s->store;
}
