/* SPDX-License-Identifier: Apache-2.0 */
/* Who may ask what, and how mistakes are answered: over real TLS connections. */
#include <glib.h>
#include <signal.h>
#include <gnutls/gnutls.h>
#include <string.h>
#include <unistd.h>

#include "model/json.h"
#include "harness.h"

/* One founder for all tests; each adds what it needs. */
static test_node *founder;

static void expect_denied(drv_client *client, const char *path, const char *word)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) answer = test_get(client, path, &error);

    g_assert_null(answer);
    g_assert_error(error, DRV_ERROR, DRV_ERROR_DENIED);
    if (!strstr(error->message, word))
        g_error("\"%s\" does not say \"%s\"", error->message, word);
}

static void expect_version(drv_client *client)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) answer = test_get(client, "/v1/version", &error);

    g_assert_no_error(error);
    g_assert_nonnull(drv_json_string(answer, "version", NULL));
    g_assert_cmpstr(drv_json_string(answer, "cluster", NULL), ==, founder->identity->cluster);
}

static void test_node_certificate(void)
{
    g_autoptr(drv_client) client = test_client(founder, founder);
    g_autoptr(json_object) answer = NULL;
    g_autoptr(GError) error = NULL;

    expect_version(client);
    answer = test_get(client, "/v1/peer/sessions/7?x=a%20b&y=%26&z", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(drv_json_string(answer, "caller", NULL), ==, "h1");
    g_assert_cmpstr(drv_json_string(answer, "method", NULL), ==, "GET");
    g_assert_cmpstr(drv_json_string(answer, "path", NULL), ==, "sessions/7?x=a%20b&y=%26&z");
}

/* Who calls without a time limit waits while the server works, and is told for what. */
static void test_patience(void)
{
    g_autoptr(drv_client) client = test_client(founder, founder);
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) answer = NULL;
    g_autofree char *said = NULL;

    drv_client_on_wait(client, test_tell, &said);
    answer = drv_client_call(client, "GET", "/v1/peer/" TEST_SLOW, NULL, 0, &error);
    g_assert_no_error(error);
    g_assert_nonnull(answer);
    g_assert_cmpstr(said, ==, "h1 is slow");
    /* Of what is over nothing is known. */
    g_assert_null(test_get(client, "/v1/requests/11111111-2222-3333-4444-555555555555", &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND);
}

static void test_operator_certificate(void)
{
    g_autofree char *server = g_strdup_printf("127.0.0.1:%u", founder->port);
    g_autofree char *crt = g_build_filename(founder->etc, "operator.crt", NULL);
    g_autofree char *key = g_build_filename(founder->etc, "operator.key", NULL);
    drv_client_options options = {.server = server, .etc_dir = founder->etc, .cert_file = crt, .key_file = key};
    g_autoptr(drv_client) client = drv_client_new(&options, NULL);

    expect_version(client);
    expect_denied(client, "/v1/peer/membership", "only nodes");
    expect_denied(client, "/v1/peer/anything", "only nodes");
}

/* A request with exactly these bytes, without a certificate. Returns the answer's text. */
static char *raw_request(const char *text, gsize more_bytes)
{
    GString *answer = g_string_new(NULL);
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
    char buffer[4096];
    ssize_t size;
    int fd = test_connect(founder, "127.0.0.1"), rc;

    gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL);
    gnutls_certificate_allocate_credentials(&credentials);
    gnutls_set_default_priority(session);
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
    gnutls_transport_set_int(session, fd);
    do
        rc = gnutls_handshake(session);
    while (rc < 0 && !gnutls_error_is_fatal(rc));
    g_assert_cmpint(rc, >=, 0);
    gnutls_record_send(session, text, strlen(text));
    memset(buffer, 'x', sizeof buffer);
    while (more_bytes) {
        gsize part = MIN(more_bytes, sizeof buffer);

        if (gnutls_record_send(session, buffer, part) < 0)
            break;
        more_bytes -= part;
    }
    while ((size = gnutls_record_recv(session, buffer, sizeof buffer)) > 0 ||
           (size < 0 && !gnutls_error_is_fatal((int)size)))
        if (size > 0)
            g_string_append_len(answer, buffer, size);
    gnutls_deinit(session);
    gnutls_certificate_free_credentials(credentials);
    close(fd);
    return g_string_free(answer, FALSE);
}

static void test_nobody(void)
{
    static const char *const requests[] = {
        "GET /v1/version HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /v1/join HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n",
        "PUT /v1/peer/membership HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
        "GET /v1/version HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \r\n\r\n",
        "GET /v1/version HTTP/1.1\r\nHost: x\r\nAuthorization: Basic eDp5\r\n\r\n",
        "GET /v1/version HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer drover1.x.y.z\r\n\r\n",
        "BREW /v1/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    };

    for (guint i = 0; i < G_N_ELEMENTS(requests); i++) {
        g_autofree char *answer = raw_request(requests[i], 0);

        if (!g_str_has_prefix(answer, "HTTP/1.1 401 "))
            g_error("%s is answered with %s", requests[i], answer);
        g_assert_nonnull(strstr(answer, "{\"error\":{\"code\":\"denied\""));
        g_assert_null(strstr(answer, founder->identity->cluster));
    }
}

/* What nobody may send is not taken in just to be refused. */
static void test_nobody_much(void)
{
    g_autofree char *answer = raw_request("POST /v1/plans HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n", 0);
    g_autofree char *join = raw_request("POST /v1/join HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", 100000);
    g_autofree char *header = g_strnfill(200000, 'a');
    g_autofree char *request = g_strdup_printf("GET /v1/version HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", header);
    g_autofree char *headers = raw_request(request, 0);

    g_assert_true(g_str_has_prefix(answer, "HTTP/1.1 401 "));
    g_assert_true(g_str_has_prefix(join, "HTTP/1.1 413 "));
    g_assert_true(!headers[0] || g_str_has_prefix(headers, "HTTP/1.1 431 ") ||
                  g_str_has_prefix(headers, "HTTP/1.1 413 "));
}

static void test_other_cluster(void)
{
    test_node *stranger = test_node_found("h1");
    g_autofree char *ca = g_build_filename(founder->etc, "ca.crt", NULL);
    g_autofree char *crt = g_build_filename(stranger->etc, "node.crt", NULL);
    g_autofree char *key = g_build_filename(stranger->etc, "node.key", NULL);
    g_autofree char *server = g_strdup_printf("127.0.0.1:%u", founder->port);
    g_autofree char *token = test_token(stranger, "operator", 60, NULL);
    drv_client_options options = {.server = server, .ca_file = ca, .cert_file = crt, .key_file = key};
    g_autoptr(drv_client) theirs = test_client(stranger, founder);
    g_autoptr(drv_client) mixed = drv_client_new(&options, NULL);
    g_autoptr(drv_client) bearer = test_bearer_client(token, founder, founder);
    g_autoptr(GError) error = NULL;

    /* It refuses us as we refuse it. */
    g_assert_null(test_get(theirs, "/v1/version", &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_DENIED);
    g_assert_nonnull(strstr(error->message, "another cluster"));
    /* With our authority's certificate it believes the server, but is not believed. */
    expect_denied(mixed, "/v1/version", "");
    expect_denied(bearer, "/v1/version", "not known");
    test_node_free(stranger);
}

static void test_bearer(void)
{
    g_autofree char *id = NULL;
    g_autofree char *token = test_token(founder, "operator", 60, &id);
    g_autofree char *join = test_token(founder, "join", 60, NULL);
    g_autoptr(drv_client) client = test_bearer_client(token, founder, founder);
    g_autoptr(drv_client) by_token = test_bearer_client(token, NULL, founder);
    g_autoptr(drv_client) with_join = test_bearer_client(join, founder, founder);
    g_autoptr(drv_client) admin = test_client(founder, founder);
    g_autofree char *path = g_strconcat("/v1/tokens/", id, NULL);
    g_autoptr(json_object) list = NULL;
    g_autoptr(json_object) gone = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *secret = g_strndup(strchr(strchr(token, '.') + 1, '.') + 1, 32);

    expect_version(client);
    expect_version(by_token); /* the token alone vouches for the authority */
    expect_denied(client, "/v1/peer/membership", "only nodes");
    expect_denied(with_join, "/v1/version", "join token");
    list = test_get(admin, "/v1/tokens", &error);
    g_assert_no_error(error);
    g_assert_nonnull(strstr(json_object_to_json_string(list), id));
    g_assert_null(strstr(json_object_to_json_string(list), secret));
    gone = drv_client_call(admin, "DELETE", path, NULL, 0, &error);
    g_assert_no_error(error);
    expect_denied(client, "/v1/version", "not known");
    g_assert_null(drv_client_call(admin, "DELETE", path, NULL, 0, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND);
}

static void test_bearer_expires(void)
{
    g_autofree char *token = test_token(founder, "operator", 1, NULL);
    g_autoptr(drv_client) client = test_bearer_client(token, founder, founder);
    gint64 until = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
    g_autoptr(GError) error = NULL;

    /* Asked again and again until its second is over. */
    while (!error && g_get_monotonic_time() < until)
        json_object_put(test_get(client, "/v1/version", &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_DENIED);
    g_assert_nonnull(strstr(error->message, "expired"));
}

static void test_routes(void)
{
    g_autoptr(drv_client) client = test_client(founder, founder);
    static const struct {
        const char *method, *path, *body;
        int code;
    } bad[] = {
        {"GET", "/", NULL, DRV_ERROR_NOT_FOUND},
        {"GET", "/v1/nothing", NULL, DRV_ERROR_NOT_FOUND},
        {"GET", "/v1/plans/", NULL, DRV_ERROR_NOT_FOUND},
        {"GET", "/v1/plans/h1-p1/x", NULL, DRV_ERROR_NOT_FOUND},
        {"GET", "/v1/plans/h1-p1", NULL, DRV_ERROR_NOT_FOUND},
        {"PUT", "/v1/version", NULL, DRV_ERROR_INVALID},
        {"POST", "/v1/plans", NULL, DRV_ERROR_INVALID},
        {"POST", "/v1/plans", "{}", DRV_ERROR_REFUSED},
        {"POST", "/v1/plans", "[]", DRV_ERROR_INVALID},
        {"GET", "/v1/jobs/h9-1", NULL, DRV_ERROR_NOT_FOUND},
        {"PUT", "/v1/vms/web1/goals", NULL, DRV_ERROR_INVALID},
        {"PUT", "/v1/policies/gold", NULL, DRV_ERROR_INVALID},
        {"POST", "/v1/policies/gold", "{}", DRV_ERROR_INVALID},
        {"GET", "/v1/jobs/h1-1?after=x", NULL, DRV_ERROR_INVALID},
        {"GET", "/v1/jobs/h1-1?wait_ms=30001", NULL, DRV_ERROR_INVALID},
        {"POST", "/v1/tokens", "{\"kind\":\"root\"}", DRV_ERROR_INVALID},
        {"POST", "/v1/tokens", "{\"kind\":\"join\",\"ttl_s\":0}", DRV_ERROR_INVALID},
        {"POST", "/v1/tokens", "{\"kind\":\"join\",\"ttl_s\":99999999999}", DRV_ERROR_INVALID},
        {"DELETE", "/v1/tokens/..", NULL, DRV_ERROR_NOT_FOUND},
        {"DELETE", "/v1/nodes/h77", NULL, DRV_ERROR_NOT_FOUND},
        {"DELETE", "/v1/nodes/h1", NULL, DRV_ERROR_REFUSED},
        {"PUT", "/v1/peer/membership", "{}", DRV_ERROR_INVALID},
    };
    static const struct {
        const char *method, *path, *asked, *name;
    } goals[] = {
        {"GET", "/v1/vms/web%201/goals", "vm goals", "web 1"},
        {"PUT", "/v1/vms/web1/goals", "set vm goals", "web1"},
        {"DELETE", "/v1/vms/web1/goals", "clear vm goals", "web1"},
        {"GET", "/v1/policies", "policies", NULL},
        {"GET", "/v1/policies/gold", "policy", "gold"},
        {"PUT", "/v1/policies/gold", "set policy", "gold"},
        {"DELETE", "/v1/policies/gold", "delete policy", "gold"},
        {"DELETE", "/v1/policies/gold?force=1", "force delete policy", "gold"},
    };
    g_autoptr(json_object) goal = json_tokener_parse("{\"vm\":\"web1\"}");
    g_autoptr(json_object) plan = NULL;
    g_autoptr(json_object) applied = NULL;
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(json_object) body = bad[i].body ? json_tokener_parse(bad[i].body) : NULL;
        g_autoptr(GError) failure = NULL;

        g_assert_null(drv_client_call(client, bad[i].method, bad[i].path, body, 10000, &failure));
        if (failure->code != bad[i].code)
            g_error("%s %s: %s", bad[i].method, bad[i].path, failure->message);
    }
    for (guint i = 0; i < G_N_ELEMENTS(goals); i++) {
        gboolean put = g_str_equal(goals[i].method, "PUT");
        g_autoptr(json_object) answer =
            drv_client_call(client, goals[i].method, goals[i].path, put ? goal : NULL, 0, &error);

        g_assert_no_error(error);
        g_assert_cmpstr(drv_json_string(answer, "asked", NULL), ==, goals[i].asked);
        g_assert_cmpstr(drv_json_string(answer, "name", NULL), ==, goals[i].name);
        g_assert_true(!put || json_object_equal(json_object_object_get(answer, "body"), goal));
    }
    plan = drv_client_call(client, "POST", "/v1/plans", goal, 0, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(drv_json_string(json_object_object_get(plan, "goal"), "vm", NULL), ==, "web1");
    applied = drv_client_call(client, "POST", "/v1/plans/h1-p3/apply", NULL, 0, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(drv_json_string(applied, "applied", NULL), ==, "h1-p3");
}

static gboolean on_event(const char *event, json_object *data, gpointer user_data)
{
    GArray *seen = user_data;
    gint64 revision = drv_json_int(data, "revision", -1);

    g_assert_cmpstr(event, ==, "job");
    g_array_append_val(seen, revision);
    return TRUE;
}

static gboolean on_first_event(const char *event, json_object *data, gpointer user_data)
{
    ++*(guint *)user_data;
    return FALSE;
}

static void test_events(void)
{
    g_autoptr(drv_client) client = test_client(founder, founder);
    g_autoptr(GArray) seen = g_array_new(FALSE, FALSE, sizeof(gint64));
    g_autoptr(GError) error = NULL;
    guint count = 0;

    g_assert_true(drv_client_stream(client, "/v1/events?job=h1-1", on_event, seen, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(seen->len, ==, 3); /* revisions 1, 2, 3: the last ends it */
    g_assert_cmpint(g_array_index(seen, gint64, 2), ==, 3);
    g_assert_true(drv_client_stream(client, "/v1/events", on_first_event, &count, &error));
    g_assert_cmpuint(count, ==, 1);
    g_assert_false(drv_client_stream(client, "/v1/nothing", on_event, seen, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND);
}

static void test_long_poll(void)
{
    g_autoptr(drv_client) client = test_client(founder, founder);
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) job = test_get(client, "/v1/jobs/h1-1?after=100&wait_ms=20000", &error);

    g_assert_no_error(error);
    g_assert_cmpint(drv_json_int(job, "revision", 0), ==, 101);
}

static gpointer call_many(gpointer data)
{
    for (int i = 0; i < 50; i++)
        expect_version(data);
    return NULL;
}

static void test_many_threads(void)
{
    g_autoptr(drv_client) client = test_client(founder, founder);
    GThread *threads[8];

    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new(NULL, call_many, client);
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
}

static void test_port_taken(void)
{
    g_autoptr(GError) error = NULL;
    drv_api_config config = {.cluster = founder->cluster, .port = founder->port};

    g_assert_null(drv_api_new(&config, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_CONFLICT);
    g_assert_nonnull(strstr(error->message, "test-api-server"));
}

static void test_unreachable(void)
{
    g_autoptr(drv_client) client = test_client(founder, founder);
    g_autoptr(GError) error = NULL;

    test_node_stop(founder);
    g_assert_null(test_get(client, "/v1/version", &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE);
    g_assert_nonnull(strstr(error->message, "droverd is not running"));
    test_node_start(founder);
    expect_version(client);
}

int main(int argc, char **argv)
{
    int rc;

    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN); /* as the programs do */
    founder = test_node_found("h1");
    g_test_add_func("/server/node-certificate", test_node_certificate);
    g_test_add_func("/server/patience", test_patience);
    g_test_add_func("/server/operator-certificate", test_operator_certificate);
    g_test_add_func("/server/nobody", test_nobody);
    g_test_add_func("/server/nobody-much", test_nobody_much);
    g_test_add_func("/server/other-cluster", test_other_cluster);
    g_test_add_func("/server/bearer", test_bearer);
    g_test_add_func("/server/bearer-expires", test_bearer_expires);
    g_test_add_func("/server/routes", test_routes);
    g_test_add_func("/server/events", test_events);
    g_test_add_func("/server/long-poll", test_long_poll);
    g_test_add_func("/server/many-threads", test_many_threads);
    g_test_add_func("/server/port-taken", test_port_taken);
    g_test_add_func("/server/unreachable", test_unreachable);
    rc = g_test_run();
    test_node_free(founder);
    return rc;
}
