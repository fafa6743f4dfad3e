/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of the fleet: nodes, VMs and jobs of every node, read at this moment. */
#include "run/internal.h"

#include "base/clock.h"
#include "model/fleet-json.h"
#include "model/local.h"
#include "run/fleet-plan.h"
#include "run/incoming.h"
#include "run/lead.h"
#include "run/maintenance.h"
#include "run/operations.h"
#include "run/outbox.h"
#include "run/plans.h"
#include "run/presence.h"
#include "run/rules.h"
#include "run/observe.h"

/* How long a node that takes connections may take before a list is shown without it. */
#define LIST_TIMEOUT_MS 10000
#define MOST_JOBS 200

static GPtrArray *members_of(drv_run *run)
{
    return run->peers->members(run->peers->data);
}

static json_object *own_answer(const char *path, gpointer data, GError **error)
{
    drv_run *run = data;

    return drv_run_peer(run, run->node, "GET", path + strlen("/v1/peer/"), NULL, error);
}

typedef void (*each_func)(const drv_member *member, json_object *answer, const GError *problem,
                          gpointer data);

static void ask_each(drv_run *run, const char *path, each_func each, gpointer data)
{
    g_autoptr(GPtrArray) members = members_of(run);
    g_autoptr(GPtrArray) problems = NULL;
    g_autoptr(GPtrArray) answers =
        drv_model_ask_all(run->peers, members, path, LIST_TIMEOUT_MS, own_answer, run, &problems);

    for (guint i = 0; i < members->len; i++)
        each(members->pdata[i], answers->pdata[i], problems->pdata[i], data);
}

static void add_node(const drv_member *member, json_object *answer, const GError *problem,
                     gpointer data)
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
static json_object *settings_if(drv_run *run, const char *leader, gboolean leader_is_up)
{
    return drv_maintenance_settings(run, leader && leader_is_up);
}

json_object *drv_run_nodes(drv_run *run, GError **error)
{
    json_object *object = json_object_new_object();
    json_object *nodes = json_object_new_array();
    g_autofree char *leader = drv_run_leader(run);
    g_autoptr(json_object) settings = NULL;
    gboolean up = FALSE;

    ask_each(run, "/v1/peer/node", add_node, nodes);
    for (gsize i = 0; i < json_object_array_length(nodes); i++) {
        json_object *node = json_object_array_get_idx(nodes, i);

        const char *name = drv_json_string(node, "name", "");
        gboolean answers = g_str_equal(drv_json_string(node, "state", ""), "up");

        up |= g_strcmp0(name, leader) == 0 && answers;
        drv_json_set_int(node, "since_ms", drv_presence_note(run, name, answers));
    }
    settings = settings_if(run, leader, up);
    for (gsize i = 0; i < json_object_array_length(nodes); i++)
        drv_maintenance_into(settings, json_object_array_get_idx(nodes, i));
    drv_json_set(object, "nodes", nodes);
    return object;
}

/* A list merged from all nodes, and who did not answer. */
typedef struct {
    const char *key;
    json_object *all;
    json_object *unreachable;
} merged;

static void add_list(const drv_member *member, json_object *answer, const GError *problem,
                     gpointer data)
{
    merged *into = data;
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

static merged merge(drv_run *run, const char *path, const char *key)
{
    merged into = {key, json_object_new_array(), json_object_new_array()};

    ask_each(run, path, add_list, &into);
    return into;
}

static json_object *merged_json(const merged *list)
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

static int by_creation(const void *a, const void *b)
{
    gint64 left = drv_json_int(*(json_object *const *)a, "created_ms", 0);
    gint64 right = drv_json_int(*(json_object *const *)b, "created_ms", 0);

    return left < right ? -1 : left > right;
}

json_object *drv_run_vms(drv_run *run, GError **error)
{
    merged list = merge(run, "/v1/peer/vms", "vms");

    /* A VM under way is one VM, at its source. */
    for (gsize i = json_object_array_length(list.all); i-- > 0;)
        if (drv_json_bool(json_object_array_get_idx(list.all, i), "arriving"))
            json_object_array_del_idx(list.all, i, 1);
    json_object_array_sort(list.all, by_name);
    return merged_json(&list);
}

/* Whether @node is among those that did not answer; so is one that is not known. */
static gboolean is_silent(json_object *unreachable, const char *node)
{
    for (gsize i = 0; node && i < json_object_array_length(unreachable); i++)
        if (g_str_equal(drv_json_string(json_object_array_get_idx(unreachable, i), "node", ""), node))
            return TRUE;
    return node == NULL;
}

static void append(json_object *list, json_object *more)
{
    for (gsize i = 0; i < drv_json_length(more); i++)
        json_object_array_add(list, json_object_get(json_object_array_get_idx(more, i)));
}

json_object *drv_run_jobs(drv_run *run, GError **error)
{
    merged list = merge(run, "/v1/peer/jobs", "jobs");
    g_autofree char *leader = drv_run_leader(run);
    g_autoptr(json_object) operations =
        is_silent(list.unreachable, leader) ? NULL : drv_operations_ask(run, "", NULL);

    drv_outbox_add_jobs(run, list.all, list.unreachable);
    append(list.all, drv_json_array(operations, "operations"));
    json_object_array_sort(list.all, by_creation);
    return merged_json(&list);
}

json_object *drv_run_links(drv_run *run, GError **error)
{
    merged list = merge(run, "/v1/peer/links", "links");

    return merged_json(&list);
}

json_object *drv_run_plans(drv_run *run, GError **error)
{
    drv_store *store = drv_run_cluster_store(run);
    merged list;
    g_autofree char *leader = drv_run_leader(run);
    g_autoptr(json_object) own = NULL;
    g_autoptr(json_object) plans = NULL;

    /* With etcd each node would name them all. */
    if (store && drv_store_is_shared(store)) {
        own = drv_run_local_plans(run, error);
        if (!own)
            return NULL;
        list = (merged){"plans", json_object_get(drv_json_array(own, "plans")), json_object_new_array()};
    } else {
        list = merge(run, "/v1/peer/plans", "plans");
    }
    plans = is_silent(list.unreachable, leader) ? NULL : drv_fleet_plans_ask(run, "GET", "", NULL, NULL);
    append(list.all, drv_json_array(plans, "plans"));
    json_object_array_sort(list.all, by_creation);
    return merged_json(&list);
}

json_object *drv_run_local_vms(drv_run *run, GError **error)
{
    json_object *vms = drv_model_local_vms(run->hyper, run->node, error);
    g_autoptr(json_object) kept = vms && run->content ? drv_content_list(run->content) : NULL;
    json_object *object;
    GHashTableIter iter;
    gpointer value;

    if (!vms)
        return NULL;
    for (gsize i = 0; i < json_object_array_length(vms); i++) {
        json_object *vm = json_object_array_get_idx(vms, i);

        if (drv_incoming_is_arriving(run, drv_json_string(vm, "uuid", "")))
            drv_json_set_bool(vm, "arriving", TRUE);
        drv_json_set(vm, "job", NULL);
        drv_observe_add(run, vm, kept ? drv_json_array(kept, "contents") : NULL);
    }
    g_mutex_lock(&run->lock);
    g_hash_table_iter_init(&iter, run->jobs);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        for (gsize i = 0; i < json_object_array_length(vms); i++) {
            json_object *vm = json_object_array_get_idx(vms, i);

            if (g_str_equal(drv_json_string(vm, "uuid", ""), drv_job_uuid(value)))
                drv_json_set_string(vm, "job", drv_job_id(value));
        }
    g_mutex_unlock(&run->lock);
    object = json_object_new_object();
    drv_json_set(object, "vms", vms);
    return object;
}

typedef struct {
    GHashTable *nodes; /* name → json_object (owned) or NULL */
    GHashTable *why;   /* name → char* */
    json_object *settings;
    drv_run *run;
    drv_fleet *fleet;
} gathering;

static void gather_node(const drv_member *member, json_object *answer, const GError *problem,
                        gpointer data)
{
    gathering *into = data;

    g_hash_table_insert(into->nodes, g_strdup(member->name), json_object_get(answer));
    if (problem)
        g_hash_table_insert(into->why, g_strdup(member->name), g_strdup(problem->message));
}

static void gather_vms(const drv_member *member, json_object *answer, const GError *problem,
                       gpointer data)
{
    gathering *into = data;
    const char *why = problem ? problem->message : g_hash_table_lookup(into->why, member->name);

    json_object *node = answer ? g_hash_table_lookup(into->nodes, member->name) : NULL;

    if (node)
        drv_maintenance_into(into->settings, node);
    drv_fleet_add(into->fleet, member->name, node, drv_json_array(answer, "vms"), why);
    drv_fleet_find_node(into->fleet, member->name)->since_ms =
        drv_presence_note(into->run, member->name, node != NULL);
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

drv_fleet *drv_run_fleet(drv_run *run, GError **error)
{
    g_autoptr(GHashTable) nodes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, put_json);
    g_autoptr(GHashTable) why = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autofree char *leader = drv_run_leader(run);
    g_autoptr(json_object) settings = NULL;
    gathering into = {nodes, why, NULL, run, drv_fleet_new()};

    ask_each(run, "/v1/peer/node", gather_node, &into);
    settings = settings_if(run, leader, leader && g_hash_table_lookup(nodes, leader) != NULL);
    into.settings = settings;
    ask_each(run, "/v1/peer/vms", gather_vms, &into);
    g_hash_table_foreach(nodes, add_links, into.fleet);
    into.fleet->taken_ms = drv_clock_real_ms();
    drv_rules_collect(run, into.fleet);
    return into.fleet;
}

json_object *drv_run_local_jobs(drv_run *run, GError **error)
{
    g_autoptr(GPtrArray) stored = drv_store_list(run->store, "job", MOST_JOBS, error);
    json_object *object, *jobs;

    if (!stored)
        return NULL;
    jobs = json_object_new_array();
    for (guint i = 0; i < stored->len; i++) {
        const drv_document *document = stored->pdata[i];
        g_autoptr(drv_job) live = drv_run_local_job(run, document->key);
        json_object *job = live ? drv_job_view(live)
                                : drv_json_parse(document->json, "a stored job", NULL);

        if (job)
            json_object_array_add(jobs, job);
    }
    object = json_object_new_object();
    drv_json_set(object, "jobs", jobs);
    return object;
}

drv_job *drv_run_local_job(drv_run *run, const char *id)
{
    drv_job *job;

    g_mutex_lock(&run->lock);
    job = g_hash_table_lookup(run->jobs, id);
    if (job)
        drv_job_ref(job);
    g_mutex_unlock(&run->lock);
    return job;
}

json_object *drv_run_local_job_view(drv_run *run, const char *id, gint64 after, guint wait_ms,
                                    GError **error)
{
    g_autoptr(drv_job) live = drv_run_local_job(run, id);
    g_autoptr(drv_document) document = NULL;
    g_autoptr(GError) problem = NULL;

    if (live)
        return drv_job_wait(live, after, MIN(wait_ms, 30000));
    document = drv_store_get(run->store, "job", id, &problem);
    if (document)
        return drv_json_parse(document->json, "a stored job", error);
    if (g_error_matches(problem, DRV_ERROR, DRV_ERROR_NOT_FOUND))
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND,
                    "there is no job %s; 'drover jobs' shows all", id);
    else
        g_propagate_error(error, g_steal_pointer(&problem));
    return NULL;
}

json_object *drv_run_job(drv_run *run, const char *id, gint64 after, guint wait_ms, GError **error)
{
    g_autofree char *owner = drv_run_owner(id, "job", error);
    g_autofree char *path = NULL;
    g_autoptr(GError) problem = NULL;
    json_object *job;

    if (!owner)
        return NULL;
    if (drv_operations_is_id(id))
        return drv_operations_ask_wait(run, id, after, wait_ms, error);
    wait_ms = MIN(wait_ms, 30000);
    path = g_strdup_printf("/v1/peer/jobs/%s?after=%" G_GINT64_FORMAT "&wait_ms=%u", id, after,
                           wait_ms);
    job = drv_run_call(run, owner, "GET", path, NULL, DRV_RUN_PEER_TIMEOUT_MS + wait_ms, &problem);
    if (!job)
        job = drv_outbox_recorded_job(run, id);
    if (!job)
        g_propagate_error(error, g_steal_pointer(&problem));
    return job;
}

json_object *drv_run_reconcile(drv_run *run, const char *id, GError **error)
{
    g_autofree char *owner = drv_run_owner(id, "job", error);
    g_autofree char *path = g_strdup_printf("/v1/peer/jobs/%s/reconcile", id);

    if (!owner)
        return NULL;
    if (drv_operations_is_id(id)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "%s is not one move but several: 'drover job %s' shows its jobs, which can be "
                    "reconciled one by one", id, id);
        return NULL;
    }
    return drv_run_act(run, owner, "POST", path, NULL, DRV_RUN_PEER_TIMEOUT_MS, error);
}

json_object *drv_run_cancel(drv_run *run, const char *id, GError **error)
{
    g_autofree char *owner = drv_run_owner(id, "job", error);
    g_autofree char *path = g_strdup_printf("/v1/peer/jobs/%s/cancel", id);

    if (!owner)
        return NULL;
    if (drv_operations_is_id(id))
        return drv_operations_ask_to(run, id, "cancel", error);
    return drv_run_act(run, owner, "POST", path, NULL, DRV_RUN_PEER_TIMEOUT_MS, error);
}

json_object *drv_run_job_act(drv_run *run, const char *id, const char *action, GError **error)
{
    if (g_str_equal(action, "cancel"))
        return drv_run_cancel(run, id, error);
    if (drv_operations_is_id(id))
        return drv_operations_ask_to(run, id, action, error);
    g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED,
                "%s is one move, which cannot be paused: its VM would go on changing its memory; 'drover "
                "cancel %s' ends it, and it can be begun again later",
                id, id);
    return NULL;
}

json_object *drv_run_node_settings_set(drv_run *run, const char *node, json_object *what, GError **error)
{
    g_autofree char *path = g_strconcat("/v1/peer/node-settings/", node, NULL);

    /* A node may say so of itself. */
    if (!g_str_equal(node, run->node) && !drv_run_must_lead(run, error))
        return NULL;
    return drv_run_ask_leader(run, "maintenance is kept", "PUT", path, what, DRV_RUN_PEER_TIMEOUT_MS,
                              error);
}

json_object *drv_run_node_settings(drv_run *run, const char *node, GError **error)
{
    g_autoptr(json_object) answer =
        drv_run_ask_leader(run, "maintenance is kept", "GET", "/v1/peer/node-settings", NULL,
                           DRV_RUN_PEER_TIMEOUT_MS, error);
    json_object *own = drv_json_object(drv_json_object(answer, "settings"), node);

    if (!answer)
        return NULL;
    return own ? json_object_get(own) : json_object_new_object();
}
