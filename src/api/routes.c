/* SPDX-License-Identifier: Apache-2.0 */
/* The table of routes and its small handlers: see routes.h; docs/rest.rst is its description. */
#include "api/routes.h"

#include <string.h>

#include "api/authority.h"
#include "api/backup.h"
#include "api/store-calls.h"
#include "model/json.h"
#include "base/clock.h"
#include "drv-config.h"

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
    json_object *answer = drv_run_nodes(request->context->run, error);
    json_object *list = answer ? json_object_object_get(answer, "nodes") : NULL;

    for (gsize i = 0; json_object_is_type(list, json_type_array) && i < json_object_array_length(list);
         i++) {
        json_object *node = json_object_array_get_idx(list, i);

        json_object_object_add(node, "founder",
                               json_object_new_boolean(!g_strcmp0(drv_json_string(node, "name", NULL),
                                                                  identity->founder)));
    }
    return answer;
}

static json_object *node_revoke(drv_request *request, GError **error)
{
    return drv_authority_revoke(request->context->cluster, request->part, error);
}

static json_object *node_maintenance(drv_request *request, GError **error)
{
    return drv_run_node_settings(request->context->run, request->part, error);
}

static json_object *node_maintenance_set(drv_request *request, GError **error)
{
    g_autoptr(json_object) what = drv_json_copy(request->body);

    drv_json_set_string(what, "by", request->caller);
    return drv_run_node_settings_set(request->context->run, request->part, what, error);
}

static json_object *vms(drv_request *request, GError **error)
{
    return drv_run_vms(request->context->run, error);
}

static json_object *vm_goals(drv_request *request, GError **error)
{
    return drv_run_vm_goals(request->context->run, request->part, error);
}

static json_object *vm_goals_set(drv_request *request, GError **error)
{
    return drv_run_vm_goals_set(request->context->run, request->part, request->body, error);
}

static json_object *vm_goals_clear(drv_request *request, GError **error)
{
    return drv_run_vm_goals_clear(request->context->run, request->part, error);
}

static json_object *vm_owner(drv_request *request, GError **error)
{
    return drv_run_vm_owner(request->context->run, request->part, error);
}

static json_object *vm_owner_set(drv_request *request, GError **error)
{
    return drv_run_vm_owner_set(request->context->run, request->part, request->body, error);
}

static json_object *content(drv_request *request, GError **error)
{
    return drv_run_contents(request->context->run, error);
}

static json_object *content_set(drv_request *request, GError **error)
{
    return drv_run_contents_set(request->context->run, request->body, error);
}

static json_object *content_prune(drv_request *request, GError **error)
{
    return drv_run_contents_prune(request->context->run, request->body, error);
}

static json_object *policies(drv_request *request, GError **error)
{
    return drv_run_policies(request->context->run, error);
}

static json_object *policy(drv_request *request, GError **error)
{
    return drv_run_policy(request->context->run, request->part, error);
}

static json_object *policy_set(drv_request *request, GError **error)
{
    return drv_run_policy_set(request->context->run, request->part, request->body, error);
}

static json_object *policy_delete(drv_request *request, GError **error)
{
    const char *force = request->query(request->query_data, "force");

    return drv_run_policy_delete(request->context->run, request->part, g_strcmp0(force, "1") == 0,
                                 error);
}

static json_object *plan_make(drv_request *request, GError **error)
{
    return drv_run_plan(request->context->run, request->body, error);
}

static json_object *plans(drv_request *request, GError **error)
{
    return drv_run_plans(request->context->run, error);
}

static json_object *plan_get(drv_request *request, GError **error)
{
    return drv_run_plan_get(request->context->run, request->part, error);
}

static json_object *plan_apply(drv_request *request, GError **error)
{
    return drv_run_apply(request->context->run, request->part, error);
}

static json_object *jobs(drv_request *request, GError **error)
{
    return drv_run_jobs(request->context->run, error);
}

/* A number in the query, @fallback if it is not there. */
static gboolean query_number(drv_request *request, const char *key, gint64 most, gint64 fallback,
                             gint64 *value, GError **error)
{
    const char *text = request->query(request->query_data, key);

    *value = fallback;
    if (!text || g_ascii_string_to_signed(text, 10, 0, most, value, NULL))
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                "\"%s\" must be a number from 0 to %" G_GINT64_FORMAT, key, most);
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
        json_object *job = drv_run_job(request->context->run, request->part, after,
                                       (guint)MIN(left_ms, WAIT_SLICE_MS), error);

        if (!job || left_ms <= WAIT_SLICE_MS || g_atomic_int_get(request->context->stopping) ||
            drv_json_int(job, "revision", 0) > after)
            return job;
        json_object_put(job);
    }
}

static json_object *links(drv_request *request, GError **error)
{
    return drv_run_links(request->context->run, error);
}

static json_object *link_probe(drv_request *request, GError **error)
{
    return drv_run_links_probe(request->context->run, request->body, error);
}

static json_object *accuracy(drv_request *request, GError **error)
{
    return drv_run_accuracy(request->context->run, error);
}

static json_object *job_cancel(drv_request *request, GError **error)
{
    return drv_run_cancel(request->context->run, request->part, error);
}

static json_object *job_pause(drv_request *request, GError **error)
{
    return drv_run_job_act(request->context->run, request->part, "pause", error);
}

static json_object *job_resume(drv_request *request, GError **error)
{
    return drv_run_job_act(request->context->run, request->part, "resume", error);
}

static json_object *job_reconcile(drv_request *request, GError **error)
{
    return drv_run_reconcile(request->context->run, request->part, error);
}

static json_object *token_make(drv_request *request, GError **error)
{
    return drv_authority_token_create(request->context->cluster, request->body, error);
}

static json_object *tokens(drv_request *request, GError **error)
{
    return drv_authority_tokens(request->context->cluster, error);
}

static json_object *token_delete(drv_request *request, GError **error)
{
    return drv_authority_token_delete(request->context->cluster, request->part, error);
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
    return drv_cluster_hear(request->context->cluster, request->caller, request->body, error)
               ? json_object_new_object()
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
    g_autofree char *path = g_strconcat(request->part, request->raw_query[0] ? "?" : "",
                                        request->raw_query, NULL);

    return drv_run_peer(request->context->run, request->caller, request->method, path,
                        request->body, error);
}

/* "*" stands for one part of a path, "**" for all that follows. The first that matches is it. */
static const struct {
    const char *method; /* NULL: any */
    const char *pattern;
    drv_caller_role least;
    gboolean body; /* an object is needed */
    handler handle;
} routes[] = {
    {"GET", "/v1/version", DRV_CALLER_OPERATOR, FALSE, version},
    {"GET", "/v1/nodes", DRV_CALLER_OPERATOR, FALSE, nodes},
    {"GET", "/v1/nodes/*/maintenance", DRV_CALLER_OPERATOR, FALSE, node_maintenance},
    {"PUT", "/v1/nodes/*/maintenance", DRV_CALLER_OPERATOR, TRUE, node_maintenance_set},
    {"GET", "/v1/nodes/*/settings", DRV_CALLER_OPERATOR, FALSE, node_maintenance},
    {"PUT", "/v1/nodes/*/settings", DRV_CALLER_OPERATOR, TRUE, node_maintenance_set},
    {"DELETE", "/v1/nodes/*", DRV_CALLER_OPERATOR, FALSE, node_revoke},
    {"GET", "/v1/store", DRV_CALLER_OPERATOR, FALSE, store_status},
    {"GET", "/v1/store/backup", DRV_CALLER_OPERATOR, FALSE, store_backup},
    {"POST", "/v1/store/move", DRV_CALLER_OPERATOR, TRUE, store_move},
    {"POST", "/v1/nodes/*/authority", DRV_CALLER_OPERATOR, FALSE, authority_give},
    {"GET", "/v1/vms", DRV_CALLER_OPERATOR, FALSE, vms},
    {"GET", "/v1/vms/*/goals", DRV_CALLER_OPERATOR, FALSE, vm_goals},
    {"PUT", "/v1/vms/*/goals", DRV_CALLER_OPERATOR, TRUE, vm_goals_set},
    {"DELETE", "/v1/vms/*/goals", DRV_CALLER_OPERATOR, FALSE, vm_goals_clear},
    {"GET", "/v1/vms/*/owner", DRV_CALLER_OPERATOR, FALSE, vm_owner},
    {"PUT", "/v1/vms/*/owner", DRV_CALLER_OPERATOR, TRUE, vm_owner_set},
    {"GET", "/v1/content", DRV_CALLER_OPERATOR, FALSE, content},
    {"PUT", "/v1/content", DRV_CALLER_OPERATOR, TRUE, content_set},
    {"POST", "/v1/content/prune", DRV_CALLER_OPERATOR, TRUE, content_prune},
    {"GET", "/v1/policies", DRV_CALLER_OPERATOR, FALSE, policies},
    {"GET", "/v1/policies/*", DRV_CALLER_OPERATOR, FALSE, policy},
    {"PUT", "/v1/policies/*", DRV_CALLER_OPERATOR, TRUE, policy_set},
    {"DELETE", "/v1/policies/*", DRV_CALLER_OPERATOR, FALSE, policy_delete},
    {"POST", "/v1/plans", DRV_CALLER_OPERATOR, TRUE, plan_make},
    {"GET", "/v1/plans", DRV_CALLER_OPERATOR, FALSE, plans},
    {"GET", "/v1/plans/*", DRV_CALLER_OPERATOR, FALSE, plan_get},
    {"POST", "/v1/plans/*/apply", DRV_CALLER_OPERATOR, FALSE, plan_apply},
    {"GET", "/v1/jobs", DRV_CALLER_OPERATOR, FALSE, jobs},
    {"GET", "/v1/jobs/*", DRV_CALLER_OPERATOR, FALSE, job_get},
    {"POST", "/v1/jobs/*/cancel", DRV_CALLER_OPERATOR, FALSE, job_cancel},
    {"POST", "/v1/jobs/*/pause", DRV_CALLER_OPERATOR, FALSE, job_pause},
    {"POST", "/v1/jobs/*/resume", DRV_CALLER_OPERATOR, FALSE, job_resume},
    {"POST", "/v1/jobs/*/reconcile", DRV_CALLER_OPERATOR, FALSE, job_reconcile},
    {"GET", "/v1/links", DRV_CALLER_OPERATOR, FALSE, links},
    {"POST", "/v1/links/probe", DRV_CALLER_OPERATOR, TRUE, link_probe},
    {"GET", "/v1/accuracy", DRV_CALLER_OPERATOR, FALSE, accuracy},
    {"POST", "/v1/tokens", DRV_CALLER_OPERATOR, TRUE, token_make},
    {"GET", "/v1/tokens", DRV_CALLER_OPERATOR, FALSE, tokens},
    {"DELETE", "/v1/tokens/*", DRV_CALLER_OPERATOR, FALSE, token_delete},
    {"POST", "/v1/join", DRV_CALLER_NOBODY, TRUE, join},
    {"GET", "/v1/peer/membership", DRV_CALLER_NODE, FALSE, membership_get},
    {"PUT", "/v1/peer/membership", DRV_CALLER_NODE, TRUE, membership_put},
    {"GET", "/v1/peer/store", DRV_CALLER_NODE, FALSE, keeping_get},
    {"PUT", "/v1/peer/authority", DRV_CALLER_NODE, TRUE, authority_put},
    {NULL, "/v1/peer/**", DRV_CALLER_NODE, FALSE, peer},
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

gboolean drv_routes_open(const char *method, const char *path)
{
    return g_str_equal(method, "POST") && g_str_equal(path, "/v1/join");
}

gboolean drv_routes_is_events(const char *method, const char *path)
{
    return g_str_equal(method, "GET") && g_str_equal(path, "/v1/events");
}

guint drv_routes_status(const GError *error)
{
    static const guint statuses[] = {
        [DRV_ERROR_FAILED] = 500,  [DRV_ERROR_INVALID] = 400, [DRV_ERROR_NOT_FOUND] = 404,
        [DRV_ERROR_CONFLICT] = 409, [DRV_ERROR_REFUSED] = 422, [DRV_ERROR_DENIED] = 403,
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
                      drv_error_code_name(error->domain == DRV_ERROR ? error->code
                                                                     : DRV_ERROR_FAILED));
    drv_json_set_string(inner, "message", message);
    json_object_object_add(body, "error", inner);
    return body;
}

json_object *drv_routes_answer(drv_request *request, guint *status, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autofree char *part = NULL;
    gboolean path_known = FALSE;

    for (guint i = 0; i < G_N_ELEMENTS(routes); i++) {
        json_object *answer;

        g_clear_pointer(&part, g_free);
        if (!matches(routes[i].pattern, request->path, &part))
            continue;
        path_known = TRUE;
        if (routes[i].method && !g_str_equal(routes[i].method, request->method))
            continue;
        if (request->role < routes[i].least) {
            *status = 403;
            g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED, "only nodes of the cluster may ask this");
            return NULL;
        }
        if (routes[i].body && !request->body) {
            *status = 400;
            g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "a JSON object is needed as the body");
            return NULL;
        }
        request->part = part;
        answer = routes[i].handle(request, &failure);
        *status = answer ? 200 : drv_routes_status(failure);
        if (!answer)
            g_propagate_error(error, g_steal_pointer(&failure));
        return answer;
    }
    *status = path_known ? 405 : 404;
    g_set_error(error, DRV_ERROR, path_known ? DRV_ERROR_INVALID : DRV_ERROR_NOT_FOUND,
                path_known ? "%s is not possible on %.128s" : "%.0s%.128s is not known here",
                request->method, request->path);
    return NULL;
}
