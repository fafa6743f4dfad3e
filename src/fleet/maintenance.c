/* SPDX-License-Identifier: Apache-2.0 */
/* Maintenance of nodes: see maintenance.h. */
#include "fleet/maintenance.h"

#include "base/clock.h"
#include "node/leader.h"
#include "plan/placement.h"

#define BUCKET "node-settings"
#define TRIES 8 /* against others who change the same document */

/* ---- at the leader ---- */

json_object *drv_maintenance_local(drv_context *ctx, GError **error)
{
    drv_store *store = drv_leader_store(ctx, error);
    g_autoptr(GPtrArray) stored = store ? drv_store_list(store, BUCKET, 0, error) : NULL;
    json_object *answer, *settings;

    if (!stored)
        return NULL;
    settings = json_object_new_object();
    for (guint i = 0; i < stored->len; i++) {
        const drv_document *document = stored->pdata[i];
        json_object *one = drv_json_parse(document->json, "a node's settings", NULL);

        if (one)
            drv_json_set(settings, document->key, one);
    }
    answer = json_object_new_object();
    drv_json_set(answer, "settings", settings);
    return answer;
}

static gboolean is_member(drv_context *ctx, const char *node)
{
    g_autoptr(GPtrArray) members = ctx->peers->members(ctx->peers->data);

    for (guint i = 0; i < members->len; i++)
        if (g_str_equal(((const drv_member *)members->pdata[i])->name, node))
            return TRUE;
    return FALSE;
}

typedef gboolean (*settings_editor)(json_object *settings, gpointer data, GError **error);

/* Read, change, write if nobody else has meanwhile. Transfer full. */
static json_object *edit(drv_context *ctx, const char *node, settings_editor change, gpointer data, GError **error)
{
    drv_store *store = drv_leader_store(ctx, error);

    for (guint i = 0; store && i < TRIES; i++) {
        g_autoptr(GError) problem = NULL;
        g_autoptr(drv_document) document = drv_store_get(store, BUCKET, node, &problem);
        g_autoptr(json_object) settings = NULL;

        if (!document && !g_error_matches(problem, DRV_ERROR, DRV_ERROR_NOT_FOUND)) {
            g_propagate_error(error, g_steal_pointer(&problem));
            return NULL;
        }
        g_clear_error(&problem);
        settings = document ? drv_json_parse(document->json, "a node's settings", error) : json_object_new_object();
        if (!settings || !change(settings, data, error))
            return NULL;
        if (drv_store_put(store, BUCKET, node, json_object_to_json_string(settings),
                          document ? document->revision : DRV_REVISION_NEW, NULL, &problem))
            return g_steal_pointer(&settings);
        if (!g_error_matches(problem, DRV_ERROR, DRV_ERROR_CONFLICT) || i + 1 == TRIES) {
            g_propagate_error(error, g_steal_pointer(&problem));
            return NULL;
        }
    }
    return NULL;
}

/* Labels that are given are set, or removed by null; "site" the same. */
static gboolean set_labels(json_object *settings, json_object *what, GError **error)
{
    json_object *given = drv_json_object(what, "labels");
    json_object *labels = drv_json_object(settings, "labels");
    json_object *site = NULL;

    if (!drv_placement_check_labels(what, error))
        return FALSE;
    if (given && !labels) {
        labels = json_object_new_object();
        drv_json_set(settings, "labels", labels);
    }
    if (given) {
        json_object_object_foreach(given, key, value)
        {
            if (value)
                drv_json_set(labels, key, json_object_get(value));
            else
                json_object_object_del(labels, key);
        }
    }
    if (json_object_object_get_ex(what, "site", &site))
        drv_json_set(settings, "site", json_object_get(site));
    return TRUE;
}

static gboolean set_maintenance(json_object *settings, gpointer data, GError **error)
{
    static const char *const states[] = {"none", "draining", "drained", NULL};
    json_object *what = data;
    const char *state = drv_json_string(what, "maintenance", NULL);

    if (state && !g_strv_contains(states, state)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "maintenance is '%s'; it must be none, draining or drained",
                    state);
        return FALSE;
    }
    /* A drain has ended whose node is to take VMs again since. */
    if (g_strcmp0(state, "drained") == 0 && g_str_equal(drv_json_string(settings, "maintenance", "none"), "none"))
        return TRUE;
    if (state && g_strcmp0(drv_json_string(settings, "maintenance", "none"), state) != 0) {
        drv_json_set_string(settings, "maintenance", state);
        drv_json_set_int(settings, "since_ms", drv_clock_real_ms());
        drv_json_set_string(settings, "by", drv_json_string(what, "by", NULL));
    }
    if (!set_labels(settings, what, error))
        return FALSE;
    if (drv_json_bool(what, "forget"))
        drv_json_set(settings, "came_from", json_object_new_array());
    return TRUE;
}

json_object *drv_maintenance_local_set(drv_context *ctx, const char *node, json_object *what, GError **error)
{
    if (!is_member(ctx, node)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "there is no node %s; 'drover node list' shows all", node);
        return NULL;
    }
    return edit(ctx, node, set_maintenance, what, error);
}

typedef struct {
    json_object *step;
    gboolean left;
} passing;

static gboolean note_passing(json_object *settings, gpointer data, GError **error)
{
    const passing *vm = data;
    const char *uuid = drv_json_string(vm->step, "uuid", "");
    json_object *list = drv_json_array(settings, "came_from");

    if (!list) {
        list = json_object_new_array();
        drv_json_set(settings, "came_from", list);
    }
    for (gsize i = json_object_array_length(list); i-- > 0;)
        if (g_str_equal(drv_json_string(json_object_array_get_idx(list, i), "uuid", ""), uuid))
            json_object_array_del_idx(list, i, 1);
    if (vm->left) {
        json_object *entry = json_object_new_object();

        drv_json_set_string(entry, "uuid", uuid);
        drv_json_set_string(entry, "vm", drv_json_string(vm->step, "vm", NULL));
        drv_json_set_string(entry, "target", drv_json_string(vm->step, "target", NULL));
        drv_json_set_int(entry, "left_ms", drv_clock_real_ms());
        json_object_array_add(list, entry);
    }
    return TRUE;
}

gboolean drv_maintenance_came_from(drv_context *ctx, const char *node, json_object *step, gboolean left, GError **error)
{
    passing vm = {step, left};
    g_autoptr(json_object) settings = edit(ctx, node, note_passing, &vm, error);

    return settings != NULL;
}

/* ---- at any node ---- */

json_object *drv_maintenance_settings(drv_context *ctx, gboolean ask)
{
    g_autoptr(json_object) answer = ask ? drv_leader_ask(ctx, "maintenance is kept", "GET", "/v1/peer/node-settings",
                                                         NULL, DRV_NODE_PEER_TIMEOUT_MS, NULL)
                                        : NULL;
    json_object *settings = json_object_get(drv_json_object(answer, "settings"));

    g_mutex_lock(&ctx->lock);
    if (settings) {
        json_object_put(ctx->node_settings);
        ctx->node_settings = drv_json_copy(settings);
    } else {
        settings = drv_json_copy(ctx->node_settings);
    }
    g_mutex_unlock(&ctx->lock);
    return settings ? settings : json_object_new_object();
}

void drv_maintenance_into(json_object *settings, json_object *node)
{
    static const char *const copied[] = {"labels", "site"};
    json_object *own = drv_json_object(settings, drv_json_string(node, "name", ""));

    drv_json_set_string(node, "maintenance", drv_json_string(own, "maintenance", "none"));
    if (!g_str_equal(drv_json_string(own, "maintenance", "none"), "none"))
        drv_json_set_int(node, "maintenance_since_ms", drv_json_int(own, "since_ms", 0));
    for (guint i = 0; i < G_N_ELEMENTS(copied); i++)
        if (json_object_object_get(own, copied[i]))
            drv_json_set(node, copied[i], drv_json_copy(json_object_object_get(own, copied[i])));
}
