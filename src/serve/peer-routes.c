/* SPDX-License-Identifier: Apache-2.0 */
/* What other nodes may ask of this one: everything under /v1/peer/ but the API's own. */
#include "serve/peer-routes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/ids.h"
#include "cache/nodes.h"
#include "facts/facts.h"
#include "facts/first-look.h"
#include "facts/link-probe.h"
#include "facts/links.h"
#include "facts/predict.h"
#include "fleet/fleet-plans.h"
#include "fleet/maintenance.h"
#include "fleet/move-plans.h"
#include "fleet/operations-ask.h"
#include "fleet/policies.h"
#include "fleet/vm-goals.h"
#include "fleet/vm-owner.h"
#include "hyper/image-uses.h"
#include "model/local.h"
#include "move/jobs.h"
#include "move/source/lessons.h"
#include "move/source/migration.h"
#include "move/source/new-job.h"
#include "move/source/reconcile.h"
#include "move/target/session.h"
#include "node/context.h"
#include "node/leader.h"
#include "node/names.h"
#include "node/relay-memory.h"
#include "serve/serve.h"
#include "serve/view.h"

typedef struct {
    drv_context *ctx;
    const char *caller;
    const char *id;    /* the second element of the path, or NULL */
    const char *query; /* behind '?', or "" */
    json_object *body;
} peer_request;

typedef json_object *(*peer_func)(const peer_request *request, GError **error);

static gint64 query_int(const char *query, const char *key, gint64 otherwise)
{
    g_auto(GStrv) parts = g_strsplit(query, "&", 16);

    for (guint i = 0; parts[i]; i++) {
        gsize length = strlen(key);

        if (strncmp(parts[i], key, length) == 0 && parts[i][length] == '=')
            return g_ascii_strtoll(parts[i] + length + 1, NULL, 10);
    }
    return otherwise;
}

static json_object *get_node(const peer_request *request, GError **error)
{
    json_object *node = drv_model_local_node(request->ctx->hyper, request->ctx->node, error);
    g_autoptr(json_object) links = node ? drv_links_local(request->ctx, NULL) : NULL;

    if (node) {
        drv_json_set_int(node, "started_ms", request->ctx->started_ms);
        drv_reserve_tell(request->ctx, node);
    }
    if (links)
        drv_json_set(node, "links", json_object_get(drv_json_array(links, "links")));
    return node;
}

static json_object *get_vms(const peer_request *request, GError **error)
{
    return drv_serve_local_vms(request->ctx, error);
}

static json_object *get_vm(const peer_request *request, GError **error)
{
    return drv_model_local_vm(request->ctx->hyper, request->ctx->node, request->id, error);
}

static json_object *set_goals(const peer_request *request, GError **error)
{
    return drv_fleet_local_goals_set(request->ctx, request->id, request->body, error);
}

static json_object *clear_goals(const peer_request *request, GError **error)
{
    return drv_fleet_local_goals_clear(request->ctx, request->id, error);
}

static json_object *set_owner(const peer_request *request, GError **error)
{
    return drv_fleet_local_owner_set(request->ctx, request->id, request->body, error);
}

static json_object *get_content(const peer_request *request, GError **error)
{
    return drv_cache_local(request->ctx, error);
}

static json_object *set_content(const peer_request *request, GError **error)
{
    return drv_cache_local_set(request->ctx, request->body, error);
}

static json_object *prune_content(const peer_request *request, GError **error)
{
    return drv_cache_local_prune(request->ctx, request->body, error);
}

static json_object *get_policies(const peer_request *request, GError **error)
{
    return drv_policies_local(request->ctx, error);
}

static json_object *set_policy(const peer_request *request, GError **error)
{
    return drv_policies_local_set(request->ctx, request->id, request->body, error);
}

static json_object *delete_policy(const peer_request *request, GError **error)
{
    return drv_policies_local_delete(request->ctx, request->id, error);
}

static json_object *gather_facts(const peer_request *request, GError **error)
{
    return drv_facts_gather(request->ctx, request->id, request->body, error);
}

static json_object *answer_facts(const peer_request *request, GError **error)
{
    return drv_facts_answer(request->ctx, request->body, error);
}

static json_object *predict(const peer_request *request, GError **error)
{
    return drv_predict_step(request->ctx, request->body, error);
}

static json_object *take_learnt(const peer_request *request, GError **error)
{
    return drv_lessons_take(request->ctx, request->caller, request->body, error);
}

static json_object *get_links(const peer_request *request, GError **error)
{
    return drv_links_local(request->ctx, error);
}

static json_object *probe_link(const peer_request *request, GError **error)
{
    return drv_links_probe(request->ctx, drv_json_string(request->body, "to", ""), 0, error);
}

static json_object *answer_probe(const peer_request *request, GError **error)
{
    return drv_links_answer(request->ctx, request->body, error);
}

static json_object *forget_probe(const peer_request *request, GError **error)
{
    drv_links_forget(request->ctx, request->id);
    return json_object_new_object();
}

static json_object *get_plans(const peer_request *request, GError **error)
{
    return drv_fleet_local_plans(request->ctx, error);
}

static json_object *get_plan(const peer_request *request, GError **error)
{
    return drv_fleet_local_plan(request->ctx, request->id, error);
}

static json_object *apply_plan(const peer_request *request, GError **error)
{
    return drv_fleet_apply_local_plan(request->ctx, request->caller, request->id, request->body, error);
}

static json_object *get_clock(const peer_request *request, GError **error)
{
    json_object *object = json_object_new_object();

    drv_json_set_int(object, "clock_ms", drv_clock_real_ms());
    drv_json_set_bool(object, "looking", drv_first_look_goes_on(request->ctx));
    return object;
}

static json_object *get_jobs(const peer_request *request, GError **error)
{
    return drv_move_jobs(request->ctx, error);
}

static json_object *get_job(const peer_request *request, GError **error)
{
    return drv_move_job_view(request->ctx, request->id, query_int(request->query, "after", -1),
                             (guint)CLAMP(query_int(request->query, "wait_ms", 0), 0, 30000), error);
}

static json_object *cancel_job(const peer_request *request, GError **error)
{
    drv_context *ctx = request->ctx;
    g_autoptr(drv_job) job = drv_move_job(ctx, request->id);
    drv_outgoing *outgoing;

    if (!job) {
        g_autoptr(json_object) ended = drv_move_job_view(ctx, request->id, -1, 0, error);

        if (ended)
            g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "job %s is over already (%s)", request->id,
                        drv_json_string(ended, "state", "?"));
        return NULL;
    }
    if (!drv_job_cancel(job, error))
        return NULL;
    g_mutex_lock(&ctx->lock);
    outgoing = g_hash_table_lookup(ctx->outgoing, drv_job_uuid(job));
    if (outgoing)
        drv_outgoing_wake(outgoing);
    g_mutex_unlock(&ctx->lock);
    return drv_job_view(job);
}

static json_object *reconcile_job(const peer_request *request, GError **error)
{
    return drv_move_reconcile(request->ctx, request->id, error);
}

static json_object *new_job(const peer_request *request, GError **error)
{
    return drv_new_job(request->ctx, request->body, error);
}

static json_object *find_job(const peer_request *request, GError **error)
{
    return drv_new_job_find(request->ctx, request->id, error);
}

static json_object *get_settings(const peer_request *request, GError **error)
{
    return drv_maintenance_local(request->ctx, error);
}

static json_object *set_settings(const peer_request *request, GError **error)
{
    json_object *settings = drv_maintenance_local_set(request->ctx, request->id, request->body, error);

    if (settings && g_strcmp0(drv_json_string(request->body, "maintenance", NULL), "none") == 0)
        drv_operations_cancel_drains(request->ctx, request->id);
    return settings;
}

static json_object *make_fleet_plan(const peer_request *request, GError **error)
{
    return drv_fleet_plan_make(request->ctx, request->body, error);
}

static json_object *get_fleet_plans(const peer_request *request, GError **error)
{
    return drv_fleet_plans_local(request->ctx, error);
}

static json_object *get_fleet_plan(const peer_request *request, GError **error)
{
    return drv_fleet_plan_local(request->ctx, request->id, error);
}

static json_object *apply_fleet_plan(const peer_request *request, GError **error)
{
    return drv_fleet_plan_apply(request->ctx, request->id, error);
}

static json_object *get_operations(const peer_request *request, GError **error)
{
    return drv_operations_local(request->ctx, error);
}

static json_object *get_operation(const peer_request *request, GError **error)
{
    return drv_operations_local_view(request->ctx, request->id, query_int(request->query, "after", -1),
                                     (guint)CLAMP(query_int(request->query, "wait_ms", 0), 0, 30000), error);
}

static json_object *pause_operation(const peer_request *request, GError **error)
{
    return drv_operations_local_act(request->ctx, request->id, "pause", error);
}

static json_object *resume_operation(const peer_request *request, GError **error)
{
    return drv_operations_local_act(request->ctx, request->id, "resume", error);
}

static json_object *cancel_operation(const peer_request *request, GError **error)
{
    return drv_operations_local_act(request->ctx, request->id, "cancel", error);
}

static json_object *open_session(const peer_request *request, GError **error)
{
    return drv_incoming_open(request->ctx, request->caller, request->body, error);
}

static json_object *look_at_session(const peer_request *request, GError **error)
{
    return drv_incoming_look(request->ctx, request->id, request->body, error);
}

static json_object *done(gboolean ok)
{
    return ok ? json_object_new_object() : NULL;
}

static json_object *export_image(const peer_request *request, GError **error)
{
    return done(drv_incoming_export(request->ctx, request->caller, request->id, request->body, TRUE, error));
}

static json_object *unexport_image(const peer_request *request, GError **error)
{
    return done(drv_incoming_export(request->ctx, request->caller, request->id, request->body, FALSE, error));
}

static json_object *define_vm(const peer_request *request, GError **error)
{
    return done(drv_incoming_define(request->ctx, request->caller, request->id, request->body, error));
}

/* Whether what has come here is all of it: {"missing": [{"disk", "path"}…]}. */
static json_object *whole_vm(const peer_request *request, GError **error)
{
    g_autoptr(GPtrArray) missing = NULL;
    json_object *object, *list;
    drv_uuid uuid;

    if (!drv_door_uuid(&uuid, drv_json_string(request->body, "uuid", NULL), error))
        return NULL;
    missing = drv_hyper_missing_files(request->ctx->hyper, uuid.text, error);
    if (!missing)
        return NULL;
    object = json_object_new_object();
    list = json_object_new_array();
    for (guint i = 0; i < missing->len; i++) {
        const drv_missing_file *file = missing->pdata[i];
        json_object *entry = json_object_new_object();

        drv_json_set_string(entry, "disk", file->disk);
        drv_json_set_string(entry, "path", file->path);
        json_object_array_add(list, entry);
    }
    drv_json_set(object, "missing", list);
    return object;
}

static json_object *finish_session(const peer_request *request, GError **error)
{
    return drv_incoming_finish(request->ctx, request->id, request->body, error);
}

static json_object *abandon_session(const peer_request *request, GError **error)
{
    return drv_incoming_abandon(request->ctx, request->caller, request->id, error);
}

#define MEMBER DRV_PEER_MEMBER
#define LEADER DRV_PEER_LEADER
#define ITSELF DRV_PEER_ITSELF

static const struct {
    const char *method;
    const char *what; /* first element of the path */
    gboolean has_id;
    const char *action; /* third element, or NULL */
    gboolean has_body;
    drv_peer_who who;
    peer_func func;
} routes[] = {
    {"GET", "node", FALSE, NULL, FALSE, MEMBER, get_node},
    {"GET", "vms", FALSE, NULL, FALSE, MEMBER, get_vms},
    {"GET", "vms", TRUE, NULL, FALSE, MEMBER, get_vm},
    {"POST", "vms", TRUE, "facts", TRUE, MEMBER, gather_facts},
    {"PUT", "vms", TRUE, "goals", TRUE, LEADER, set_goals},
    {"DELETE", "vms", TRUE, "goals", FALSE, LEADER, clear_goals},
    {"PUT", "vms", TRUE, "owner", TRUE, LEADER, set_owner},
    {"POST", "vms", TRUE, "prediction", TRUE, MEMBER, predict},
    {"PUT", "vms", TRUE, "learnt", TRUE, MEMBER, take_learnt},
    {"GET", "links", FALSE, NULL, FALSE, MEMBER, get_links},
    {"POST", "links", FALSE, NULL, TRUE, LEADER, probe_link},
    {"POST", "probes", FALSE, NULL, TRUE, MEMBER, answer_probe},
    {"DELETE", "probes", TRUE, NULL, FALSE, MEMBER, forget_probe},
    {"GET", "content", FALSE, NULL, FALSE, MEMBER, get_content},
    {"PUT", "content", FALSE, NULL, TRUE, LEADER, set_content},
    {"POST", "content", FALSE, NULL, TRUE, LEADER, prune_content},
    {"GET", "policies", FALSE, NULL, FALSE, MEMBER, get_policies},
    {"PUT", "policies", TRUE, NULL, TRUE, LEADER, set_policy},
    {"DELETE", "policies", TRUE, NULL, FALSE, LEADER, delete_policy},
    {"POST", "facts", FALSE, NULL, TRUE, MEMBER, answer_facts},
    {"GET", "plans", FALSE, NULL, FALSE, MEMBER, get_plans},
    {"GET", "plans", TRUE, NULL, FALSE, MEMBER, get_plan},
    {"POST", "plans", TRUE, "apply", FALSE, MEMBER, apply_plan},
    {"GET", "clock", FALSE, NULL, FALSE, MEMBER, get_clock},
    {"GET", "jobs", FALSE, NULL, FALSE, MEMBER, get_jobs},
    {"POST", "jobs", FALSE, NULL, TRUE, LEADER, new_job},
    {"GET", "step-jobs", TRUE, NULL, FALSE, MEMBER, find_job},
    {"GET", "node-settings", FALSE, NULL, FALSE, MEMBER, get_settings},
    {"PUT", "node-settings", TRUE, NULL, TRUE, ITSELF, set_settings},
    {"POST", "fleet-plans", FALSE, NULL, TRUE, LEADER, make_fleet_plan},
    {"GET", "fleet-plans", FALSE, NULL, FALSE, MEMBER, get_fleet_plans},
    {"GET", "fleet-plans", TRUE, NULL, FALSE, MEMBER, get_fleet_plan},
    {"POST", "fleet-plans", TRUE, "apply", FALSE, LEADER, apply_fleet_plan},
    {"GET", "operations", FALSE, NULL, FALSE, MEMBER, get_operations},
    {"GET", "operations", TRUE, NULL, FALSE, MEMBER, get_operation},
    {"POST", "operations", TRUE, "pause", FALSE, LEADER, pause_operation},
    {"POST", "operations", TRUE, "resume", FALSE, LEADER, resume_operation},
    {"POST", "operations", TRUE, "cancel", FALSE, LEADER, cancel_operation},
    {"GET", "jobs", TRUE, NULL, FALSE, MEMBER, get_job},
    {"POST", "jobs", TRUE, "cancel", FALSE, LEADER, cancel_job},
    {"POST", "jobs", TRUE, "reconcile", FALSE, LEADER, reconcile_job},
    {"POST", "sessions", FALSE, NULL, TRUE, MEMBER, open_session},
    {"POST", "sessions", TRUE, "look", TRUE, MEMBER, look_at_session},
    {"POST", "sessions", TRUE, "export", TRUE, MEMBER, export_image},
    {"POST", "sessions", TRUE, "unexport", TRUE, MEMBER, unexport_image},
    {"POST", "sessions", TRUE, "define", TRUE, MEMBER, define_vm},
    {"POST", "sessions", TRUE, "whole", TRUE, MEMBER, whole_vm},
    {"POST", "sessions", TRUE, "finish", TRUE, MEMBER, finish_session},
    {"DELETE", "sessions", TRUE, NULL, FALSE, MEMBER, abandon_session},
};

/* Ids of plans and operations too, and keys of an operation's steps: "op-3.2.1". */
static int parse_key(const char *id, struct drv_error *err)
{
    gsize length = strlen(id);

    if (length <= DRV_JOB_NAME_MOST && *id != '.' &&
        strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == length)
        return 0;
    return drv_error_set(err, EINVAL, "there is nothing of that id");
}

/* The second element of a path, by the first. Return: 0 or -EINVAL. */
static int check_id(const char *what, const char *id, struct drv_error *err)
{
    drv_uuid uuid;
    drv_session_id session;
    drv_node_name node;

    if (g_str_equal(what, "vms"))
        return drv_uuid_parse(&uuid, id, err);
    if (g_str_equal(what, "sessions") || g_str_equal(what, "probes"))
        return drv_session_id_parse(&session, id, err);
    if (g_str_equal(what, "node-settings"))
        return drv_node_name_parse(&node, id, err);
    return parse_key(id, err);
}

char *drv_serve_peer_at(guint i, const char **method, drv_peer_who *who)
{
    if (i >= G_N_ELEMENTS(routes))
        return NULL;
    *method = routes[i].method;
    *who = routes[i].who;
    return g_strconcat(routes[i].what, routes[i].has_id ? "/*" : "", routes[i].action ? "/" : "",
                       routes[i].action ?: "", NULL);
}

/* A node that only passes on what somebody has asked for is not believed: operators are sent on themselves. */
static gboolean check_caller(drv_context *ctx, drv_peer_who who, const peer_request *request, GError **error)
{
    if (who == DRV_PEER_MEMBER || g_str_equal(request->caller, ctx->node) ||
        (who == DRV_PEER_ITSELF && !g_strcmp0(request->caller, request->id)) || drv_leader_is(ctx, request->caller))
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED,
                "node %s may not have this done by %s: only the node that leads may%s", request->caller, ctx->node,
                who == DRV_PEER_ITSELF ? ", and a node for itself" : "");
    return FALSE;
}

json_object *drv_serve_peer(drv_context *ctx, const char *caller, const char *method, const char *path,
                            json_object *body, GError **error)
{
    g_auto(GStrv) halves = g_strsplit(path, "?", 2);
    g_auto(GStrv) elements = g_strsplit(halves[0] ? halves[0] : "", "/", 4);
    guint count = g_strv_length(elements);
    peer_request request = {.ctx = ctx,
                            .caller = caller,
                            .id = count > 1 ? elements[1] : NULL,
                            .query = halves[0] && halves[1] ? halves[1] : "",
                            .body = body};
    struct drv_error problem = {0};

    for (guint i = 0; i < G_N_ELEMENTS(routes); i++) {
        guint wanted = 1 + (routes[i].has_id ? 1 : 0) + (routes[i].action ? 1 : 0);

        if (count != wanted || !g_str_equal(routes[i].method, method) || !g_str_equal(routes[i].what, elements[0]) ||
            (routes[i].action && !g_str_equal(routes[i].action, elements[2])))
            continue;
        if (!check_caller(ctx, routes[i].who, &request, error))
            return NULL;
        if (routes[i].has_body && !body) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "%s /v1/peer/%s needs a body", method, path);
            return NULL;
        }
        if (routes[i].has_id && check_id(routes[i].what, request.id, &problem) < 0) {
            drv_gerror_from(error, DRV_ERROR_INVALID, &problem);
            return NULL;
        }
        return routes[i].func(&request, error);
    }
    g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "there is no %s /v1/peer/%s", method, path);
    return NULL;
}
