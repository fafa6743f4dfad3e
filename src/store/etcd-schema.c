/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in an etcd: its version, whose it is, and whether it is still the one in use.
 * Version 0 is nothing at all; step i brings a store of version i to i + 1, as in sqlite-open.c.
 */
#include "store/etcd-schema.h"

#include <string.h>

#include "store/etcd-claim.h"
#include "store/etcd-json.h"
#include "store/etcd-state.h"

G_STATIC_ASSERT(DRV_ETCD_SCHEMA == 1); /* a newer one needs its step in upgrade() */

static char *schema_key(drv_etcd *s)
{
    return drv_etcd_key(s, "schema", NULL, NULL);
}

/* Begins the store, unless another one does at this moment: then that one's is read. */
static gboolean begin(drv_etcd *s, GError **error)
{
    g_autofree char *key = schema_key(s);
    g_autofree char *text = drv_etcd_state_text(DRV_ETCD_SCHEMA, s->cluster ?: "", "here", "");
    g_autofree char *value = drv_etcd_value(text);
    g_autoptr(json_object) body = json_object_new_object();
    g_autoptr(json_object) answer = NULL;
    json_object *compare = json_object_new_array(), *success = json_object_new_array();

    json_object_array_add(compare, drv_etcd_compare(key, "create_revision", "EQUAL", 0));
    json_object_array_add(success, drv_etcd_wrap("request_put", drv_etcd_object("key", key, "value", value, NULL)));
    json_object_object_add(body, "compare", compare);
    json_object_object_add(body, "success", success);
    answer = drv_etcd_call(s->http, "kv/txn", body, TRUE, NULL, error);
    return answer != NULL;
}

static gboolean is_usable(drv_etcd *s, json_object *schema, GError **error)
{
    gint64 version = drv_etcd_number(schema, "version");
    const char *cluster = drv_etcd_string(schema, "cluster");
    const char *state = drv_etcd_string(schema, "state");
    const char *to = drv_etcd_string(schema, "to");

    if (version < 1)
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "what is in %s is not Drover's: choose another prefix",
                    s->url.text);
    else if (version > DRV_ETCD_SCHEMA)
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED,
                    "the store %s was written by a newer Drover (its version is %" G_GINT64_FORMAT
                    ", this one knows up to %d): install that Drover here too",
                    s->url.text, version, DRV_ETCD_SCHEMA);
    else if (s->cluster && *cluster && !g_str_equal(cluster, s->cluster))
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                    "the store %s is that of another cluster (%s, not %s): choose another prefix "
                    "(etcd://HOST:PORT/PREFIX)",
                    s->url.text, cluster, s->cluster);
    else if (g_str_equal(state, "left"))
        g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE,
                    "the store %s is not in use any more, it was moved to %s. A node learns of that when "
                    "it reaches the others; for something new choose another prefix, or empty this one "
                    "(etcdctl del --prefix /%s/)",
                    s->url.text, to, s->url.prefix);
    else
        return TRUE;
    return FALSE;
}

/* Another process holds the store while it copies it to another place; see drv_etcd_fence(). */
static gboolean is_still(drv_etcd *s, GError **error)
{
    g_autofree char *key = drv_etcd_key(s, "doc", DRV_CLAIM_BUCKET, DRV_ETCD_MOVING);
    g_autoptr(json_object) body = drv_etcd_object("key", key, NULL);
    g_autoptr(json_object) answer = drv_etcd_call(s->http, "kv/range", body, TRUE, NULL, error);
    json_object *kvs;

    if (!answer)
        return FALSE;
    if (!json_object_object_get_ex(answer, "kvs", &kvs) ||
        (s->moving && drv_etcd_number(json_object_array_get_idx(kvs, 0), "lease") == s->moving))
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE,
                "the store %s is being moved to another place at this moment: try again in some "
                "seconds",
                s->url.text);
    return FALSE;
}

/* Called with the lock held. The schema is read first: who moves it changes it last. */
static gboolean read_schema(drv_etcd *s, GError **error)
{
    g_autofree char *key = schema_key(s);

    for (int attempt = 0; attempt < 2; attempt++) {
        g_autoptr(json_object) body = drv_etcd_object("key", key, NULL);
        g_autoptr(json_object) answer = drv_etcd_call(s->http, "kv/range", body, TRUE, NULL, error);
        g_autoptr(json_object) schema = NULL;
        g_autofree char *text = NULL;
        json_object *kvs, *kv;

        if (!answer)
            return FALSE;
        if (!json_object_object_get_ex(answer, "kvs", &kvs)) {
            if (!s->make)
                break;
            if (!begin(s, error))
                return FALSE;
            continue;
        }
        kv = json_object_array_get_idx(kvs, 0);
        text = drv_etcd_text(drv_etcd_string(kv, "value"), error);
        schema = text ? json_tokener_parse(text) : NULL;
        if (!text || !is_usable(s, schema, error) || !is_still(s, error))
            return FALSE;
        s->schema = drv_etcd_number(kv, "mod_revision");
        return TRUE;
    }
    g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED,
                "the store %s is empty, although this cluster has kept its data there: was etcd made "
                "anew? Bring its data back, or a backup (drover restore); running moves go on",
                s->url.text);
    return FALSE;
}

static gint64 schema_revision(drv_etcd *s, GError **error)
{
    gint64 revision;

    g_mutex_lock(&s->lock);
    revision = s->schema || read_schema(s, error) ? s->schema : 0;
    g_mutex_unlock(&s->lock);
    return revision;
}

static void forget(drv_etcd *s, gint64 revision)
{
    g_mutex_lock(&s->lock);
    if (s->schema == revision)
        s->schema = 0;
    g_mutex_unlock(&s->lock);
}

static json_object *try_once(drv_etcd *s, gint64 schema, json_object *compare, json_object *success,
                             json_object *failure, gboolean twice, gboolean *unsure, GError **error)
{
    g_autofree char *key = schema_key(s);
    g_autoptr(json_object) body = json_object_new_object();
    json_object *compares = json_object_new_array(), *failures = json_object_new_array();

    json_object_array_add(compares, drv_etcd_compare(key, "mod_revision", "EQUAL", schema));
    for (gsize i = 0; compare && i < json_object_array_length(compare); i++)
        json_object_array_add(compares, json_object_get(json_object_array_get_idx(compare, i)));
    json_object_array_add(failures, drv_etcd_range(key));
    for (gsize i = 0; failure && i < json_object_array_length(failure); i++)
        json_object_array_add(failures, json_object_get(json_object_array_get_idx(failure, i)));
    json_object_object_add(body, "compare", compares);
    json_object_object_add(body, "success", json_object_get(success));
    json_object_object_add(body, "failure", failures);
    return drv_etcd_call(s->http, "kv/txn", body, twice, unsure, error);
}

json_object *drv_etcd_transact(drv_etcd *s, json_object *compare, json_object *success, json_object *failure,
                               gboolean twice, gboolean *unsure, gboolean *succeeded, GError **error)
{
    g_autoptr(json_object) own_compare G_GNUC_UNUSED = compare;
    g_autoptr(json_object) own_success G_GNUC_UNUSED = success;
    g_autoptr(json_object) own_failure G_GNUC_UNUSED = failure;

    for (int attempt = 0; attempt < 3; attempt++) {
        gint64 schema = schema_revision(s, error);
        g_autoptr(json_object) answer = NULL;
        json_object *kvs, *value;

        if (!schema)
            return NULL;
        answer = try_once(s, schema, compare, success, failure, twice, unsure, error);
        if (!answer)
            return NULL;
        *succeeded = json_object_object_get_ex(answer, "succeeded", &value) && json_object_get_boolean(value);
        kvs = *succeeded ? NULL : drv_etcd_kvs(answer, 0);
        if (*succeeded || (kvs && drv_etcd_number(json_object_array_get_idx(kvs, 0), "mod_revision") == schema))
            return g_steal_pointer(&answer);
        forget(s, schema); /* another one changed it: what is it now? */
    }
    g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE,
                "the store %s is being changed again and again: try again in some seconds", s->url.text);
    return NULL;
}

/* Writes the schema anew, with @state; all who have read the old one must read it again. */
static gboolean write_schema(drv_etcd *s, const char *state, const char *to, gint64 lease, GError **error)
{
    g_autofree char *key = schema_key(s);
    g_autofree char *claim = drv_etcd_key(s, "doc", DRV_CLAIM_BUCKET, DRV_ETCD_MOVING);
    g_autofree char *text = drv_etcd_state_text(DRV_ETCD_SCHEMA, s->cluster ?: "", state, to);
    g_autofree char *value = drv_etcd_value(text);
    g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, lease);
    json_object *compare = json_object_new_array(), *success = json_object_new_array();
    g_autoptr(json_object) answer = NULL;
    gboolean succeeded = FALSE;
    json_object *header;

    json_object_array_add(compare,
                          drv_etcd_object("key", claim, "target", "LEASE", "result", "EQUAL", "lease", id, NULL));
    json_object_array_add(success, drv_etcd_wrap("request_put", drv_etcd_object("key", key, "value", value, NULL)));
    answer = drv_etcd_transact(s, compare, success, NULL, FALSE, NULL, &succeeded, error);
    if (!answer)
        return FALSE;
    if (!succeeded) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                    "moving the store %s took too long, and others go on with it: try again", s->url.text);
        return FALSE;
    }
    json_object_object_get_ex(answer, "header", &header);
    g_mutex_lock(&s->lock);
    s->schema = drv_etcd_number(header, "revision");
    g_mutex_unlock(&s->lock);
    return TRUE;
}

gboolean drv_etcd_fence(drv_store *store, const char *who, gint64 *lease, GError **error)
{
    drv_etcd *s = (drv_etcd *)store;
    g_autofree char *holder = NULL;
    drv_claim claim = drv_etcd_claim(store, DRV_ETCD_MOVING, who, DRV_ETCD_MOVING_S, lease, &holder, error);

    if (claim == DRV_CLAIM_OTHER)
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "node %s is moving the store %s at this moment", holder,
                    s->url.text);
    if (claim != DRV_CLAIM_HELD)
        return FALSE;
    g_mutex_lock(&s->lock);
    s->moving = *lease;
    g_mutex_unlock(&s->lock);
    return write_schema(s, "here", "", *lease, error);
}

gboolean drv_etcd_leave(drv_store *store, const char *to, gint64 lease, GError **error)
{
    return write_schema((drv_etcd *)store, "left", to, lease, error);
}

char *drv_etcd_state_text(int version, const char *cluster, const char *state, const char *to)
{
    g_autoptr(json_object) schema = drv_etcd_object("cluster", cluster, "state", state, "to", to, NULL);

    json_object_object_add(schema, "version", json_object_new_int(version));
    return g_strdup(json_object_to_json_string_ext(schema, JSON_C_TO_STRING_PLAIN));
}
