/* SPDX-License-Identifier: Apache-2.0 */
/* The table of routes and its small handlers: see routes.h; docs/rest.rst is its description. */
#include "api/routes.h"

#include <string.h>

#include "api/store-calls.h"
#include "base/clock.h"
#include "cache/nodes.h"
#include "cluster/authority.h"
#include "cluster/backup.h"
#include "cluster/following.h"
#include "cluster/operators.h"
#include "cluster/tokens.h"
#include "drv-config.h"
#include "facts/predict.h"
#include "fleet/links.h"
#include "fleet/move-plans.h"
#include "fleet/policies.h"
#include "fleet/snapshot.h"
#include "fleet/vm-goals.h"
#include "fleet/vm-owner.h"
#include "model/json.h"
#include "model/working.h"
#include "serve/peer-routes.h"
#include "serve/view.h"

#define WAIT_MOST_MS 30000
#define WAIT_SLICE_MS 1000 /* how soon a long poll notices that droverd ends */

typedef json_object *(*handler)(drv_request *request, GError **error);

static json_object *version(drv_request *request, GError **error)
{
    const drv_identity *identity = drv_cluster_identity(request->context->cluster);
    json_object *answer = json_object_new_object();

    drv_json_set_string(answer, "version", DRV_VERSION);
    drv_json_set_string(answer, "node", identity->node);
    drv_json_set_string(answer, "cluster", identity->cluster);
    return answer;
}

/* What the executor knows of the nodes, and which of them is the founder. */
static json_object *nodes(drv_request *request, GError **error)
{
    const drv_identity *identity = drv_cluster_identity(request->context->cluster);
    json_object *answer = drv_snapshot_nodes(request->context->run, error);
    json_object *list = answer ? json_object_object_get(answer, "nodes") : NULL;

    for (gsize i = 0; json_object_is_type(list, json_type_array) && i < json_object_array_length(list); i++) {
        json_object *node = json_object_array_get_idx(list, i);

        json_object_object_add(
            node, "founder",
            json_object_new_boolean(!g_strcmp0(drv_json_string(node, "name", NULL), identity->founder)));
    }
    return answer;
}

static json_object *node_revoke(drv_request *request, GError **error)
{
    return drv_authority_revoke(request->context->cluster, request->part, error);
}

static json_object *node_maintenance(drv_request *request, GError **error)
{
    return drv_serve_node_settings(request->context->run, request->part, error);
}

/* Root on a node that is no operator does this with his own node only. */
static gboolean own_or_operator(drv_request *request, const char *node, GError **error)
{
    const drv_identity *identity = drv_cluster_identity(request->context->cluster);

    if (request->roles & (DRV_MAY(DRV_CALLER_OPERATOR) | DRV_MAY(DRV_CALLER_TOKEN)) || !g_strcmp0(node, identity->node))
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED,
                "root on node %s may do this for %s only, and for everything else only an operator may: run "
                "it on a node that has the authority's key (the founder), or with an operator's token "
                "(DROVER_TOKEN; 'drover token create --operator NAME' makes one there)",
                identity->node, identity->node);
    return FALSE;
}

static json_object *node_maintenance_set(drv_request *request, GError **error)
{
    g_autoptr(json_object) what = drv_json_copy(request->body);

    if (!own_or_operator(request, request->part, error))
        return NULL;
    drv_json_set_string(what, "by", request->caller);
    return drv_serve_node_settings_set(request->context->run, request->part, what, error);
}

static json_object *vms(drv_request *request, GError **error)
{
    return drv_snapshot_vms(request->context->run, error);
}

static json_object *vm_goals(drv_request *request, GError **error)
{
    return drv_fleet_vm_goals(request->context->run, request->part, error);
}

static json_object *vm_goals_set(drv_request *request, GError **error)
{
    return drv_fleet_vm_goals_set(request->context->run, request->part, request->body, error);
}

static json_object *vm_goals_clear(drv_request *request, GError **error)
{
    return drv_fleet_vm_goals_clear(request->context->run, request->part, error);
}

static json_object *vm_owner(drv_request *request, GError **error)
{
    return drv_fleet_vm_owner(request->context->run, request->part, error);
}

static json_object *vm_owner_set(drv_request *request, GError **error)
{
    return drv_fleet_vm_owner_set(request->context->run, request->part, request->body, error);
}

static json_object *content(drv_request *request, GError **error)
{
    return drv_cache_contents(request->context->run, error);
}

static json_object *content_set(drv_request *request, GError **error)
{
    if (!own_or_operator(request, drv_json_string(request->body, "node", NULL), error))
        return NULL;
    return drv_cache_contents_set(request->context->run, request->body, error);
}

static json_object *content_prune(drv_request *request, GError **error)
{
    if (!own_or_operator(request, drv_json_string(request->body, "node", NULL), error))
        return NULL;
    return drv_cache_contents_prune(request->context->run, request->body, error);
}

static json_object *policies(drv_request *request, GError **error)
{
    return drv_fleet_policies(request->context->run, error);
}

static json_object *policy(drv_request *request, GError **error)
{
    return drv_fleet_policy(request->context->run, request->part, error);
}

static json_object *policy_set(drv_request *request, GError **error)
{
    return drv_fleet_policy_set(request->context->run, request->part, request->body, error);
}

static json_object *policy_delete(drv_request *request, GError **error)
{
    const char *force = request->query(request->query_data, "force");

    return drv_fleet_policy_delete(request->context->run, request->part, g_strcmp0(force, "1") == 0, error);
}

/* What has ids as "plan-3" and "op-3" is of the whole fleet; "h1-p3" and "h1-3" are of one VM. */
static gboolean one_move_or_operator(drv_request *request, GError **error)
{
    gboolean whole = g_str_has_prefix(request->part, "op-") || g_str_has_prefix(request->part, "plan-");

    return !whole || own_or_operator(request, NULL, error);
}

static json_object *plan_make(drv_request *request, GError **error)
{
    return drv_fleet_make_plan(request->context->run, request->body, error);
}

static json_object *plans(drv_request *request, GError **error)
{
    return drv_serve_plans(request->context->run, error);
}

static json_object *plan_get(drv_request *request, GError **error)
{
    return drv_fleet_get_plan(request->context->run, request->part, error);
}

static json_object *prediction_make(drv_request *request, GError **error)
{
    return drv_facts_predict(request->context->run, request->body, error);
}

static json_object *plan_apply(drv_request *request, GError **error)
{
    if (!one_move_or_operator(request, error))
        return NULL;
    return drv_fleet_apply_plan(request->context->run, request->part, error);
}

static json_object *jobs(drv_request *request, GError **error)
{
    return drv_serve_jobs(request->context->run, error);
}

/* A number in the query, @fallback if it is not there. */
static gboolean query_number(drv_request *request, const char *key, gint64 most, gint64 fallback, gint64 *value,
                             GError **error)
{
    const char *text = request->query(request->query_data, key);

    *value = fallback;
    if (!text || g_ascii_string_to_signed(text, 10, 0, most, value, NULL))
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "\"%s\" must be a number from 0 to %" G_GINT64_FORMAT, key, most);
    return FALSE;
}

/* A long poll in slices, so that droverd can end without waiting for it. */
static json_object *job_get(drv_request *request, GError **error)
{
    gint64 after, wait_ms, until_ms;

    if (!query_number(request, "after", G_MAXINT64, -1, &after, error) ||
        !query_number(request, "wait_ms", WAIT_MOST_MS, 0, &wait_ms, error))
        return NULL;
    until_ms = drv_clock_ms() + wait_ms;
    for (;;) {
        gint64 left_ms = MAX(0, until_ms - drv_clock_ms());
        json_object *job =
            drv_serve_job(request->context->run, request->part, after, (guint)MIN(left_ms, WAIT_SLICE_MS), error);

        if (!job || left_ms <= WAIT_SLICE_MS || g_atomic_int_get(request->context->stopping) ||
            drv_json_int(job, "revision", 0) > after)
            return job;
        json_object_put(job);
    }
}

static json_object *links(drv_request *request, GError **error)
{
    return drv_serve_links(request->context->run, error);
}

static json_object *link_probe(drv_request *request, GError **error)
{
    return drv_fleet_probe_link(request->context->run, request->body, error);
}

static json_object *accuracy(drv_request *request, GError **error)
{
    return drv_serve_accuracy(request->context->run, error);
}

static json_object *job_cancel(drv_request *request, GError **error)
{
    if (!one_move_or_operator(request, error))
        return NULL;
    return drv_serve_cancel(request->context->run, request->part, error);
}

static json_object *job_pause(drv_request *request, GError **error)
{
    if (!one_move_or_operator(request, error))
        return NULL;
    return drv_serve_job_act(request->context->run, request->part, "pause", error);
}

static json_object *job_resume(drv_request *request, GError **error)
{
    if (!one_move_or_operator(request, error))
        return NULL;
    return drv_serve_job_act(request->context->run, request->part, "resume", error);
}

static json_object *job_reconcile(drv_request *request, GError **error)
{
    return drv_serve_reconcile(request->context->run, request->part, error);
}

static json_object *token_make(drv_request *request, GError **error)
{
    return drv_authority_token_create(request->context->cluster, request->body, request->token, error);
}

static json_object *tokens(drv_request *request, GError **error)
{
    return drv_authority_tokens(request->context->cluster, error);
}

static json_object *token_delete(drv_request *request, GError **error)
{
    return drv_authority_token_delete(request->context->cluster, request->part, error);
}

static json_object *operator_revoke(drv_request *request, GError **error)
{
    return drv_operators_revoke(request->context->cluster, request->part, error);
}

/* What another request of the caller is waiting for. */
static json_object *request_get(drv_request *request, GError **error)
{
    g_autofree char *waits_for = drv_working_of(request->context->working, request->part);
    json_object *object;

    if (!waits_for) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "no request of that id is being worked on");
        return NULL;
    }
    object = json_object_new_object();
    drv_json_set_string(object, "waits_for", waits_for);
    return object;
}

static json_object *join(drv_request *request, GError **error)
{
    return drv_authority_join(request->context->cluster, request->body, request->address, error);
}

static json_object *membership_get(drv_request *request, GError **error)
{
    return drv_cluster_document(request->context->cluster);
}

static json_object *membership_put(drv_request *request, GError **error)
{
    return drv_cluster_hear(request->context->cluster, request->caller, request->body, error) ? json_object_new_object()
                                                                                              : NULL;
}

static json_object *keeping_get(drv_request *request, GError **error)
{
    return drv_cluster_keeping(request->context->cluster);
}

static json_object *store_status(drv_request *request, GError **error)
{
    return drv_store_calls_status(request->context->cluster, request->context->run, error);
}

static json_object *store_backup(drv_request *request, GError **error)
{
    return drv_backup_collect(request->context->cluster, error);
}

static json_object *store_move(drv_request *request, GError **error)
{
    return drv_store_calls_move(request->context->cluster, request->body, error);
}

static json_object *authority_give(drv_request *request, GError **error)
{
    return drv_authority_give(request->context->cluster, request->part, error);
}

static json_object *authority_put(drv_request *request, GError **error)
{
    return drv_authority_take(request->context->cluster, request->body, error);
}

static json_object *peer(drv_request *request, GError **error)
{
    g_autofree char *path = g_strconcat(request->part, request->raw_query[0] ? "?" : "", request->raw_query, NULL);

    return drv_serve_peer(request->context->run, request->caller, request->method, path, request->body, error);
}

/*
 * Who may: roles, none of which includes another. Nodes read what they could gather themselves; they do
 * nothing in an operator's name. Root on a node does with his own node what the handler says.
 */
#define OPERATOR DRV_MAY(DRV_CALLER_OPERATOR) /* what would outlive a token */
#define OPERATORS (OPERATOR | DRV_MAY(DRV_CALLER_TOKEN))
#define PEOPLE (OPERATORS | DRV_MAY(DRV_CALLER_SELF))
#define NODES (DRV_MAY(DRV_CALLER_NODE) | DRV_MAY(DRV_CALLER_SELF))
#define MEMBERS (PEOPLE | NODES)
#define EVERYBODY (MEMBERS | DRV_MAY(DRV_CALLER_NOBODY))

/* "*" stands for one part of a path, "**" for all that follows. The first that matches is it. */
static const struct {
    const char *method; /* NULL: any */
    const char *pattern;
    guint who;
    gboolean body; /* an object is needed */
    handler handle;
} routes[] = {
    {"GET", "/v1/version", MEMBERS, FALSE, version},
    {"GET", "/v1/nodes", MEMBERS, FALSE, nodes},
    {"GET", "/v1/nodes/*/maintenance", MEMBERS, FALSE, node_maintenance},
    {"PUT", "/v1/nodes/*/maintenance", PEOPLE, TRUE, node_maintenance_set},
    {"GET", "/v1/nodes/*/settings", MEMBERS, FALSE, node_maintenance},
    {"PUT", "/v1/nodes/*/settings", PEOPLE, TRUE, node_maintenance_set},
    {"DELETE", "/v1/nodes/*", OPERATORS, FALSE, node_revoke},
    {"GET", "/v1/store", MEMBERS, FALSE, store_status},
    {"GET", "/v1/store/backup", PEOPLE, FALSE, store_backup},
    {"POST", "/v1/store/move", OPERATOR, TRUE, store_move},
    {"POST", "/v1/nodes/*/authority", OPERATOR, FALSE, authority_give},
    {"GET", "/v1/vms", MEMBERS, FALSE, vms},
    {"GET", "/v1/vms/*/goals", MEMBERS, FALSE, vm_goals},
    {"PUT", "/v1/vms/*/goals", PEOPLE, TRUE, vm_goals_set},
    {"DELETE", "/v1/vms/*/goals", PEOPLE, FALSE, vm_goals_clear},
    {"GET", "/v1/vms/*/owner", MEMBERS, FALSE, vm_owner},
    {"PUT", "/v1/vms/*/owner", PEOPLE, TRUE, vm_owner_set},
    {"GET", "/v1/content", MEMBERS, FALSE, content},
    {"PUT", "/v1/content", PEOPLE, TRUE, content_set},
    {"POST", "/v1/content/prune", PEOPLE, TRUE, content_prune},
    {"GET", "/v1/policies", MEMBERS, FALSE, policies},
    {"GET", "/v1/policies/*", MEMBERS, FALSE, policy},
    {"PUT", "/v1/policies/*", OPERATORS, TRUE, policy_set},
    {"DELETE", "/v1/policies/*", OPERATORS, FALSE, policy_delete},
    {"GET", "/v1/requests/*", MEMBERS, FALSE, request_get},
    {"POST", "/v1/plans", PEOPLE, TRUE, plan_make},
    {"GET", "/v1/plans", MEMBERS, FALSE, plans},
    {"GET", "/v1/plans/*", MEMBERS, FALSE, plan_get},
    {"POST", "/v1/plans/*/apply", PEOPLE, FALSE, plan_apply},
    {"POST", "/v1/predictions", PEOPLE, TRUE, prediction_make},
    {"GET", "/v1/jobs", MEMBERS, FALSE, jobs},
    {"GET", "/v1/jobs/*", MEMBERS, FALSE, job_get},
    {"POST", "/v1/jobs/*/cancel", PEOPLE, FALSE, job_cancel},
    {"POST", "/v1/jobs/*/pause", PEOPLE, FALSE, job_pause},
    {"POST", "/v1/jobs/*/resume", PEOPLE, FALSE, job_resume},
    {"POST", "/v1/jobs/*/reconcile", PEOPLE, FALSE, job_reconcile},
    {"GET", DRV_ROUTES_EVENTS, MEMBERS, FALSE, NULL},
    {"GET", "/v1/links", MEMBERS, FALSE, links},
    {"POST", "/v1/links/probe", PEOPLE, TRUE, link_probe},
    {"GET", "/v1/accuracy", MEMBERS, FALSE, accuracy},
    {"POST", "/v1/tokens", OPERATORS, TRUE, token_make},
    {"GET", "/v1/tokens", OPERATORS, FALSE, tokens},
    {"DELETE", "/v1/tokens/*", OPERATORS, FALSE, token_delete},
    {"DELETE", "/v1/operators/*", OPERATORS, FALSE, operator_revoke},
    {"POST", "/v1/join", EVERYBODY, TRUE, join},
    {"GET", "/v1/peer/membership", NODES, FALSE, membership_get},
    {"PUT", "/v1/peer/membership", NODES, TRUE, membership_put},
    {"GET", "/v1/peer/store", NODES, FALSE, keeping_get},
    {"PUT", "/v1/peer/authority", NODES, TRUE, authority_put},
    {NULL, "/v1/peer/**", NODES, FALSE, peer},
};

static gboolean matches(const char *pattern, const char *path, char **part)
{
    const char *star = strchr(pattern, '*'), *rest;
    gsize before = star ? (gsize)(star - pattern) : 0, length;

    if (!star)
        return g_str_equal(pattern, path);
    if (strncmp(pattern, path, before))
        return FALSE;
    rest = path + before;
    length = star[1] == '*' ? strlen(rest) : strcspn(rest, "/");
    if (!length || !g_str_equal(rest + length, star[1] == '*' ? "" : star + 1))
        return FALSE;
    *part = g_strndup(rest, length);
    return TRUE;
}

/* The first route that matches, or -1 with *@path_known. @part: receives what stands for the star, owned. */
static gssize find(const char *method, const char *path, gboolean *path_known, char **part)
{
    *path_known = FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(routes); i++) {
        g_clear_pointer(part, g_free);
        if (!matches(routes[i].pattern, path, part))
            continue;
        *path_known = TRUE;
        if (!routes[i].method || g_str_equal(routes[i].method, method))
            return (gssize)i;
    }
    return -1;
}

const char *drv_routes_at(guint i, const char **method, guint *who)
{
    if (i >= G_N_ELEMENTS(routes))
        return NULL;
    *method = routes[i].method;
    *who = routes[i].who;
    return routes[i].pattern;
}

gboolean drv_routes_open(const char *method, const char *path)
{
    g_autofree char *part = NULL;
    gboolean path_known;
    gssize i = find(method, path, &path_known, &part);

    return i >= 0 && routes[i].who & DRV_MAY(DRV_CALLER_NOBODY);
}

static gboolean check_who(guint who, guint roles, GError **error)
{
    if (who & roles)
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED, "%s",
                !(who & ~NODES) ? "only nodes of the cluster may ask this"
                : who == OPERATOR && (roles & OPERATORS)
                    ? "a token cannot do this, because what comes of it would outlive the token: run it as root "
                      "on a node that has the authority's key, or with an operator's certificate"
                    : "only an operator may do this, and a node is none: run it as root on a node that has the "
                      "authority's key (the founder), or with an operator's token (DROVER_TOKEN; 'drover token "
                      "create --operator NAME' makes one there)");
    return FALSE;
}

gboolean drv_routes_may(const char *method, const char *path, guint roles, GError **error)
{
    g_autofree char *part = NULL;
    gboolean path_known;
    gssize i = find(method, path, &path_known, &part);

    return i < 0 || check_who(routes[i].who, roles, error);
}

guint drv_routes_status(const GError *error)
{
    static const guint statuses[] = {
        [DRV_ERROR_FAILED] = 500,      [DRV_ERROR_INVALID] = 400,   [DRV_ERROR_NOT_FOUND] = 404,
        [DRV_ERROR_CONFLICT] = 409,    [DRV_ERROR_REFUSED] = 422,   [DRV_ERROR_DENIED] = 403,
        [DRV_ERROR_UNREACHABLE] = 502, [DRV_ERROR_CANCELLED] = 409,
    };
    G_STATIC_ASSERT(G_N_ELEMENTS(statuses) == DRV_ERROR_CODES);

    if (error->domain != DRV_ERROR || error->code < 0 || error->code >= DRV_ERROR_CODES)
        return 500;
    return statuses[error->code];
}

json_object *drv_routes_error_body(const GError *error)
{
    json_object *body = json_object_new_object(), *inner = json_object_new_object();
    g_autofree char *message = g_utf8_make_valid(error->message, -1);

    drv_json_set_string(inner, "code",
                        drv_error_code_name(error->domain == DRV_ERROR ? error->code : DRV_ERROR_FAILED));
    drv_json_set_string(inner, "message", message);
    json_object_object_add(body, "error", inner);
    return body;
}

/* The answer that sends an operator to the node whose name @failure is. */
static void send_elsewhere(drv_request *request, const GError *failure, guint *status, GError **error)
{
    g_autofree char *url = drv_cluster_url(request->context->cluster, failure->message);

    if (!url) {
        *status = 502;
        g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE,
                    "this is done by node %s, which is not known here: ask again", failure->message);
        return;
    }
    *status = 307;
    request->location = g_strconcat(url, request->path, request->raw_query[0] ? "?" : "", request->raw_query, NULL);
    g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED, "this is done by node %s: ask there, at %s", failure->message,
                url);
}

json_object *drv_routes_answer(drv_request *request, guint *status, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autofree char *part = NULL;
    json_object *answer;
    gboolean path_known;
    gssize i = find(request->method, request->path, &path_known, &part);

    if (i < 0 || !routes[i].handle) {
        *status = path_known ? 405 : 404;
        g_set_error(error, DRV_ERROR, path_known ? DRV_ERROR_INVALID : DRV_ERROR_NOT_FOUND,
                    path_known ? "%s is not possible on %.128s" : "%.0s%.128s is not known here", request->method,
                    request->path);
        return NULL;
    }
    if (!check_who(routes[i].who, request->roles, error)) {
        *status = 403;
        return NULL;
    }
    if (routes[i].body && !request->body) {
        *status = 400;
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "a JSON object is needed as the body");
        return NULL;
    }
    request->part = part;
    answer = routes[i].handle(request, &failure);
    request->part = NULL;
    if (answer)
        *status = 200;
    else if (failure->domain == DRV_ELSEWHERE)
        send_elsewhere(request, failure, status, error);
    else {
        *status = drv_routes_status(failure);
        g_propagate_error(error, g_steal_pointer(&failure));
    }
    return answer;
}
