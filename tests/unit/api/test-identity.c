/* SPDX-License-Identifier: Apache-2.0 */
/* Identities on disk, and certificates that are good, foreign, expired or for something else. */
#include <glib.h>
#include <signal.h>
#include <glib/gstdio.h>
#include <gnutls/abstract.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cluster/identity.h"
#include "cluster/join.h"
#include "cluster/pki.h"

#define UUID "5a4f5e0c-0b7e-4f0e-9a39-1d2b6d1f1e11"

G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_x509_crt_t, gnutls_x509_crt_deinit, NULL)

static char *scratch(void)
{
    return g_dir_make_tmp("drover-identity-XXXXXX", NULL);
}

static void remove_dir(const char *path)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);

        if (g_file_test(file, G_FILE_TEST_IS_DIR))
            remove_dir(file);
        else
            g_unlink(file);
    }
    g_dir_close(dir);
    g_rmdir(path);
}

static void test_round_trip(void)
{
    g_autofree char *dir = scratch();
    g_autofree char *etc = g_build_filename(dir, "etc", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_identity) made = drv_identity_init(etc, UUID, "h1", "192.0.2.7", 7443, &error);
    g_autoptr(drv_identity) loaded = NULL;
    g_autoptr(drv_identity) again = NULL;
    static const char *const secret[] = {"ca.key", "node.key", "operator.key", "node.json"};

    g_assert_no_error(error);
    loaded = drv_identity_load(etc, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(loaded->node, ==, "h1");
    g_assert_cmpstr(loaded->cluster, ==, UUID);
    g_assert_cmpstr(loaded->address, ==, "192.0.2.7");
    g_assert_cmpuint(loaded->port, ==, 7443);
    g_assert_cmpstr(loaded->ca_fingerprint, ==, made->ca_fingerprint);
    g_assert_cmpstr(loaded->node_fingerprint, ==, made->node_fingerprint);
    g_assert_nonnull(loaded->ca_key_pem);
    for (guint i = 0; i < G_N_ELEMENTS(secret); i++) {
        g_autofree char *path = g_build_filename(etc, secret[i], NULL);
        struct stat info;

        g_assert_cmpint(stat(path, &info), ==, 0);
        g_assert_cmpuint(info.st_mode & 0777, ==, 0600);
    }
    again = drv_identity_init(etc, UUID, "h2", "192.0.2.7", 7443, &error);
    g_assert_null(again);
    g_assert_error(error, DRV_ERROR, DRV_ERROR_CONFLICT);
    remove_dir(dir);
}

static void copy(const char *from_dir, const char *to_dir, const char *name)
{
    g_autofree char *from = g_build_filename(from_dir, name, NULL);
    g_autofree char *to = g_build_filename(to_dir, name, NULL);
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents(from, &text, NULL, NULL));
    g_assert_true(g_file_set_contents(to, text, -1, NULL));
}

/* Files of two identities mixed up, one at a time. */
static void test_mixed_up(void)
{
    static const char *const names[] = {"ca.crt", "ca.key", "node.crt", "node.key"};

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *dir = scratch();
        g_autofree char *one = g_build_filename(dir, "one", NULL);
        g_autofree char *two = g_build_filename(dir, "two", NULL);
        g_autoptr(drv_identity) a = drv_identity_init(one, UUID, "h1", "192.0.2.7", 7443, NULL);
        g_autoptr(drv_identity) b = drv_identity_init(two, UUID, "h1", "192.0.2.7", 7443, NULL);
        g_autoptr(GError) error = NULL;

        g_assert_true(a && b);
        copy(two, one, names[i]);
        g_assert_null(drv_identity_load(one, &error));
        g_assert_error(error, DRV_ERROR, DRV_ERROR_FAILED);
        remove_dir(dir);
    }
}

static void test_damaged(void)
{
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "null",
        "{\"node\":\"../x\"}",
        "{\"cluster\":\"" UUID "\",\"node\":\"h1\",\"address\":\"0.0.0.0\",\"port\":7443,"
        "\"founder\":\"h1\"}",
        "{\"cluster\":\"" UUID "\",\"node\":\"h1\",\"address\":\"192.0.2.7\",\"port\":0,"
        "\"founder\":\"h1\"}",
    };
    g_autofree char *dir = scratch();
    g_autofree char *path = g_build_filename(dir, "node.json", NULL);
    g_autoptr(GError) error = NULL;

    g_assert_null(drv_identity_load(dir, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND);
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_clear_error(&error);
        g_assert_true(g_file_set_contents(path, texts[i], -1, NULL));
        g_assert_null(drv_identity_load(dir, &error));
        g_assert_error(error, DRV_ERROR, DRV_ERROR_FAILED);
    }
    remove_dir(dir);
}

static void test_names(void)
{
    static const char *const bad_names[] = {
        "",    "-", "a-",
        "-a",  "A", "a.b",
        "a b", "ä", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    static const char *const bad_addresses[] = {
        "", "0.0.0.0", "::", "h1", "127.0.0.1:1", "224.0.0.1", "fe80::1", "ff02::1", "::ffff:192.0.2.1", "1.2.3"};

    g_assert_true(drv_node_name_check("h1", NULL));
    g_assert_true(drv_node_name_check("rack-7-node-12", NULL));
    for (guint i = 0; i < G_N_ELEMENTS(bad_names); i++)
        g_assert_false(drv_node_name_check(bad_names[i], NULL));
    g_assert_true(drv_address_check("192.0.2.1", NULL));
    g_assert_true(drv_address_check("2001:db8::7", NULL));
    for (guint i = 0; i < G_N_ELEMENTS(bad_addresses); i++)
        g_assert_false(drv_address_check(bad_addresses[i], NULL));
}

typedef struct {
    char *key;
    char *pem;
} authority;

static authority authority_new(void)
{
    authority made = {.key = drv_pki_key_new(NULL)};

    made.pem = drv_pki_ca_new(made.key, UUID, NULL);
    g_assert_nonnull(made.pem);
    return made;
}

static gnutls_x509_crt_t signed_by(const authority *by, const char *organization)
{
    g_autofree char *key = drv_pki_key_new(NULL);
    g_autofree char *request = drv_pki_request_new(key, "h1", NULL);
    g_autofree char *leaf = drv_pki_sign(by->pem, by->key, request, organization, "h1", "2001:db8::7", NULL);

    g_assert_nonnull(leaf);
    return drv_pki_load(leaf, NULL);
}

static void test_chain(void)
{
    authority ours = authority_new(), theirs = authority_new();
    g_auto(gnutls_x509_crt_t) ca = drv_pki_load(ours.pem, NULL);
    g_auto(gnutls_x509_crt_t) other_ca = drv_pki_load(theirs.pem, NULL);
    g_auto(gnutls_x509_crt_t) node = signed_by(&ours, DRV_PKI_NODE);
    g_auto(gnutls_x509_crt_t) person = signed_by(&ours, DRV_PKI_OPERATOR);
    g_autofree char *name = drv_pki_subject(node, GNUTLS_OID_X520_COMMON_NAME);
    g_autofree char *organization = drv_pki_subject(node, GNUTLS_OID_X520_ORGANIZATION_NAME);
    const char *server = GNUTLS_KP_TLS_WWW_SERVER, *client = GNUTLS_KP_TLS_WWW_CLIENT;

    g_assert_cmpstr(name, ==, "h1");
    g_assert_cmpstr(organization, ==, "node");
    g_assert_true(drv_pki_check_chain(node, ca, server, "h1.drover", NULL));
    g_assert_true(drv_pki_check_chain(node, ca, client, NULL, NULL));
    g_assert_true(drv_pki_check_chain(person, ca, client, NULL, NULL));
    g_assert_false(drv_pki_check_chain(node, ca, server, "h2.drover", NULL));
    g_assert_false(drv_pki_check_chain(person, ca, server, NULL, NULL));
    g_assert_false(drv_pki_check_chain(node, other_ca, client, NULL, NULL));
    g_free(ours.key);
    g_free(ours.pem);
    g_free(theirs.key);
    g_free(theirs.pem);
}

/* A node cannot make nodes, although its own certificate is good. */
static void test_node_as_authority(void)
{
    authority ours = authority_new();
    g_autofree char *key = drv_pki_key_new(NULL);
    g_autofree char *request = drv_pki_request_new(key, "h1", NULL);
    authority node = {.key = key,
                      .pem = drv_pki_sign(ours.pem, ours.key, request, DRV_PKI_NODE, "h1", "192.0.2.1", NULL)};
    g_auto(gnutls_x509_crt_t) ca = drv_pki_load(ours.pem, NULL);
    g_auto(gnutls_x509_crt_t) issuer = drv_pki_load(node.pem, NULL);
    g_auto(gnutls_x509_crt_t) made = signed_by(&node, DRV_PKI_NODE);

    g_assert_false(drv_pki_check_chain(made, ca, GNUTLS_KP_TLS_WWW_CLIENT, NULL, NULL));
    g_assert_false(drv_pki_check_chain(made, issuer, GNUTLS_KP_TLS_WWW_CLIENT, NULL, NULL));
    g_free(node.pem);
    g_free(ours.key);
    g_free(ours.pem);
}

/* Signed by the authority itself, but not in force now. */
static gnutls_x509_crt_t dated(const authority *by, time_t from, time_t to)
{
    gnutls_x509_privkey_t key, ca_key;
    gnutls_x509_crt_t leaf, ca = drv_pki_load(by->pem, NULL);
    gnutls_datum_t data = {(unsigned char *)by->key, (unsigned)strlen(by->key)};

    gnutls_x509_privkey_init(&key);
    gnutls_x509_privkey_init(&ca_key);
    gnutls_x509_privkey_import(ca_key, &data, GNUTLS_X509_FMT_PEM);
    gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    gnutls_x509_crt_init(&leaf);
    gnutls_x509_crt_set_version(leaf, 3);
    gnutls_x509_crt_set_serial(leaf, "\x01", 1);
    gnutls_x509_crt_set_key(leaf, key);
    gnutls_x509_crt_set_dn_by_oid(leaf, GNUTLS_OID_X520_COMMON_NAME, 0, "h1", 2);
    gnutls_x509_crt_set_activation_time(leaf, from);
    gnutls_x509_crt_set_expiration_time(leaf, to);
    gnutls_x509_crt_set_key_purpose_oid(leaf, GNUTLS_KP_TLS_WWW_CLIENT, 0);
    g_assert_cmpint(gnutls_x509_crt_sign2(leaf, ca, ca_key, GNUTLS_DIG_SHA256, 0), ==, 0);
    gnutls_x509_privkey_deinit(key);
    gnutls_x509_privkey_deinit(ca_key);
    gnutls_x509_crt_deinit(ca);
    /* What has only just been signed has no issuer to look at: read it as others would. */
    g_assert_cmpint(gnutls_x509_crt_export2(leaf, GNUTLS_X509_FMT_DER, &data), ==, 0);
    gnutls_x509_crt_deinit(leaf);
    gnutls_x509_crt_init(&leaf);
    g_assert_cmpint(gnutls_x509_crt_import(leaf, &data, GNUTLS_X509_FMT_DER), ==, 0);
    gnutls_free(data.data);
    return leaf;
}

static void test_dates(void)
{
    authority ours = authority_new();
    time_t now = time(NULL);
    g_auto(gnutls_x509_crt_t) ca = drv_pki_load(ours.pem, NULL);
    g_auto(gnutls_x509_crt_t) good = dated(&ours, now - 100, now + 100000);
    g_auto(gnutls_x509_crt_t) old = dated(&ours, now - 200, now - 100);
    g_auto(gnutls_x509_crt_t) early = dated(&ours, now + 100000, now + 200000);
    g_autoptr(GError) error = NULL;

    drv_pki_check_chain(good, ca, GNUTLS_KP_TLS_WWW_CLIENT, NULL, &error);
    g_assert_no_error(error);
    g_assert_false(drv_pki_check_chain(old, ca, GNUTLS_KP_TLS_WWW_CLIENT, NULL, &error));
    g_assert_nonnull(strstr(error->message, "expired"));
    g_clear_error(&error);
    g_assert_false(drv_pki_check_chain(early, ca, GNUTLS_KP_TLS_WWW_CLIENT, NULL, &error));
    g_assert_nonnull(strstr(error->message, "clock"));
    g_free(ours.key);
    g_free(ours.pem);
}

static void test_requests(void)
{
    authority ours = authority_new();
    g_autofree char *key = drv_pki_key_new(NULL);
    g_autofree char *request = drv_pki_request_new(key, "h1", NULL);
    static const char *const garbage[] = {"", "x",
                                          ("-----BEGIN NEW CERTIFICATE REQUEST-----\nAAAA\n"
                                           "-----END NEW CERTIFICATE REQUEST-----\n")};
    gsize middle = strlen(request) / 2;

    for (guint i = 0; i < G_N_ELEMENTS(garbage); i++)
        g_assert_null(drv_pki_sign(ours.pem, ours.key, garbage[i], DRV_PKI_NODE, "h1", "192.0.2.1", NULL));
    /* Another key put into a signed request: possession is not proved. */
    request[middle] = request[middle] == 'A' ? 'B' : 'A';
    g_assert_null(drv_pki_sign(ours.pem, ours.key, request, DRV_PKI_NODE, "h1", "192.0.2.1", NULL));
    g_free(ours.key);
    g_free(ours.pem);
}

static void test_init_twice(void)
{
    g_autofree char *dir = scratch();
    g_autofree char *etc = g_build_filename(dir, "etc", NULL);
    g_autofree char *state = g_build_filename(dir, "state", NULL);
    drv_init_options options = {.etc_dir = etc, .state_dir = state, .node = "h1", .address = "192.0.2.7"};
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_identity) first = drv_init(&options, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(first->port, ==, 7443);
    g_assert_null(drv_init(&options, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_CONFLICT);
    g_clear_error(&error);
    options.node = "Not A Name";
    g_assert_null(drv_init(&options, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_INVALID);
    remove_dir(dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN); /* as the programs do */
    g_test_add_func("/identity/round-trip", test_round_trip);
    g_test_add_func("/identity/mixed-up", test_mixed_up);
    g_test_add_func("/identity/damaged", test_damaged);
    g_test_add_func("/identity/names", test_names);
    g_test_add_func("/identity/chain", test_chain);
    g_test_add_func("/identity/node-as-authority", test_node_as_authority);
    g_test_add_func("/identity/dates", test_dates);
    g_test_add_func("/identity/requests", test_requests);
    g_test_add_func("/identity/init-twice", test_init_twice);
    return g_test_run();
}
