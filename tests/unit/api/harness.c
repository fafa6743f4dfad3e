/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes in this process: see harness.h. And the executor, as src/serve/serve.h promises it. */
#include "harness.h"

#include <arpa/inet.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cache/nodes.h"
#include "cluster/tokens.h"
#include "facts/predict.h"
#include "fleet/links.h"
#include "fleet/move-plans.h"
#include "fleet/policies.h"
#include "fleet/snapshot.h"
#include "fleet/vm-goals.h"
#include "fleet/vm-owner.h"
#include "free-port.h"
#include "model/json.h"
#include "model/working.h"
#include "serve/peer-routes.h"
#include "serve/view.h"

/* ---- the executor ---- */

static GMutex lock;
static GCond changed;
static gboolean told; /* of what a slow request waits for */
static guint links;
static gint64 revision = 1;

drv_context *drv_serve_new(const drv_serve_config *config, GError **error)
{
    return NULL;
}

void drv_serve_lead_status(drv_context *run, json_object *status)
{
    drv_json_set_string(status, "leader", "h1");
}

static json_object *list(const char *name)
{
    json_object *answer = json_object_new_object();

    json_object_object_add(answer, name, json_object_new_array());
    return answer;
}

json_object *drv_snapshot_nodes(drv_context *run, GError **error)
{
    return json_tokener_parse("{\"nodes\":[{\"name\":\"h1\"},{\"name\":\"h2\"}]}");
}

json_object *drv_snapshot_vms(drv_context *run, GError **error)
{
    return list("vms");
}

/* Says back what it was asked. */
/* Says what was asked for, so that a test sees which of them a route has called. */
static json_object *asked(const char *what, const char *name, json_object *body)
{
    json_object *answer = json_object_new_object();

    drv_json_set_string(answer, "asked", what);
    drv_json_set_string(answer, "name", name);
    drv_json_set(answer, "body", json_object_get(body));
    return answer;
}

json_object *drv_fleet_vm_goals(drv_context *run, const char *name, GError **error)
{
    return asked("vm goals", name, NULL);
}

json_object *drv_fleet_vm_goals_set(drv_context *run, const char *name, json_object *goals, GError **error)
{
    return asked("set vm goals", name, goals);
}

json_object *drv_fleet_vm_goals_clear(drv_context *run, const char *name, GError **error)
{
    return asked("clear vm goals", name, NULL);
}

json_object *drv_fleet_policies(drv_context *run, GError **error)
{
    return asked("policies", NULL, NULL);
}

json_object *drv_fleet_policy(drv_context *run, const char *name, GError **error)
{
    return asked("policy", name, NULL);
}

json_object *drv_fleet_policy_set(drv_context *run, const char *name, json_object *goals, GError **error)
{
    return asked("set policy", name, goals);
}

json_object *drv_fleet_policy_delete(drv_context *run, const char *name, gboolean force, GError **error)
{
    return asked(force ? "force delete policy" : "delete policy", name, NULL);
}

json_object *drv_cache_contents(drv_context *run, GError **error)
{
    return asked("contents", "", NULL);
}

json_object *drv_cache_contents_set(drv_context *run, json_object *what, GError **error)
{
    return asked("set contents", "", what);
}

json_object *drv_cache_contents_prune(drv_context *run, json_object *what, GError **error)
{
    return asked("prune contents", "", what);
}

json_object *drv_fleet_vm_owner(drv_context *run, const char *name, GError **error)
{
    return asked("owner", name, NULL);
}

json_object *drv_fleet_vm_owner_set(drv_context *run, const char *name, json_object *body, GError **error)
{
    return asked("set owner", name, body);
}

json_object *drv_fleet_make_plan(drv_context *run, json_object *goal, GError **error)
{
    json_object *answer = json_object_new_object();

    if (!drv_json_string(goal, "vm", NULL)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED, "no vm");
        json_object_put(answer);
        return NULL;
    }
    json_object_object_add(answer, "goal", json_object_get(goal));
    return answer;
}

json_object *drv_serve_plans(drv_context *run, GError **error)
{
    return list("plans");
}

json_object *drv_facts_predict(drv_context *run, json_object *body, GError **error)
{
    return json_object_new_object();
}

json_object *drv_fleet_get_plan(drv_context *run, const char *id, GError **error)
{
    g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "no plan %s", id);
    return NULL;
}

json_object *drv_fleet_apply_plan(drv_context *run, const char *plan_id, GError **error)
{
    json_object *answer = json_object_new_object();

    drv_json_set_string(answer, "applied", plan_id);
    return answer;
}

static json_object *job(const char *id)
{
    json_object *answer = json_object_new_object();

    drv_json_set_string(answer, "id", id);
    drv_json_set_int(answer, "revision", revision);
    json_object_object_add(answer, "ended", json_object_new_boolean(revision >= 3));
    return answer;
}

json_object *drv_serve_jobs(drv_context *run, GError **error)
{
    json_object *answer = list("jobs");

    g_mutex_lock(&lock);
    json_object_array_add(json_object_object_get(answer, "jobs"), job("h1-1"));
    g_mutex_unlock(&lock);
    return answer;
}

/* Each long poll that would have to wait moves the job one revision on. */
json_object *drv_serve_job(drv_context *run, const char *id, gint64 after, guint wait_ms, GError **error)
{
    json_object *answer;

    if (!g_str_has_prefix(id, "h1-")) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "no job %s", id);
        return NULL;
    }
    g_mutex_lock(&lock);
    if (after >= revision && wait_ms)
        revision = after + 1;
    answer = job(id);
    g_mutex_unlock(&lock);
    return answer;
}

json_object *drv_serve_cancel(drv_context *run, const char *id, GError **error)
{
    return drv_serve_job(run, id, -1, 0, error);
}

json_object *drv_serve_links(drv_context *run, GError **error)
{
    return asked("links", "", NULL);
}

json_object *drv_fleet_probe_link(drv_context *run, json_object *body, GError **error)
{
    return asked("probe link", "", body);
}

json_object *drv_serve_accuracy(drv_context *run, GError **error)
{
    return json_object_new_object();
}

json_object *drv_serve_reconcile(drv_context *run, const char *id, GError **error)
{
    return drv_serve_job(run, id, -1, 0, error);
}

json_object *drv_serve_job_act(drv_context *run, const char *id, const char *action, GError **error)
{
    return asked(action, id, NULL);
}

json_object *drv_serve_node_settings(drv_context *run, const char *node, GError **error)
{
    return asked("node settings", node, NULL);
}

json_object *drv_serve_node_settings_set(drv_context *run, const char *node, json_object *what, GError **error)
{
    return asked("set node settings", node, what);
}

json_object *drv_serve_peer(drv_context *run, const char *caller, const char *method, const char *path,
                            json_object *body, GError **error)
{
    json_object *answer = json_object_new_object();

    if (g_str_equal(path, TEST_SLOW)) { /* until the client was told what it waits for */
        drv_working_say("h1 is slow");
        g_mutex_lock(&lock);
        while (!told)
            g_cond_wait(&changed, &lock);
        told = FALSE;
        g_mutex_unlock(&lock);
    }
    drv_json_set_string(answer, "caller", caller);
    drv_json_set_string(answer, "method", method);
    drv_json_set_string(answer, "path", path);
    return answer;
}

gboolean drv_serve_hand_link(drv_context *run, const char *session, int fd, GError **error)
{
    char first = 0;

    if (!g_str_equal(session, TEST_SESSION)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "no session %s", session);
        return FALSE;
    }
    /* The ClientHello must still be there, unread. */
    g_assert_cmpint(recv(fd, &first, 1, 0), ==, 1);
    g_assert_cmpint(first, ==, 22);
    g_mutex_lock(&lock);
    links++;
    g_cond_broadcast(&changed);
    g_mutex_unlock(&lock);
    return TRUE;
}

guint test_links(const char *session, int timeout_ms)
{
    gint64 until = g_get_monotonic_time() + timeout_ms * 1000LL;
    guint count;

    g_mutex_lock(&lock);
    while (!links)
        if (!g_cond_wait_until(&changed, &lock, until))
            break;
    count = links;
    g_mutex_unlock(&lock);
    return count;
}

/* ---- nodes ---- */

static test_node *node_new(void)
{
    test_node *node = g_new0(test_node, 1);

    node->dir = g_dir_make_tmp("drover-api-XXXXXX", NULL);
    node->etc = g_build_filename(node->dir, "etc", NULL);
    node->state = g_build_filename(node->dir, "state", NULL);
    node->port = test_free_port();
    return node;
}

void test_node_start(test_node *node)
{
    g_autofree char *path = g_build_filename(node->state, "drover.db", NULL);
    g_autoptr(GError) error = NULL;
    drv_api_config config = {.port = node->port};

    node->identity = drv_identity_load(node->etc, &error);
    g_assert_no_error(error);
    node->store = drv_store_open(path, &error);
    g_assert_no_error(error);
    node->cluster = drv_cluster_new(node->identity, node->store, &error);
    g_assert_no_error(error);
    config.cluster = node->cluster;
    node->api = drv_api_new(&config, &error);
    g_assert_no_error(error);
    g_assert_true(drv_authority_start(node->cluster, &error));
    g_assert_true(drv_api_start(node->api, &error));
    g_assert_no_error(error);
    drv_cluster_start(node->cluster);
}

void test_node_stop(test_node *node)
{
    if (!node->api)
        return;
    g_clear_pointer(&node->api, drv_api_free);
    g_clear_pointer(&node->cluster, drv_cluster_free);
    g_clear_pointer(&node->store, drv_store_close);
    g_clear_pointer(&node->identity, drv_identity_free);
}

test_node *test_node_found(const char *name)
{
    test_node *node = node_new();
    drv_init_options options = {
        .etc_dir = node->etc, .state_dir = node->state, .node = name, .address = "127.0.0.1", .port = node->port};
    g_autoptr(GError) error = NULL;
    drv_identity *identity = drv_init(&options, &error);

    g_assert_no_error(error);
    drv_identity_free(identity);
    test_node_start(node);
    return node;
}

test_node *test_node_join(const char *name, test_node *founder, gboolean serve)
{
    test_node *node = node_new();
    g_autofree char *server = g_strdup_printf("127.0.0.1:%u", founder->port);
    g_autofree char *token = test_token(founder, "join", 60, NULL);
    drv_init_options options = {
        .etc_dir = node->etc, .state_dir = node->state, .node = name, .address = "127.0.0.1", .port = node->port};
    g_autoptr(GError) error = NULL;
    drv_identity *identity = drv_join(&options, server, token, &error);

    g_assert_no_error(error);
    drv_identity_free(identity);
    if (serve)
        test_node_start(node);
    return node;
}

static void remove_tree(const char *path)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);

        if (g_file_test(file, G_FILE_TEST_IS_DIR))
            remove_tree(file);
        else
            g_unlink(file);
    }
    if (dir)
        g_dir_close(dir);
    g_rmdir(path);
}

void test_node_free(test_node *node)
{
    test_node_stop(node);
    remove_tree(node->dir);
    g_free(node->dir);
    g_free(node->etc);
    g_free(node->state);
    g_free(node);
}

char *test_token(test_node *node, const char *kind, gint64 ttl_s, char **id)
{
    g_autoptr(json_object) body = json_object_new_object();
    g_autoptr(json_object) answer = NULL;
    g_autoptr(GError) error = NULL;

    drv_json_set_string(body, "kind", kind);
    drv_json_set_int(body, "ttl_s", ttl_s);
    answer = drv_authority_token_create(node->cluster, body, NULL, &error);
    g_assert_no_error(error);
    if (id)
        *id = g_strdup(drv_json_string(answer, "id", NULL));
    return g_strdup(drv_json_string(answer, "token", NULL));
}

void test_tell(const char *what, gpointer data)
{
    g_mutex_lock(&lock);
    g_free(*(char **)data);
    *(char **)data = g_strdup(what);
    told = TRUE;
    g_cond_broadcast(&changed);
    g_mutex_unlock(&lock);
}

static drv_client *client_of(test_node *as, test_node *to, gboolean person)
{
    g_autofree char *server = g_strdup_printf("127.0.0.1:%u", to->port);
    drv_client_options options = {.server = server, .etc_dir = as->etc, .person = person, .patience_ms = 2000};
    g_autoptr(GError) error = NULL;
    drv_client *client = drv_client_new(&options, &error);

    g_assert_no_error(error);
    return client;
}

drv_client *test_client(test_node *as, test_node *to)
{
    return client_of(as, to, FALSE);
}

drv_client *test_person(test_node *as, test_node *to)
{
    return client_of(as, to, TRUE);
}

drv_client *test_bearer_client(const char *token, test_node *as_ca, test_node *to)
{
    g_autofree char *server = g_strdup_printf("127.0.0.1:%u", to->port);
    g_autofree char *ca = as_ca ? g_build_filename(as_ca->etc, "ca.crt", NULL) : NULL;
    drv_client_options options = {.server = server, .etc_dir = "/nonexistent", .ca_file = ca, .token = token};
    g_autoptr(GError) error = NULL;
    drv_client *client = drv_client_new(&options, &error);

    g_assert_no_error(error);
    return client;
}

json_object *test_get(drv_client *client, const char *path, GError **error)
{
    return drv_client_call(client, "GET", path, NULL, 10000, error);
}

int test_connect(test_node *node, const char *from)
{
    struct sockaddr_in local = {.sin_family = AF_INET};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(node->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(fd, >=, 0);
    inet_pton(AF_INET, from, &local.sin_addr);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&local, sizeof local), ==, 0);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&to, sizeof to), ==, 0);
    return fd;
}

gboolean test_closed(int fd, int timeout_ms)
{
    gint64 until = g_get_monotonic_time() / 1000 + timeout_ms;

    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        gint64 left = until - g_get_monotonic_time() / 1000;
        char bytes[4096];
        ssize_t size;

        if (left <= 0 || poll(&wait, 1, (int)left) <= 0)
            return FALSE;
        size = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (size <= 0)
            return TRUE;
    }
}
