/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for a change in etcd, and leases: what is held ends with the lease, by etcd's clock. */
#include "store/etcd-claim.h"

#include "base/log.h"
#include "store/etcd-json.h"
#include "store/etcd-schema.h"
#include "store/etcd-state.h"

/* ---- watching ---- */

typedef struct {
    gint64 revision; /* of what was seen */
} seen;

static gboolean on_result(json_object *result, gpointer data)
{
    seen *state = data;
    json_object *events, *header;

    /* What we wait for has been compacted away: that much may have changed. */
    if (drv_etcd_number(result, "compact_revision")) {
        state->revision = drv_etcd_number(result, "compact_revision");
        return FALSE;
    }
    if (!json_object_object_get_ex(result, "events", &events) || !json_object_object_get_ex(result, "header", &header))
        return TRUE; /* it has begun */
    state->revision = drv_etcd_number(header, "revision");
    return FALSE;
}

/* etcd's own revision, by a read that all its members agree on. */
static gint64 current(drv_etcd *s, GError **error)
{
    json_object *reads = json_object_new_array();
    gboolean succeeded = FALSE;
    g_autofree char *key = drv_etcd_key(s, "schema", NULL, NULL);
    g_autoptr(json_object) answer = NULL;
    json_object *header;

    json_object_array_add(reads, drv_etcd_range(key));
    answer = drv_etcd_transact(s, NULL, reads, NULL, TRUE, NULL, &succeeded, error);
    return answer && json_object_object_get_ex(answer, "header", &header) ? drv_etcd_number(header, "revision") : -1;
}

gint64 drv_etcd_wait(drv_store *store, const char *bucket, gint64 after, guint wait_ms, GError **error)
{
    drv_etcd *s = (drv_etcd *)store;
    g_autoptr(json_object) body = NULL;
    json_object *range;
    seen state = {0};

    if (after < 0)
        return current(s, error);
    range = drv_etcd_range_all(s, "doc", bucket);
    json_object_object_add(range, "start_revision", json_object_new_int64(after + 1));
    body = drv_etcd_wrap("create_request", range);
    if (!drv_etcd_watch(s->http, body, wait_ms, on_result, &state, error))
        return -1;
    return MAX(after, state.revision);
}

void drv_etcd_stop_waiting(drv_store *store)
{
    drv_etcd_stop_watching(((drv_etcd *)store)->http);
}

/* ---- claims ---- */

/* Whether the lease is good for its whole time again. */
static gboolean keep_alive(drv_etcd *s, gint64 lease, gboolean *kept, GError **error)
{
    g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, lease);
    g_autoptr(json_object) body = drv_etcd_object("ID", id, NULL);
    g_autoptr(json_object) answer = drv_etcd_call(s->http, "lease/keepalive", body, TRUE, NULL, error);
    json_object *result;

    *kept = answer && json_object_object_get_ex(answer, "result", &result) && drv_etcd_number(result, "TTL") > 0;
    return answer != NULL;
}

static gint64 grant(drv_etcd *s, guint ttl_s, GError **error)
{
    g_autoptr(json_object) body = drv_etcd_wrap("TTL", json_object_new_int64(ttl_s));
    g_autoptr(json_object) answer = drv_etcd_call(s->http, "lease/grant", body, TRUE, NULL, error);

    return answer ? drv_etcd_number(answer, "ID") : 0;
}

void drv_etcd_release(drv_store *store, gint64 lease)
{
    g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, lease);
    g_autoptr(json_object) body = drv_etcd_object("ID", id, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) answer = drv_etcd_call(((drv_etcd *)store)->http, "lease/revoke", body, TRUE, NULL, &error);

    if (!answer)
        drv_log_debug("a lease could not be given back, it runs out by itself: %s", error->message);
}

/* Who holds it, and by which lease (0: nobody). FALSE and @error on failure. */
static gboolean look(drv_etcd *s, const char *name, gint64 *lease, char **holder, GError **error)
{
    g_autofree char *key = drv_etcd_key(s, "doc", DRV_CLAIM_BUCKET, name);
    json_object *reads = json_object_new_array();
    g_autoptr(json_object) answer = NULL;
    g_autoptr(json_object) document = NULL;
    g_autofree char *text = NULL;
    gboolean succeeded = FALSE;
    json_object *kvs;

    *lease = 0;
    json_object_array_add(reads, drv_etcd_range(key));
    answer = drv_etcd_transact(s, NULL, reads, NULL, TRUE, NULL, &succeeded, error);
    if (!answer)
        return FALSE;
    kvs = drv_etcd_kvs(answer, 0);
    if (!kvs)
        return TRUE;
    *lease = drv_etcd_number(json_object_array_get_idx(kvs, 0), "lease");
    text = drv_etcd_text(drv_etcd_string(json_object_array_get_idx(kvs, 0), "value"), NULL);
    document = text ? json_tokener_parse(text) : NULL;
    *holder = g_strdup(drv_etcd_string(document, "holder"));
    return TRUE;
}

/* Nobody holds it: try to. Who was faster is found by look(). */
static gboolean seize(drv_etcd *s, const char *name, const char *who, gint64 lease, GError **error)
{
    g_autofree char *key = drv_etcd_key(s, "doc", DRV_CLAIM_BUCKET, name);
    g_autoptr(json_object) document = drv_etcd_object("holder", who, NULL);
    g_autofree char *value = drv_etcd_value(json_object_to_json_string(document));
    g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, lease);
    json_object *compare = json_object_new_array(), *success = json_object_new_array();
    g_autoptr(json_object) answer = NULL;
    gboolean succeeded = FALSE;

    json_object_array_add(compare, drv_etcd_compare(key, "create_revision", "EQUAL", 0));
    json_object_array_add(success,
                          drv_etcd_wrap("request_put", drv_etcd_object("key", key, "value", value, "lease", id, NULL)));
    answer = drv_etcd_transact(s, compare, success, NULL, TRUE, NULL, &succeeded, error);
    return answer != NULL;
}

drv_claim drv_etcd_claim(drv_store *store, const char *name, const char *who, guint ttl_s, gint64 *lease, char **holder,
                         GError **error)
{
    drv_etcd *s = (drv_etcd *)store;
    gint64 holding;
    gboolean kept;

    if (*lease) {
        if (!keep_alive(s, *lease, &kept, error))
            return DRV_CLAIM_FAILED;
        if (!kept)
            *lease = 0;
    }
    if (!look(s, name, &holding, holder, error))
        return DRV_CLAIM_FAILED;
    if (!*holder) {
        if (!*lease && !(*lease = grant(s, ttl_s, error)))
            return DRV_CLAIM_FAILED;
        if (!seize(s, name, who, *lease, error) || !look(s, name, &holding, holder, error))
            return DRV_CLAIM_FAILED;
    }
    if (*holder && *lease && holding == *lease)
        return DRV_CLAIM_HELD;
    /* A lease without anything is not kept up: it is asked for when there is something to hold. */
    if (*lease)
        drv_etcd_release(store, *lease);
    *lease = 0;
    return DRV_CLAIM_OTHER;
}
