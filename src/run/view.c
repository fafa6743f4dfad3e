/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of the fleet: nodes, VMs and jobs of every node, read at this moment. */
#include "run/internal.h"

#include "model/local.h"
#include "run/incoming.h"
#include "run/lead.h"
#include "run/outbox.h"
#include "run/plans.h"

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
    if (problem)
        drv_json_set_string(node, "error", problem->message);
    json_object_array_add(data, node);
}

json_object *drv_run_nodes(drv_run *run, GError **error)
{
    json_object *object = json_object_new_object();
    json_object *nodes = json_object_new_array();

    ask_each(run, "/v1/peer/node", add_node, nodes);
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

json_object *drv_run_jobs(drv_run *run, GError **error)
{
    merged list = merge(run, "/v1/peer/jobs", "jobs");

    drv_outbox_add_jobs(run, list.all, list.unreachable);
    json_object_array_sort(list.all, by_creation);
    return merged_json(&list);
}

json_object *drv_run_plans(drv_run *run, GError **error)
{
    drv_store *store = drv_run_cluster_store(run);
    merged list;

    /* With etcd each node would name them all. */
    if (store && drv_store_is_shared(store))
        return drv_run_local_plans(run, error);
    list = merge(run, "/v1/peer/plans", "plans");
    json_object_array_sort(list.all, by_creation);
    return merged_json(&list);
}

json_object *drv_run_local_vms(drv_run *run, GError **error)
{
    json_object *vms = drv_model_local_vms(run->hyper, run->node, error);
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

    drv_fleet_add(into->fleet, member->name,
                  answer ? g_hash_table_lookup(into->nodes, member->name) : NULL,
                  drv_json_array(answer, "vms"), why);
}

static void put_json(gpointer object)
{
    json_object_put(object);
}

drv_fleet *drv_run_fleet(drv_run *run, GError **error)
{
    g_autoptr(GHashTable) nodes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, put_json);
    g_autoptr(GHashTable) why = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    gathering into = {nodes, why, drv_fleet_new()};

    ask_each(run, "/v1/peer/node", gather_node, &into);
    ask_each(run, "/v1/peer/vms", gather_vms, &into);
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
    return drv_run_call(run, owner, "POST", path, NULL, DRV_RUN_PEER_TIMEOUT_MS, error);
}

json_object *drv_run_cancel(drv_run *run, const char *id, GError **error)
{
    g_autofree char *owner = drv_run_owner(id, "job", error);
    g_autofree char *path = g_strdup_printf("/v1/peer/jobs/%s/cancel", id);

    if (!owner)
        return NULL;
    return drv_run_call(run, owner, "POST", path, NULL, DRV_RUN_PEER_TIMEOUT_MS, error);
}
