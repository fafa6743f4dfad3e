/* SPDX-License-Identifier: Apache-2.0 */
/* The fleet at this moment, asked of every node: see snapshot.h. */
#include "fleet/snapshot.h"

#include "base/clock.h"
#include "base/log.h"
#include "facts/first-look.h"
#include "fleet/maintenance.h"
#include "fleet/rules.h"
#include "model/ask.h"
#include "model/fleet-json.h"
#include "node/leader.h"
#include "node/presence.h"

/* How long a node that takes connections may take before a list is shown without it. */
#define LIST_TIMEOUT_MS 10000
#define ASK_MS 2000 /* whether a lost node still looks: its droverd says so at once */
#define AGAIN_MS 500

static GPtrArray *members_of(drv_context *ctx)
{
    return ctx->peers->members(ctx->peers->data);
}

static json_object *own_answer(const char *path, gpointer data, GError **error)
{
    drv_context *ctx = data;

    return ctx->answer(ctx, ctx->node, "GET", path + strlen("/v1/peer/"), NULL, error);
}

void drv_snapshot_each(drv_context *ctx, const char *path, drv_each_func each, gpointer data)
{
    g_autoptr(GPtrArray) members = members_of(ctx);
    g_autoptr(GPtrArray) problems = NULL;
    g_autoptr(GPtrArray) answers =
        drv_model_ask_all(ctx->peers, members, path, LIST_TIMEOUT_MS, own_answer, ctx, &problems);

    for (guint i = 0; i < members->len; i++)
        each(members->pdata[i], answers->pdata[i], problems->pdata[i], data);
}

static void add_node(const drv_member *member, json_object *answer, const GError *problem, gpointer data)
{
    json_object *node = answer ? json_object_get(answer) : json_object_new_object();

    drv_json_set_string(node, "name", member->name);
    drv_json_set_string(node, "address", member->address);
    drv_json_set_int(node, "port", member->port);
    drv_json_set_string(node, "state", answer ? "up" : "lost");
    json_object_object_del(node, "links");
    if (problem)
        drv_json_set_string(node, "error", problem->message);
    json_object_array_add(data, node);
}

/* A leader that has not answered a moment ago is not asked again. */
static json_object *settings_if(drv_context *ctx, const char *leader, gboolean leader_is_up)
{
    return drv_maintenance_settings(ctx, leader && leader_is_up);
}

json_object *drv_snapshot_nodes(drv_context *ctx, GError **error)
{
    json_object *object = json_object_new_object();
    json_object *nodes = json_object_new_array();
    g_autofree char *leader = drv_leader_name(ctx);
    g_autoptr(json_object) settings = NULL;
    gboolean up = FALSE;

    drv_snapshot_each(ctx, "/v1/peer/node", add_node, nodes);
    for (gsize i = 0; i < json_object_array_length(nodes); i++) {
        json_object *node = json_object_array_get_idx(nodes, i);

        const char *name = drv_json_string(node, "name", "");
        gboolean answers = g_str_equal(drv_json_string(node, "state", ""), "up");

        up |= g_strcmp0(name, leader) == 0 && answers;
        drv_json_set_int(node, "since_ms", drv_presence_note(ctx, name, answers));
    }
    settings = settings_if(ctx, leader, up);
    for (gsize i = 0; i < json_object_array_length(nodes); i++)
        drv_maintenance_into(settings, json_object_array_get_idx(nodes, i));
    drv_json_set(object, "nodes", nodes);
    return object;
}

static void add_list(const drv_member *member, json_object *answer, const GError *problem, gpointer data)
{
    drv_merged *into = data;
    json_object *list = drv_json_array(answer, into->key);

    for (gsize i = 0; i < drv_json_length(list); i++)
        json_object_array_add(into->all, json_object_get(json_object_array_get_idx(list, i)));
    if (problem) {
        json_object *entry = json_object_new_object();

        drv_json_set_string(entry, "node", member->name);
        drv_json_set_string(entry, "message", problem->message);
        json_object_array_add(into->unreachable, entry);
    }
}

drv_merged drv_snapshot_merge(drv_context *ctx, const char *path, const char *key)
{
    drv_merged into = {key, json_object_new_array(), json_object_new_array()};

    drv_snapshot_each(ctx, path, add_list, &into);
    return into;
}

json_object *drv_snapshot_merged_json(const drv_merged *list)
{
    json_object *object = json_object_new_object();

    drv_json_set(object, list->key, list->all);
    drv_json_set(object, "unreachable", list->unreachable);
    return object;
}

static int by_name(const void *a, const void *b)
{
    return g_strcmp0(drv_json_string(*(json_object *const *)a, "name", ""),
                     drv_json_string(*(json_object *const *)b, "name", ""));
}

json_object *drv_snapshot_vms(drv_context *ctx, GError **error)
{
    drv_merged list = drv_snapshot_merge(ctx, "/v1/peer/vms", "vms");

    /* A VM under way is one VM, at its source. */
    for (gsize i = json_object_array_length(list.all); i-- > 0;)
        if (drv_json_bool(json_object_array_get_idx(list.all, i), "arriving"))
            json_object_array_del_idx(list.all, i, 1);
    json_object_array_sort(list.all, by_name);
    return drv_snapshot_merged_json(&list);
}

typedef struct {
    GHashTable *nodes; /* name → json_object (owned) or NULL */
    GHashTable *why;   /* name → char* */
    json_object *settings;
    drv_context *ctx;
    drv_fleet *fleet;
} gathering;

static void gather_node(const drv_member *member, json_object *answer, const GError *problem, gpointer data)
{
    gathering *into = data;

    g_hash_table_insert(into->nodes, g_strdup(member->name), json_object_get(answer));
    if (problem)
        g_hash_table_insert(into->why, g_strdup(member->name), g_strdup(problem->message));
}

static void gather_vms(const drv_member *member, json_object *answer, const GError *problem, gpointer data)
{
    gathering *into = data;
    const char *why = problem ? problem->message : g_hash_table_lookup(into->why, member->name);

    json_object *node = answer ? g_hash_table_lookup(into->nodes, member->name) : NULL;

    if (node)
        drv_maintenance_into(into->settings, node);
    drv_fleet_add(into->fleet, member->name, node, drv_json_array(answer, "vms"), why);
    drv_fleet_find_node(into->fleet, member->name)->since_ms = drv_presence_note(into->ctx, member->name, node != NULL);
}

/* Of a node to the others, when all are in the fleet. */
static void add_links(gpointer name, gpointer node, gpointer fleet)
{
    drv_fleet_links_from_json(fleet, drv_json_array(node, "links"));
}

static void put_json(gpointer object)
{
    json_object_put(object);
}

drv_fleet *drv_snapshot_fleet(drv_context *ctx, GError **error)
{
    g_autoptr(GHashTable) nodes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, put_json);
    g_autoptr(GHashTable) why = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autofree char *leader = drv_leader_name(ctx);
    g_autoptr(json_object) settings = NULL;
    gathering into = {nodes, why, NULL, ctx, drv_fleet_new()};

    drv_snapshot_each(ctx, "/v1/peer/node", gather_node, &into);
    settings = settings_if(ctx, leader, leader && g_hash_table_lookup(nodes, leader) != NULL);
    into.settings = settings;
    drv_snapshot_each(ctx, "/v1/peer/vms", gather_vms, &into);
    g_hash_table_foreach(nodes, add_links, into.fleet);
    into.fleet->taken_ms = drv_clock_real_ms();
    drv_rules_collect(ctx, into.fleet);
    return into.fleet;
}

/* Whether @node, which has not answered what it has, says that it still looks. */
static gboolean still_looks(drv_context *ctx, const char *node)
{
    g_autoptr(json_object) answer = drv_node_call(ctx, node, "GET", "/v1/peer/clock", NULL, ASK_MS, NULL);

    return drv_json_bool(answer, "looking");
}

/* A node that is waited for, or NULL. */
static drv_fleet_node *who_looks(drv_context *ctx, const drv_fleet *fleet)
{
    for (guint i = 0; i < fleet->nodes->len; i++) {
        drv_fleet_node *node = fleet->nodes->pdata[i];

        if (!node->up && still_looks(ctx, node->name))
            return node;
    }
    return NULL;
}

drv_fleet *drv_snapshot_settled_fleet(drv_context *ctx, GError **error)
{
    gint64 until_ms = drv_clock_ms() + DRV_FIRST_LOOK_MS;

    for (gboolean said = FALSE;; said = TRUE) {
        drv_fleet *fleet = drv_snapshot_fleet(ctx, error);
        drv_fleet_node *node = fleet ? who_looks(ctx, fleet) : NULL;

        if (!node)
            return fleet;
        if (!said)
            drv_log_notice("waiting for %s: libvirt there looks at its QEMU for the first time", node->name);
        if (drv_clock_ms() >= until_ms || !drv_node_pause(ctx, AGAIN_MS)) {
            node->error = drv_fleet_text(fleet, "libvirt there looks at its QEMU for the first time, which takes "
                                                "long while the host is busy: try again when 'drover node list' "
                                                "shows it as up");
            return fleet;
        }
        drv_fleet_free(fleet);
    }
}
