/* SPDX-License-Identifier: Apache-2.0 */
/* A membership document, taken apart so that it can be asked: see cluster-inside.h. */
#include "cluster/snapshot.h"

#include <string.h>

#include "cluster/signed.h"
#include "cluster/token.h"
#include "model/json.h"

static void member_free(gpointer data)
{
    drv_snapshot_member *one = data;

    g_free(one->name);
    g_free(one->address);
    g_free(one->fingerprint);
    g_free(one->pin);
    g_free(one);
}

static void operator_token_free(gpointer data)
{
    drv_snapshot_token *one = data;

    g_free(one->hash);
    g_free(one->by);
    g_free(one);
}

void drv_snapshot_unref(drv_snapshot *view)
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

static json_object *array_of(json_object *document, const char *key)
{
    json_object *array = json_object_object_get(document, key);

    return json_object_is_type(array, json_type_array) ? array : NULL;
}

static gboolean read_members(drv_snapshot *view, const drv_identity *identity, json_object *array)
{
    for (gsize i = 0; i < json_object_array_length(array); i++) {
        json_object *from = json_object_array_get_idx(array, i);
        const char *name = drv_json_string(from, "name", NULL);
        const char *address = drv_json_string(from, "address", NULL);
        const char *fingerprint = drv_json_string(from, "fingerprint", NULL);
        const char *pin = drv_json_string(from, "pin", NULL);
        gint64 port = drv_json_int(from, "port", 0);
        drv_snapshot_member *one;

        if (!drv_node_name_check(name, NULL) || !drv_address_check(address, NULL) || port < 1 || port > 65535 ||
            !fingerprint || strlen(fingerprint) != DRV_FINGERPRINT_TEXT || !pin || !g_str_has_prefix(pin, "sha256//") ||
            strchr(pin, ';'))
            return FALSE;
        one = g_new0(drv_snapshot_member, 1);
        one->name = g_strdup(name);
        one->address = g_strdup(address);
        one->fingerprint = g_strdup(fingerprint);
        one->pin = g_strdup(pin);
        one->port = (guint16)port;
        one->signs = g_str_equal(name, identity->founder) ||
                     (drv_json_bool(from, "signs") && drv_signed_signer_is(identity, from));
        g_hash_table_replace(view->members, one->name, one);
    }
    return TRUE;
}

static gboolean read_revoked(drv_snapshot *view, json_object *array)
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

/* Tokens that the authority has not signed are none. */
static gboolean read_operators(drv_snapshot *view, const drv_identity *identity, json_object *array)
{
    for (gsize i = 0; i < json_object_array_length(array); i++) {
        json_object *from = json_object_array_get_idx(array, i);
        const char *id = drv_json_string(from, "id", NULL);
        const char *hash = drv_json_string(from, "hash", NULL);
        drv_snapshot_token *one;

        if (!id || !hash)
            return FALSE;
        if (!drv_signed_token_is(identity, "operator", from)) {
            view->unsigned_tokens++;
            continue;
        }
        one = g_new0(drv_snapshot_token, 1);
        one->hash = g_strdup(hash);
        one->by = g_strdup(drv_json_string(from, "by", NULL));
        one->expires_ms = drv_json_int(from, "expires_ms", 0);
        g_hash_table_insert(view->operators, g_strdup(id), one);
    }
    return TRUE;
}

drv_snapshot *drv_snapshot_read(const drv_identity *identity, json_object *document, GError **error)
{
    g_autoptr(drv_snapshot) view = g_new0(drv_snapshot, 1);
    const char *cluster = drv_json_string(document, "cluster", NULL);
    const char *founder = drv_json_string(document, "founder", NULL);

    view->refs = 1;
    view->members = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, member_free);
    view->revoked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    view->operators = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, operator_token_free);
    view->version = drv_json_int(document, "version", 0);
    if (cluster && !g_str_equal(cluster, identity->cluster)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "the membership is that of another cluster (%.64s, not %s)",
                    cluster, identity->cluster);
        return NULL;
    }
    if (!cluster || g_strcmp0(founder, identity->founder) || view->version < 1 || !array_of(document, "members") ||
        !read_members(view, identity, array_of(document, "members")) || !array_of(document, "revoked") ||
        !read_revoked(view, array_of(document, "revoked")) || !array_of(document, "operators") ||
        !read_operators(view, identity, array_of(document, "operators"))) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "this is not a membership document");
        return NULL;
    }
    view->where = g_strdup(drv_json_string(document, "store", NULL));
    view->text = g_strdup(json_object_to_json_string_ext(document, JSON_C_TO_STRING_PLAIN));
    return g_steal_pointer(&view);
}
