/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may call which route: the whole table against what it should be, and every route over real TLS as each
 * kind of caller. A route that is new has to be entered here.
 */
#include <glib.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>

#include "api/routes.h"
#include "cluster/operator-key.h"
#include "cluster/operators.h"
#include "cluster/pki.h"
#include "cluster/tokens.h"
#include "harness.h"
#include "model/json.h"

G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_x509_crt_t, gnutls_x509_crt_deinit, NULL)

static test_node *founder, *second, *revoked;

/* -: stranger, n: another node, s: the node itself, o: operator's certificate, t: operator's token */
static const char letters[DRV_CALLER_ROLES + 1] = "-nsot";
G_STATIC_ASSERT(DRV_CALLER_NOBODY == 0 && DRV_CALLER_NODE == 1 && DRV_CALLER_SELF == 2 && DRV_CALLER_OPERATOR == 3 &&
                DRV_CALLER_TOKEN == 4);

static const char *const golden[] = {
    "GET /v1/version nsot",
    "GET /v1/nodes nsot",
    "GET /v1/nodes/*/maintenance nsot",
    "PUT /v1/nodes/*/maintenance sot",
    "GET /v1/nodes/*/settings nsot",
    "PUT /v1/nodes/*/settings sot",
    "DELETE /v1/nodes/* ot",
    "GET /v1/store nsot",
    "GET /v1/store/backup sot",
    "POST /v1/store/move o",
    "POST /v1/nodes/*/authority o",
    "GET /v1/vms nsot",
    "GET /v1/vms/*/goals nsot",
    "PUT /v1/vms/*/goals sot",
    "DELETE /v1/vms/*/goals sot",
    "GET /v1/vms/*/owner nsot",
    "PUT /v1/vms/*/owner sot",
    "GET /v1/content nsot",
    "PUT /v1/content sot",
    "POST /v1/content/prune sot",
    "GET /v1/policies nsot",
    "GET /v1/policies/* nsot",
    "PUT /v1/policies/* ot",
    "DELETE /v1/policies/* ot",
    "GET /v1/requests/* nsot",
    "POST /v1/plans sot",
    "GET /v1/plans nsot",
    "GET /v1/plans/* nsot",
    "POST /v1/plans/*/apply sot",
    "POST /v1/predictions sot",
    "GET /v1/jobs nsot",
    "GET /v1/jobs/* nsot",
    "POST /v1/jobs/*/cancel sot",
    "POST /v1/jobs/*/pause sot",
    "POST /v1/jobs/*/resume sot",
    "POST /v1/jobs/*/reconcile sot",
    "GET /v1/events nsot",
    "GET /v1/links nsot",
    "POST /v1/links/probe sot",
    "GET /v1/accuracy nsot",
    "POST /v1/tokens ot",
    "GET /v1/tokens ot",
    "DELETE /v1/tokens/* ot",
    "DELETE /v1/operators/* ot",
    "POST /v1/join -nsot",
    "GET /v1/peer/membership ns",
    "PUT /v1/peer/membership ns",
    "GET /v1/peer/store ns",
    "PUT /v1/peer/authority ns",
    "* /v1/peer/** ns",
};

static void test_table(void)
{
    const char *pattern, *method;
    guint i, who;

    for (i = 0; (pattern = drv_routes_at(i, &method, &who)); i++) {
        g_autoptr(GString) line = g_string_new(NULL);

        g_string_printf(line, "%s %s ", method ?: "*", pattern);
        for (guint role = 0; role < DRV_CALLER_ROLES; role++)
            if (who & DRV_MAY(role))
                g_string_append_c(line, letters[role]);
        g_assert_cmpuint(i, <, G_N_ELEMENTS(golden));
        g_assert_cmpstr(line->str, ==, golden[i]);
    }
    g_assert_cmpuint(i, ==, G_N_ELEMENTS(golden));
}

static gboolean one_is_enough(const char *event, json_object *data, gpointer user_data)
{
    return FALSE;
}

/* Refused because of who it is, and not because of what was asked. */
static gboolean is_refused(drv_client *client, const char *method, const char *path)
{
    static const char *const words[] = {"only nodes of the cluster may",
                                        "only an operator may do this",
                                        "a token cannot do this",
                                        "who are you?",
                                        "has been revoked",
                                        "has expired"};
    g_autoptr(json_object) body = json_tokener_parse("{\"node\":\"h2\"}");
    g_autoptr(json_object) answer = NULL;
    g_autoptr(GError) error = NULL;

    if (g_str_equal(path, DRV_ROUTES_EVENTS))
        drv_client_stream(client, path, one_is_enough, NULL, &error);
    else
        answer = drv_client_call(client, method, path, g_str_equal(method, "GET") ? NULL : body, 0, &error);
    if (error)
        g_test_message("%s %s: %s", method, path, error->message);
    if (!g_error_matches(error, DRV_ERROR, DRV_ERROR_DENIED))
        return FALSE;
    for (guint i = 0; i < G_N_ELEMENTS(words); i++)
        if (strstr(error->message, words[i]))
            return TRUE;
    return FALSE;
}

/* Every route; @letter: what the table calls this caller, 0: it may nothing at all but join. */
static void go_through(drv_client *client, const char *caller, char letter)
{
    const char *pattern, *method;
    guint who;

    for (guint i = 0; (pattern = drv_routes_at(i, &method, &who)); i++) {
        g_autoptr(GString) path = g_string_new(pattern);
        gboolean may = strchr(strrchr(golden[i], ' '), letter ?: '-') != NULL, refused;

        /* What nothing comes of; settings are those of the node that asks about itself. */
        g_string_replace(path, "**", "hello", 0);
        g_string_replace(
            path, "*",
            g_str_has_suffix(pattern, "/settings") || g_str_has_suffix(pattern, "/maintenance") ? "h2" : "nosuch", 0);
        refused = is_refused(client, method ?: "GET", path->str);
        if (refused == may)
            g_error("%s %s %s: %s", caller, method ?: "GET", path->str, may ? "refused" : "not refused");
    }
}

static drv_client *anonymous(void)
{
    g_autofree char *server = g_strdup_printf("127.0.0.1:%u", founder->port);
    g_autofree char *ca = g_build_filename(founder->etc, "ca.crt", NULL);
    drv_client_options options = {.server = server, .ca_file = ca, .anonymous = TRUE};

    return drv_client_new(&options, NULL);
}

static void test_all_routes(void)
{
    g_autofree char *id = NULL;
    g_autofree char *text = test_token(founder, "operator", 60, NULL);
    g_autofree char *gone = test_token(founder, "operator", 60, &id);
    g_autofree char *old = test_token(founder, "operator", 1, NULL);
    g_autoptr(drv_client) stranger = anonymous();
    g_autoptr(drv_client) itself = test_client(second, second);
    g_autoptr(drv_client) other = test_client(second, founder);
    g_autoptr(drv_client) outcast = test_client(revoked, founder);
    g_autoptr(drv_client) operator= test_person(founder, founder);
    g_autoptr(drv_client) token = test_bearer_client(text, founder, founder);
    g_autoptr(drv_client) deleted = test_bearer_client(gone, founder, founder);
    g_autoptr(drv_client) expired = test_bearer_client(old, founder, founder);
    g_autoptr(json_object) done = drv_authority_token_delete(founder->cluster, id, NULL);
    g_autoptr(GError) error = NULL;

    g_assert_nonnull(done);
    while (!error)
        json_object_put(test_get(expired, "/v1/version", &error));
    go_through(stranger, "a stranger", 0);
    go_through(outcast, "a revoked node", 0);
    go_through(expired, "an expired token", 0);
    go_through(other, "another node", 'n');
    go_through(itself, "the node itself", 's');
    go_through(operator, "an operator", 'o');
    go_through(token, "a token", 't');
    g_clear_error(&error);
    g_assert_null(test_get(deleted, "/v1/version", &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_DENIED);
}

static int code_of(drv_client *client, const char *method, const char *path, const char *json)
{
    g_autoptr(json_object) body = json ? json_tokener_parse(json) : NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) answer = drv_client_call(client, method, path, body, 0, &error);

    return answer ? -1 : error->code;
}

/* Root on a node that has not the authority's key does what concerns this node, and no more. */
static void test_itself_only(void)
{
    g_autoptr(drv_client) itself = test_client(second, second);
    static const struct {
        const char *method, *path, *json;
        gboolean may;
    } all[] = {
        {"PUT", "/v1/nodes/h2/maintenance", "{\"maintenance\":\"draining\"}", TRUE},
        {"PUT", "/v1/nodes/h1/maintenance", "{\"maintenance\":\"draining\"}", FALSE},
        {"PUT", "/v1/nodes/h1/settings", "{\"site\":\"x\"}", FALSE},
        {"PUT", "/v1/content", "{\"node\":\"h2\",\"on\":false}", TRUE},
        {"PUT", "/v1/content", "{\"node\":\"h1\",\"on\":false}", FALSE},
        {"PUT", "/v1/content", "{\"on\":false}", FALSE},
        {"POST", "/v1/content/prune", "{}", FALSE},
        {"POST", "/v1/plans/h2-p1/apply", NULL, TRUE},
        {"POST", "/v1/plans/plan-1/apply", NULL, FALSE},
        {"POST", "/v1/jobs/op-1/cancel", NULL, FALSE},
        {"POST", "/v1/jobs/op-1/pause", NULL, FALSE},
        {"POST", "/v1/jobs/op-1/resume", NULL, FALSE},
        {"POST", "/v1/jobs/h1-1/cancel", NULL, TRUE},
    };

    for (guint i = 0; i < G_N_ELEMENTS(all); i++)
        if ((code_of(itself, all[i].method, all[i].path, all[i].json) == -1) != all[i].may)
            g_error("%s %s %s", all[i].method, all[i].path, all[i].json ?: "");
}

/* What a node is asked for by somebody who is no operator there is not done by way of it either. */
static void test_not_by_way_of_a_node(void)
{
    g_autoptr(drv_client) root = test_person(second, second);
    g_autoptr(drv_client) operator= test_person(founder, second);
    const char *wish = "{\"kind\":\"operator\",\"name\":\"x\"}";

    g_assert_cmpint(code_of(root, "POST", "/v1/tokens", wish), ==, DRV_ERROR_DENIED);
    g_assert_cmpint(code_of(root, "DELETE", "/v1/nodes/h2", NULL), ==, DRV_ERROR_DENIED);
    /* An operator is sent on, and asks there himself. */
    g_assert_cmpint(code_of(operator, "POST", "/v1/tokens", wish), ==, -1);
    g_assert_cmpint(code_of(operator, "POST", "/v1/store/move", "{\"to\":\"sqlite\"}"), ==, DRV_ERROR_CONFLICT);
}

/* ---- tokens ---- */

static json_object *make(drv_client *client, const char *json, GError **error)
{
    g_autoptr(json_object) wish = json_tokener_parse(json);

    return drv_client_call(client, "POST", "/v1/tokens", wish, 0, error);
}

static void test_tokens_of_tokens(void)
{
    g_autofree char *id = NULL;
    g_autofree char *text = test_token(founder, "operator", 600, &id);
    g_autoptr(drv_client) parent = test_bearer_client(text, founder, founder);
    g_autoptr(drv_client) child = NULL;
    g_autoptr(drv_client) at_second = NULL;
    g_autoptr(json_object) made = NULL;
    g_autoptr(json_object) join = NULL;
    g_autoptr(json_object) gone = NULL;
    g_autoptr(json_object) body = json_object_new_object();
    g_autoptr(GError) error = NULL;
    gint64 parent_ends = drv_cluster_token_ends_ms(founder->cluster, id);

    /* Longer than itself: no; nothing said: as long as itself. */
    g_assert_null(make(parent, "{\"kind\":\"operator\",\"ttl_s\":3600}", &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_DENIED);
    g_assert_nonnull(strstr(error->message, "outlives"));
    g_clear_error(&error);
    made = make(parent, "{\"kind\":\"operator\"}", &error);
    g_assert_no_error(error);
    g_assert_cmpint(drv_json_int(made, "expires_ms", 0), <=, parent_ends);
    join = make(parent, "{\"kind\":\"join\"}", &error);
    g_assert_no_error(error);
    g_assert_cmpint(drv_json_int(join, "expires_ms", 0), <=, parent_ends);
    child = test_bearer_client(drv_json_string(made, "token", ""), founder, founder);
    at_second = test_bearer_client(drv_json_string(made, "token", ""), founder, second);
    g_assert_cmpint(code_of(child, "GET", "/v1/version", NULL), ==, -1);
    g_assert_cmpint(code_of(at_second, "GET", "/v1/version", NULL), ==, -1);
    /* It goes with the one with which it was made, everywhere. */
    gone = drv_authority_token_delete(founder->cluster, id, &error);
    g_assert_no_error(error);
    g_assert_cmpint(code_of(child, "GET", "/v1/version", NULL), ==, DRV_ERROR_DENIED);
    g_assert_cmpint(code_of(at_second, "GET", "/v1/version", NULL), ==, DRV_ERROR_DENIED);
    drv_json_set_string(body, "token", drv_json_string(join, "token", ""));
    drv_json_set_string(body, "name", "h9");
    g_assert_null(drv_authority_join(founder->cluster, body, "127.0.0.9", &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_DENIED);
    g_assert_nonnull(strstr(error->message, "made with another one"));
}

/* What comes of it would outlive any token. */
static void test_tokens_rank(void)
{
    g_autofree char *text = test_token(founder, "operator", 600, NULL);
    g_autoptr(drv_client) token = test_bearer_client(text, founder, founder);

    g_assert_cmpint(code_of(token, "POST", "/v1/nodes/h2/authority", NULL), ==, DRV_ERROR_DENIED);
    g_assert_cmpint(code_of(token, "POST", "/v1/store/move", "{\"to\":\"etcd://10.0.0.1\"}"), ==, DRV_ERROR_DENIED);
}

/* ---- operators' certificates ---- */

static char *file_text(const char *dir, const char *name)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    char *text = NULL;

    g_file_get_contents(path, &text, NULL, NULL);
    return text;
}

static void write_text(const char *dir, const char *name, const char *text)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(drv_identity_write_file(dir, name, text, &error));
    g_assert_no_error(error);
}

/* Signed by the authority for @seconds from now: what drv_pki_sign() does not make. */
static char *sign_for(gint64 seconds)
{
    g_autofree char *pem = file_text(founder->etc, "operator.crt");
    g_auto(gnutls_x509_crt_t) leaf = drv_pki_load(pem, NULL);
    g_auto(gnutls_x509_crt_t) ca = drv_pki_load(founder->identity->ca_pem, NULL);
    gnutls_datum_t key = {(unsigned char *)founder->identity->ca_key_pem,
                          (unsigned)strlen(founder->identity->ca_key_pem)},
                   out;
    gnutls_x509_privkey_t ca_key;
    char *text;

    gnutls_x509_privkey_init(&ca_key);
    g_assert_cmpint(gnutls_x509_privkey_import(ca_key, &key, GNUTLS_X509_FMT_PEM), >=, 0);
    gnutls_x509_crt_set_expiration_time(leaf, time(NULL) + seconds);
    g_assert_cmpint(gnutls_x509_crt_sign2(leaf, ca, ca_key, GNUTLS_DIG_SHA256, 0), >=, 0);
    g_assert_cmpint(gnutls_x509_crt_export2(leaf, GNUTLS_X509_FMT_PEM, &out), >=, 0);
    text = g_strndup((char *)out.data, out.size);
    gnutls_free(out.data);
    gnutls_x509_privkey_deinit(ca_key);
    return text;
}

static drv_client *with_certificate(const char *dir)
{
    g_autofree char *server = g_strdup_printf("127.0.0.1:%u", founder->port);
    g_autofree char *crt = g_build_filename(dir, "operator.crt", NULL);
    g_autofree char *key = g_build_filename(dir, "operator.key", NULL);
    drv_client_options options = {.server = server, .etc_dir = founder->etc, .cert_file = crt, .key_file = key};

    return drv_client_new(&options, NULL);
}

static void test_operator_is_renewed(void)
{
    g_autofree char *first = file_text(founder->etc, "operator.crt");
    g_autofree char *key = file_text(founder->etc, "operator.key");
    g_autofree char *soon = sign_for(3600);
    g_autofree char *long_ago = sign_for(10LL * 365 * 24 * 3600);
    g_autofree char *after = NULL;
    g_autofree char *same_key = NULL;
    g_autofree char *again = NULL;
    g_autoptr(drv_client) old = NULL;
    g_autoptr(drv_client) person = NULL;
    g_autoptr(GError) error = NULL;

    /* It is good for hours more: left alone. */
    g_assert_true(drv_operator_ready(founder->etc));
    again = file_text(founder->etc, "operator.crt");
    g_assert_cmpstr(again, ==, first);
    /* It ends soon: another one, of the same key, for whoever uses it here. */
    write_text(founder->etc, "operator.crt", soon);
    person = test_person(founder, founder);
    g_assert_cmpint(code_of(person, "GET", "/v1/tokens", NULL), ==, -1);
    after = file_text(founder->etc, "operator.crt");
    same_key = file_text(founder->etc, "operator.key");
    g_assert_cmpstr(after, !=, soon);
    g_assert_cmpstr(same_key, ==, key);
    /* One for years, as older versions made them, is refused, and renewed where that can be done. */
    write_text(founder->etc, "operator.crt", long_ago);
    old = with_certificate(founder->etc);
    g_assert_null(test_get(old, "/v1/version", &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_DENIED);
    g_assert_nonnull(strstr(error->message, "too long a time"));
    g_clear_pointer(&person, drv_client_free);
    person = test_person(founder, founder);
    g_assert_cmpint(code_of(person, "GET", "/v1/tokens", NULL), ==, -1);
}

static void test_operator_is_revoked(void)
{
    g_autofree char *stolen = g_dir_make_tmp("drover-stolen-XXXXXX", NULL);
    g_autofree char *crt = file_text(founder->etc, "operator.crt");
    g_autofree char *key = file_text(founder->etc, "operator.key");
    g_autofree char *file = g_build_filename(stolen, "operator.crt", NULL);
    g_autofree char *key_file = g_build_filename(founder->etc, "operator.key", NULL);
    g_autofree char *stolen_key = g_build_filename(stolen, "operator.key", NULL);
    g_autofree char *path = NULL;
    g_autofree char *fingerprint = NULL;
    g_autoptr(drv_client) thief = NULL;
    g_autoptr(drv_client) person = NULL;
    g_autoptr(json_object) done = NULL;
    g_autoptr(GError) error = NULL;

    write_text(stolen, "operator.crt", crt);
    write_text(stolen, "operator.key", key);
    thief = with_certificate(stolen);
    g_assert_cmpint(code_of(thief, "GET", "/v1/tokens", NULL), ==, -1);
    fingerprint = drv_operator_fingerprint(file, &error);
    g_assert_no_error(error);
    path = g_strconcat("/v1/operators/", fingerprint, NULL);
    person = test_person(founder, second); /* at a node that sends us on */
    g_assert_cmpint(code_of(person, "DELETE", "/v1/operators/nonsense", NULL), ==, DRV_ERROR_INVALID);
    done = drv_client_call(person, "DELETE", path, NULL, 0, &error);
    g_assert_no_error(error);
    g_assert_null(test_get(thief, "/v1/version", &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_DENIED);
    g_assert_nonnull(strstr(error->message, "revoked"));
    /* Whoever has the authority's key makes a new one. */
    g_unlink(key_file);
    g_clear_pointer(&person, drv_client_free);
    person = test_person(founder, second);
    g_assert_cmpint(code_of(person, "GET", "/v1/tokens", NULL), ==, -1);
    g_unlink(file);
    g_unlink(stolen_key);
    g_rmdir(stolen);
}

/* ---- event streams ---- */

typedef struct {
    drv_client *client;
    GMutex lock;
    GCond cond;
    gboolean begun, ended;
} watching;

static gboolean on_event(const char *event, json_object *data, gpointer user_data)
{
    watching *it = user_data;

    g_mutex_lock(&it->lock);
    it->begun = TRUE;
    g_cond_broadcast(&it->cond);
    g_mutex_unlock(&it->lock);
    return TRUE;
}

static gpointer watch(gpointer data)
{
    watching *it = data;

    drv_client_stream(it->client, DRV_ROUTES_EVENTS, on_event, it, NULL);
    return NULL;
}

static void stream_ends(gint64 ttl_s, gboolean revoke)
{
    g_autofree char *id = NULL;
    g_autofree char *text = test_token(founder, "operator", ttl_s, &id);
    g_autoptr(drv_client) client = test_bearer_client(text, founder, founder);
    watching it = {.client = client};
    GThread *thread;

    g_mutex_init(&it.lock);
    g_cond_init(&it.cond);
    thread = g_thread_new("watch", watch, &it);
    g_mutex_lock(&it.lock);
    while (!it.begun)
        g_cond_wait(&it.cond, &it.lock);
    g_mutex_unlock(&it.lock);
    if (revoke)
        json_object_put(drv_authority_token_delete(founder->cluster, id, NULL));
    g_thread_join(thread); /* a stream that does not end is what the test's time limit is for */
    g_mutex_clear(&it.lock);
    g_cond_clear(&it.cond);
}

static void test_stream_ends_with_its_token(void)
{
    stream_ends(2, FALSE);
    stream_ends(3600, TRUE);
}

int main(int argc, char **argv)
{
    int rc;

    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN); /* as the programs do */
    founder = test_node_found("h1");
    second = test_node_join("h2", founder, TRUE);
    revoked = test_node_join("h3", founder, FALSE);
    json_object_put(drv_authority_revoke(founder->cluster, "h3", NULL));
    g_test_add_func("/access/table", test_table);
    g_test_add_func("/access/all-routes", test_all_routes);
    g_test_add_func("/access/itself-only", test_itself_only);
    g_test_add_func("/access/not-by-way-of-a-node", test_not_by_way_of_a_node);
    g_test_add_func("/access/tokens-of-tokens", test_tokens_of_tokens);
    g_test_add_func("/access/tokens-rank", test_tokens_rank);
    g_test_add_func("/access/operator-is-renewed", test_operator_is_renewed);
    g_test_add_func("/access/operator-is-revoked", test_operator_is_revoked);
    g_test_add_func("/access/stream-ends-with-its-token", test_stream_ends_with_its_token);
    rc = g_test_run();
    test_node_free(revoked);
    test_node_free(second);
    test_node_free(founder);
    return rc;
}
