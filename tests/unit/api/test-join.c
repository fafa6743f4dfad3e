/* SPDX-License-Identifier: Apache-2.0 */
/* Joining, its refusals, the race for a token, revoking, and what a node knows without the founder. */
#include <glib.h>
#include <signal.h>
#include <glib/gstdio.h>
#include <string.h>

#include "base/clock.h"
#include "cluster/publish.h"
#include "cluster/signed.h"
#include "cluster/token.h"
#include "cluster/tokens.h"
#include "harness.h"
#include "model/json.h"

/* A join that must fail; nothing may be left of it. */
static void expect_refusal(guint16 port, const char *name, const char *address, guint16 own_port, const char *token,
                           int code, const char *word)
{
    g_autofree char *dir = g_dir_make_tmp("drover-join-XXXXXX", NULL);
    g_autofree char *etc = g_build_filename(dir, "etc", NULL);
    g_autofree char *state = g_build_filename(dir, "state", NULL);
    g_autofree char *server = g_strdup_printf("127.0.0.1:%u", port);
    g_autofree char *remove = g_strdup_printf("rm -r %s", dir);
    drv_init_options options = {.etc_dir = etc, .state_dir = state, .node = name, .address = address, .port = own_port};
    g_autoptr(GError) error = NULL;

    g_assert_null(drv_join(&options, server, token, &error));
    if (!g_error_matches(error, DRV_ERROR, code) || !strstr(error->message, word))
        g_error("expected %s \"%s\", got %s \"%s\"", drv_error_code_name(code), word, drv_error_code_name(error->code),
                error->message);
    g_assert_false(g_file_test(etc, G_FILE_TEST_EXISTS));
    g_assert_true(g_spawn_command_line_sync(remove, NULL, NULL, NULL, NULL));
}

static void test_refusals(void)
{
    test_node *founder = test_node_found("h1");
    test_node *other = test_node_found("h1");
    g_autofree char *token = test_token(founder, "join", 60, NULL);
    g_autofree char *theirs = test_token(other, "join", 60, NULL);
    g_autofree char *operator= test_token(founder, "operator", 60, NULL);
    g_autofree char *deleted_id = NULL;
    g_autofree char *deleted = test_token(founder, "join", 60, &deleted_id);
    g_autofree char *wrong = g_strdup(token);
    char *secret = strchr(strchr(wrong, '.') + 1, '.') + 1;
    g_autoptr(json_object) gone = drv_authority_token_delete(founder->cluster, deleted_id, NULL);
    guint16 port = founder->port;
    test_node *second;

    g_assert_nonnull(gone);
    *secret = *secret == 'A' ? 'B' : 'A';
    expect_refusal(port, "h2", "127.0.0.2", 7, "nonsense", DRV_ERROR_INVALID, "not a token");
    expect_refusal(port, "h2", "127.0.0.2", 7, wrong, DRV_ERROR_DENIED, "wrong");
    expect_refusal(port, "h2", "127.0.0.2", 7, deleted, DRV_ERROR_DENIED, "deleted");
    expect_refusal(port, "h2", "127.0.0.2", 7, operator, DRV_ERROR_DENIED, "not a join token");
    expect_refusal(port, "h2", "127.0.0.2", 7, theirs, DRV_ERROR_DENIED, "not of the cluster that made this token");
    expect_refusal(port, "h1", "127.0.0.2", 7, token, DRV_ERROR_CONFLICT, "a node h1 already");
    expect_refusal(port, "h2", "127.0.0.1", port, token, DRV_ERROR_CONFLICT, "is node h1 already");
    expect_refusal(port, "H 2", "127.0.0.2", 7, token, DRV_ERROR_INVALID, "cannot be a node's name");
    expect_refusal(port, "h2", "0.0.0.0", 7, token, DRV_ERROR_INVALID, "not an IP address");
    expect_refusal(1, "h2", "127.0.0.2", 7, token, DRV_ERROR_UNREACHABLE, "refused");
    /* None of these has used the token up. */
    {
        g_autofree char *dir = g_dir_make_tmp("drover-join-XXXXXX", NULL);
        g_autofree char *server = g_strdup_printf("127.0.0.1:%u", port);
        g_autofree char *remove = g_strdup_printf("rm -r %s", dir);
        drv_init_options options = {.etc_dir = dir,
                                    .state_dir = dir,
                                    .node = "h9",
                                    .address = "127.0.0.9",
                                    .host_uuid = "11111111-2222-3333-4444-555555555555"};
        g_autoptr(GError) error = NULL;
        g_autoptr(drv_identity) identity = drv_join(&options, server, token, &error);

        g_assert_no_error(error);
        g_assert_null(identity->ca_key_pem);
        g_assert_null(identity->same_host_uuid);
        /* Twice on one host, and the token twice. */
        g_assert_null(drv_join(&options, server, token, &error));
        g_assert_error(error, DRV_ERROR, DRV_ERROR_CONFLICT);
        g_assert_true(g_spawn_command_line_sync(remove, NULL, NULL, NULL, NULL));
    }
    expect_refusal(port, "h2", "127.0.0.2", 7, token, DRV_ERROR_DENIED, "used already, by node h9");
    second = test_node_join("h2", founder, FALSE);
    test_node_free(second);
    /* A clone of h9's host: it may join, and is told. */
    {
        g_autofree char *next = test_token(founder, "join", 60, NULL);
        g_autofree char *dir = g_dir_make_tmp("drover-join-XXXXXX", NULL);
        g_autofree char *server = g_strdup_printf("127.0.0.1:%u", port);
        g_autofree char *remove = g_strdup_printf("rm -r %s", dir);
        drv_init_options options = {.etc_dir = dir,
                                    .state_dir = dir,
                                    .node = "h8",
                                    .address = "127.0.0.8",
                                    .host_uuid = "11111111-2222-3333-4444-555555555555"};
        g_autoptr(GError) error = NULL;
        g_autoptr(drv_identity) clone = drv_join(&options, server, next, &error);

        g_assert_no_error(error);
        g_assert_cmpstr(clone->same_host_uuid, ==, "h9");
        g_assert_true(g_spawn_command_line_sync(remove, NULL, NULL, NULL, NULL));
    }
    test_node_free(other);
    test_node_free(founder);
}

static void test_expired(void)
{
    test_node *founder = test_node_found("h1");
    g_autofree char *token = test_token(founder, "join", 1, NULL);
    gint64 until = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
    g_autoptr(GError) error = NULL;

    /* Without a request the token is looked at but not used: ask until it is too old. */
    while (!g_error_matches(error, DRV_ERROR, DRV_ERROR_DENIED) && g_get_monotonic_time() < until) {
        g_autoptr(json_object) body = json_object_new_object();

        g_clear_error(&error);
        drv_json_set_string(body, "token", token);
        drv_json_set_string(body, "name", "h2");
        g_assert_null(drv_authority_join(founder->cluster, body, "127.0.0.2", &error));
    }
    g_assert_nonnull(strstr(error->message, "expired"));
    test_node_free(founder);
}

typedef struct {
    test_node *founder;
    const char *token;
    guint number;
    gboolean won;
} contender;

static gpointer contend(gpointer data)
{
    contender *one = data;
    g_autofree char *dir = g_dir_make_tmp("drover-race-XXXXXX", NULL);
    g_autofree char *server = g_strdup_printf("127.0.0.1:%u", one->founder->port);
    g_autofree char *remove = g_strdup_printf("rm -r %s", dir);
    g_autofree char *name = g_strdup_printf("c%u", one->number);
    g_autofree char *address = g_strdup_printf("127.0.1.%u", one->number + 1);
    drv_init_options options = {.etc_dir = dir, .state_dir = dir, .node = name, .address = address, .port = 7443};
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_identity) identity = drv_join(&options, server, one->token, &error);

    one->won = identity != NULL;
    if (!one->won)
        g_assert_error(error, DRV_ERROR, DRV_ERROR_DENIED);
    g_assert_true(g_spawn_command_line_sync(remove, NULL, NULL, NULL, NULL));
    return NULL;
}

static void test_race(void)
{
    test_node *founder = test_node_found("h1");
    g_autofree char *token = test_token(founder, "join", 60, NULL);
    contender all[6];
    GThread *threads[G_N_ELEMENTS(all)];
    guint winners = 0;

    for (guint i = 0; i < G_N_ELEMENTS(all); i++) {
        all[i] = (contender){.founder = founder, .token = token, .number = i};
        threads[i] = g_thread_new(NULL, contend, &all[i]);
    }
    for (guint i = 0; i < G_N_ELEMENTS(all); i++) {
        g_thread_join(threads[i]);
        winners += all[i].won;
    }
    g_assert_cmpuint(winners, ==, 1);
    test_node_free(founder);
}

static void expect_served(drv_client *client)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) answer = test_get(client, "/v1/version", &error);

    g_assert_no_error(error);
    g_assert_nonnull(answer);
}

static void expect_revoked(drv_client *client)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(test_get(client, "/v1/version", &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_DENIED);
    g_assert_nonnull(strstr(error->message, "revoked"));
}

static void test_revoke(void)
{
    test_node *founder = test_node_found("h1");
    test_node *second = test_node_join("h2", founder, TRUE);
    test_node *third = test_node_join("h3", founder, TRUE);
    g_autoptr(drv_client) to_founder = test_client(third, founder);
    g_autoptr(drv_client) to_second = test_client(third, second);
    g_autoptr(drv_client) admin = test_person(founder, second);
    const drv_peers *peers = drv_cluster_peers(second->cluster);
    g_autoptr(json_object) answer = NULL;
    g_autoptr(GPtrArray) members = NULL;
    g_autoptr(GError) error = NULL;
    test_node *again;

    expect_served(to_founder);
    expect_served(to_second);
    answer = peers->call(peers->data, "h3", "GET", "/v1/peer/hello", NULL, 5000, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(drv_json_string(answer, "caller", NULL), ==, "h2");
    g_clear_pointer(&answer, json_object_put);
    /* Asked of a node that is not the founder, who sends us there. When it returns, all that can be reached know. */
    answer = drv_client_call(admin, "DELETE", "/v1/nodes/h3", NULL, 0, &error);
    g_assert_no_error(error);
    expect_revoked(to_founder);
    expect_revoked(to_second);
    members = peers->members(peers->data);
    g_assert_cmpuint(members->len, ==, 2);
    g_assert_null(peers->call(peers->data, "h3", "GET", "/v1/peer/hello", NULL, 5000, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND);
    test_node_free(third);
    /* The name comes back with a new token, the old certificate does not. */
    again = test_node_join("h3", founder, FALSE);
    g_clear_pointer(&to_second, drv_client_free);
    to_second = test_client(again, second);
    expect_served(to_second);
    test_node_free(again);
    test_node_free(second);
    test_node_free(founder);
}

/* The certificate of an earlier stay, on the node's own address: callers are not taken in. */
static void test_old_certificate(void)
{
    test_node *founder = test_node_found("h1");
    test_node *second = test_node_join("h2", founder, TRUE);
    const drv_peers *peers = drv_cluster_peers(founder->cluster);
    g_autoptr(json_object) document = drv_cluster_document(founder->cluster);
    json_object *members = json_object_object_get(document, "members");
    g_autoptr(json_object) answer = NULL;
    g_autoptr(GError) error = NULL;

    answer = peers->call(peers->data, "h2", "GET", "/v1/peer/hello", NULL, 5000, &error);
    g_assert_no_error(error);
    /* As if h2 had joined anew, with another key, and this one were still there. */
    for (gsize i = 0; i < json_object_array_length(members); i++) {
        json_object *one = json_object_array_get_idx(members, i);

        if (g_str_equal(drv_json_string(one, "name", NULL), "h2"))
            drv_json_set_string(one, "pin", "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    }
    drv_json_set_int(document, "version", drv_json_int(document, "version", 0) + 1);
    g_assert_true(drv_cluster_apply(founder->cluster, document, &error));
    g_assert_null(peers->call(peers->data, "h2", "GET", "/v1/peer/hello", NULL, 5000, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_DENIED);
    test_node_free(second);
    test_node_free(founder);
}

static void test_founder_away(void)
{
    test_node *founder = test_node_found("h1");
    test_node *second = test_node_join("h2", founder, TRUE);
    g_autofree char *token = test_token(founder, "operator", 60, NULL);
    g_autoptr(drv_client) bearer = test_bearer_client(token, founder, second);
    g_autoptr(drv_client) admin = test_person(founder, second);
    g_autoptr(json_object) wish = json_tokener_parse("{\"kind\":\"join\"}");
    g_autoptr(json_object) answer = NULL;
    g_autoptr(GError) error = NULL;

    expect_served(bearer); /* the push came with the token */
    answer = drv_client_call(admin, "POST", "/v1/tokens", wish, 0, &error);
    g_assert_no_error(error);
    test_node_stop(founder);
    expect_served(bearer);
    g_assert_null(drv_client_call(admin, "POST", "/v1/tokens", wish, 0, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE);
    g_assert_nonnull(strstr(error->message, "droverd is not running"));
    /* Also after a restart, from its own store. */
    test_node_stop(second);
    test_node_start(second);
    expect_served(bearer);
    test_node_free(second);
    test_node_start(founder);
    test_node_free(founder);
}

/* By way of a node that cannot sign. */
static void test_join_at_other_node(void)
{
    test_node *founder = test_node_found("h1");
    test_node *second = test_node_join("h2", founder, TRUE);
    g_autofree char *token = test_token(founder, "join", 60, NULL);

    expect_refusal(second->port, "h1", "127.0.0.3", 7, token, DRV_ERROR_CONFLICT, "a node h1");
    {
        g_autofree char *dir = g_dir_make_tmp("drover-join-XXXXXX", NULL);
        g_autofree char *server = g_strdup_printf("localhost:%u", second->port);
        g_autofree char *remove = g_strdup_printf("rm -r %s", dir);
        drv_init_options options = {.etc_dir = dir, .state_dir = dir, .node = "h3", .address = "127.0.0.3"};
        g_autoptr(GError) error = NULL;
        g_autoptr(drv_identity) identity = drv_join(&options, server, token, &error);

        g_assert_no_error(error);
        g_assert_cmpstr(identity->founder, ==, "h1");
        g_assert_true(g_spawn_command_line_sync(remove, NULL, NULL, NULL, NULL));
    }
    test_node_free(second);
    test_node_free(founder);
}

/* ---- what somebody writes into the store who does not have the authority's key ---- */

/* Changes the document of token @text there, as @change says. */
static void forge(test_node *node, const char *text, void (*change)(json_object *document))
{
    g_autofree char *id = g_strndup(strchr(text, '.') + 1, DRV_TOKEN_ID_TEXT);
    g_autoptr(drv_document) stored = drv_store_get(node->store, DRV_TOKENS_BUCKET, id, NULL);
    g_autoptr(json_object) document = json_tokener_parse(stored->json);
    g_autoptr(GError) error = NULL;

    change(document);
    drv_store_put(node->store, DRV_TOKENS_BUCKET, id, json_object_to_json_string(document), DRV_REVISION_ANY, NULL,
                  &error);
    g_assert_no_error(error);
    g_assert_true(drv_authority_publish(node->cluster, &error)); /* somebody else changes anything */
}

static void nothing(json_object *document)
{
}

static void unsign(json_object *document)
{
    json_object_object_del(document, "signature");
}

static void make_operator(json_object *document)
{
    drv_json_set_string(document, "kind", "operator");
}

static void make_join(json_object *document)
{
    drv_json_set_string(document, "kind", "join");
}

static void live_longer(json_object *document)
{
    drv_json_set_int(document, "expires_ms", drv_json_int(document, "expires_ms", 0) + 3600000);
}

static void other_secret(json_object *document)
{
    drv_json_set_string(document, "hash", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void bend_signature(json_object *document)
{
    drv_json_set_string(document, "signature", "AAAA");
}

static void test_forged_tokens(void)
{
    static void (*const changes[])(json_object *) = {unsign, live_longer, other_secret, make_join, bend_signature};
    test_node *founder = test_node_found("h1");
    g_autofree char *good = test_token(founder, "operator", 60, NULL);
    g_autofree char *joins = test_token(founder, "join", 60, NULL);
    g_autofree char *bent = test_token(founder, "join", 60, NULL);
    g_autofree char *id = NULL;

    forge(founder, good, nothing);
    g_assert_true(drv_cluster_admit_bearer(founder->cluster, good, &id, NULL));
    for (guint i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_autofree char *text = test_token(founder, "operator", 60, NULL);
        g_autofree char *none = NULL;
        g_autoptr(GError) error = NULL;

        g_assert_true(drv_cluster_admit_bearer(founder->cluster, text, &none, NULL));
        g_clear_pointer(&none, g_free);
        forge(founder, text, changes[i]);
        g_assert_false(drv_cluster_admit_bearer(founder->cluster, text, &none, &error));
        g_assert_error(error, DRV_ERROR, DRV_ERROR_DENIED);
    }
    /* A join token is not made an operator's, and one that nobody has signed lets nobody in. */
    forge(founder, joins, make_operator);
    g_clear_pointer(&id, g_free);
    g_assert_false(drv_cluster_admit_bearer(founder->cluster, joins, &id, NULL));
    forge(founder, bent, unsign);
    expect_refusal(founder->port, "h2", "127.0.0.2", 7, bent, DRV_ERROR_DENIED, "not a join token of this cluster");
    test_node_free(founder);
}

/* A membership without what had been revoked: it stays so at whoever knew it, also after a restart. */
static void test_revoked_stays(void)
{
    test_node *founder = test_node_found("h1");
    test_node *second = test_node_join("h2", founder, TRUE);
    test_node *third = test_node_join("h3", founder, FALSE);
    g_autoptr(drv_client) client = test_client(third, second);
    g_autoptr(json_object) before = drv_cluster_document(second->cluster);
    g_autoptr(json_object) answer = NULL;
    g_autoptr(GError) error = NULL;

    answer = drv_authority_revoke(founder->cluster, "h3", &error);
    g_assert_no_error(error);
    expect_revoked(client);
    drv_json_set_int(before, "version", drv_clock_real_ms() + 3600000);
    g_assert_true(drv_cluster_apply(second->cluster, before, &error));
    expect_revoked(client);
    test_node_stop(second);
    test_node_start(second);
    expect_revoked(client);
    test_node_free(third);
    test_node_free(second);
    test_node_free(founder);
}

/* Nobody is sent to a node that only says that it has the authority's key. */
static void test_forged_signer(void)
{
    test_node *founder = test_node_found("h1");
    test_node *second = test_node_join("h2", founder, TRUE);
    test_node *third = test_node_join("h3", founder, TRUE);
    g_autoptr(json_object) document = NULL;

    drv_cluster_push(founder->cluster);
    document = drv_cluster_document(second->cluster);
    for (int with = 0; with < 2; with++) {
        json_object *members = json_object_object_get(document, "members");
        g_autoptr(GError) error = NULL;

        for (gsize i = 0; i < json_object_array_length(members); i++) {
            json_object *one = json_object_array_get_idx(members, i);

            json_object_object_add(one, "founder", json_object_new_boolean(TRUE));
            json_object_object_add(one, "signs", json_object_new_boolean(TRUE));
            if (with)
                g_assert_true(drv_signed_signer(founder->identity, one, NULL));
        }
        drv_json_set_int(document, "version", drv_json_int(document, "version", 0) + 3600000);
        g_assert_true(drv_cluster_apply(second->cluster, document, &error));
        test_node_stop(founder);
        g_assert_null(drv_cluster_send_to_signer(second->cluster, &error));
        g_assert_cmpstr(error->message, ==, with ? "h3" : "h1");
        test_node_start(founder);
    }
    test_node_free(third);
    test_node_free(second);
    test_node_free(founder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN); /* as the programs do */
    g_test_add_func("/join/refusals", test_refusals);
    g_test_add_func("/join/expired", test_expired);
    g_test_add_func("/join/race", test_race);
    g_test_add_func("/join/revoke", test_revoke);
    g_test_add_func("/join/old-certificate", test_old_certificate);
    g_test_add_func("/join/founder-away", test_founder_away);
    g_test_add_func("/join/at-other-node", test_join_at_other_node);
    g_test_add_func("/join/forged-tokens", test_forged_tokens);
    g_test_add_func("/join/revoked-stays", test_revoked_stays);
    g_test_add_func("/join/forged-signer", test_forged_signer);
    return g_test_run();
}
