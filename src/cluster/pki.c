/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates: see pki.h. */
#include "cluster/pki.h"

#include <arpa/inet.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <string.h>
#include <time.h>

#include "base/hex.h"
#include "base/paths.h"

/* Clocks of hosts differ: what is signed now was valid yesterday. */
#define BACKDATE_S (24 * 3600)
#define CA_S (20LL * 365 * 24 * 3600)
#define LEAF_S (10LL * 365 * 24 * 3600)
#define SERIAL_BYTES 16
#define DIGEST_BYTES 32

G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_x509_privkey_t, gnutls_x509_privkey_deinit, NULL)
G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_x509_crt_t, gnutls_x509_crt_deinit, NULL)
G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_x509_crq_t, gnutls_x509_crq_deinit, NULL)
G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_pubkey_t, gnutls_pubkey_deinit, NULL)
G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_privkey_t, gnutls_privkey_deinit, NULL)

void drv_pki_error(GError **error, int code, int rc, const char *what)
{
    g_set_error(error, DRV_ERROR, code, "%s: %s", what, gnutls_strerror(rc));
}

static gnutls_datum_t datum(const char *text)
{
    return (gnutls_datum_t){.data = (unsigned char *)(gsize)text, .size = (unsigned)strlen(text)};
}

/* GnuTLS allocates with malloc, we hand out what g_free() takes. */
static char *take_text(gnutls_datum_t *from)
{
    char *text = g_strndup((const char *)from->data, from->size);

    gnutls_memset(from->data, 0, from->size);
    gnutls_free(from->data);
    return text;
}

static gnutls_x509_privkey_t load_key(const char *pem, GError **error)
{
    g_auto(gnutls_x509_privkey_t) key = NULL;
    gnutls_datum_t data = datum(pem);
    int rc = gnutls_x509_privkey_init(&key);

    if (rc >= 0)
        rc = gnutls_x509_privkey_import(key, &data, GNUTLS_X509_FMT_PEM);
    if (rc < 0) {
        drv_pki_error(error, DRV_ERROR_INVALID, rc, "cannot read the private key");
        return NULL;
    }
    return g_steal_pointer(&key);
}

gnutls_x509_crt_t drv_pki_load(const char *pem, GError **error)
{
    g_auto(gnutls_x509_crt_t) certificate = NULL;
    gnutls_datum_t data = datum(pem);
    int rc = gnutls_x509_crt_init(&certificate);

    if (rc >= 0)
        rc = gnutls_x509_crt_import(certificate, &data, GNUTLS_X509_FMT_PEM);
    if (rc < 0) {
        drv_pki_error(error, DRV_ERROR_INVALID, rc, "cannot read the certificate");
        return NULL;
    }
    return g_steal_pointer(&certificate);
}

char *drv_pki_key_new(GError **error)
{
    g_auto(gnutls_x509_privkey_t) key = NULL;
    gnutls_datum_t pem;
    int rc = gnutls_x509_privkey_init(&key);

    if (rc >= 0)
        rc = gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    if (rc >= 0)
        rc = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &pem);
    if (rc < 0) {
        drv_pki_error(error, DRV_ERROR_FAILED, rc, "cannot make a private key");
        return NULL;
    }
    return take_text(&pem);
}

/* What the authority's and everybody's certificates have in common. */
static int begin(gnutls_x509_crt_t certificate, gint64 seconds)
{
    unsigned char serial[SERIAL_BYTES];
    time_t now = time(NULL);
    int rc = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof serial);

    serial[0] = (unsigned char)((serial[0] & 0x7f) | 0x40); /* positive, and never shorter */
    if (rc >= 0)
        rc = gnutls_x509_crt_set_version(certificate, 3);
    if (rc >= 0)
        rc = gnutls_x509_crt_set_serial(certificate, serial, sizeof serial);
    if (rc >= 0)
        rc = gnutls_x509_crt_set_activation_time(certificate, now - BACKDATE_S);
    if (rc >= 0)
        rc = gnutls_x509_crt_set_expiration_time(certificate, (time_t)(now + seconds));
    return rc;
}

static int set_key_id(gnutls_x509_crt_t certificate)
{
    unsigned char id[64];
    size_t size = sizeof id;
    int rc = gnutls_x509_crt_get_key_id(certificate, GNUTLS_KEYID_USE_SHA1, id, &size);

    return rc < 0 ? rc : gnutls_x509_crt_set_subject_key_id(certificate, id, size);
}

static int set_name(gnutls_x509_crt_t certificate, const char *oid, const char *value)
{
    return gnutls_x509_crt_set_dn_by_oid(certificate, oid, 0, value, (unsigned)strlen(value));
}

static char *export_pem(gnutls_x509_crt_t certificate, int rc, const char *what, GError **error)
{
    gnutls_datum_t pem;

    if (rc >= 0)
        rc = gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &pem);
    if (rc < 0) {
        drv_pki_error(error, DRV_ERROR_FAILED, rc, what);
        return NULL;
    }
    return take_text(&pem);
}

char *drv_pki_ca_new(const char *key_pem, const char *cluster, GError **error)
{
    g_auto(gnutls_x509_privkey_t) key = load_key(key_pem, error);
    g_auto(gnutls_x509_crt_t) ca = NULL;
    g_autofree char *name = g_strdup_printf("Drover cluster %s", cluster);
    int rc;

    if (!key)
        return NULL;
    rc = gnutls_x509_crt_init(&ca);
    if (rc >= 0)
        rc = begin(ca, CA_S);
    if (rc >= 0)
        rc = set_name(ca, GNUTLS_OID_X520_COMMON_NAME, name);
    if (rc >= 0)
        rc = gnutls_x509_crt_set_key(ca, key);
    if (rc >= 0)
        rc = gnutls_x509_crt_set_basic_constraints(ca, 1, 0);
    if (rc >= 0)
        rc = gnutls_x509_crt_set_key_usage(ca, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN);
    if (rc >= 0)
        rc = set_key_id(ca);
    if (rc >= 0)
        rc = gnutls_x509_crt_sign2(ca, ca, key, GNUTLS_DIG_SHA256, 0);
    return export_pem(ca, rc, "cannot make the authority's certificate", error);
}

char *drv_pki_request_new(const char *key_pem, const char *name, GError **error)
{
    g_auto(gnutls_x509_privkey_t) key = load_key(key_pem, error);
    g_auto(gnutls_x509_crq_t) request = NULL;
    gnutls_datum_t pem;
    int rc;

    if (!key)
        return NULL;
    rc = gnutls_x509_crq_init(&request);
    if (rc >= 0)
        rc = gnutls_x509_crq_set_version(request, 1);
    if (rc >= 0)
        rc = gnutls_x509_crq_set_dn_by_oid(request, GNUTLS_OID_X520_COMMON_NAME, 0, name, (unsigned)strlen(name));
    if (rc >= 0)
        rc = gnutls_x509_crq_set_key(request, key);
    if (rc >= 0)
        rc = gnutls_x509_crq_sign2(request, key, GNUTLS_DIG_SHA256, 0);
    if (rc >= 0)
        rc = gnutls_x509_crq_export2(request, GNUTLS_X509_FMT_PEM, &pem);
    if (rc < 0) {
        drv_pki_error(error, DRV_ERROR_FAILED, rc, "cannot make a certificate request");
        return NULL;
    }
    return take_text(&pem);
}

/* The request's key, if it is proved to be the sender's and is strong. */
static gnutls_pubkey_t request_key(const char *text, GError **error)
{
    g_auto(gnutls_x509_crq_t) request = NULL;
    g_auto(gnutls_pubkey_t) key = NULL;
    gnutls_datum_t data = datum(text);
    unsigned bits = 0;
    int algorithm, rc = gnutls_x509_crq_init(&request);

    if (rc >= 0)
        rc = gnutls_x509_crq_import(request, &data, GNUTLS_X509_FMT_PEM);
    if (rc >= 0)
        rc = gnutls_x509_crq_verify(request, 0);
    if (rc >= 0)
        rc = gnutls_pubkey_init(&key);
    if (rc >= 0)
        rc = gnutls_pubkey_import_x509_crq(key, request, 0);
    if (rc < 0) {
        drv_pki_error(error, DRV_ERROR_INVALID, rc, "the certificate request is not good");
        return NULL;
    }
    algorithm = gnutls_pubkey_get_pk_algorithm(key, &bits);
    if (algorithm != GNUTLS_PK_ECDSA || bits < 256) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "the certificate request has a %u bit %s key; an ECDSA key of at least 256 "
                    "bits is needed",
                    bits, gnutls_pk_get_name(algorithm));
        return NULL;
    }
    return g_steal_pointer(&key);
}

static int add_ip(gnutls_x509_crt_t certificate, const char *address)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    unsigned size = sizeof(struct in_addr);

    if (inet_pton(AF_INET, address, bytes) != 1) {
        if (inet_pton(AF_INET6, address, bytes) != 1)
            return GNUTLS_E_INVALID_REQUEST;
        size = sizeof(struct in6_addr);
    }
    return gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS, bytes, size, GNUTLS_FSAN_APPEND);
}

/* A node answers to its name, its address, and to its own host's loopback. */
static int add_names(gnutls_x509_crt_t certificate, const char *name, const char *address)
{
    static const char *const loopback[] = {"127.0.0.1", "::1"};
    g_autofree char *dns = g_strconcat(name, DRV_NODE_SUFFIX, NULL);
    const char *const names[] = {dns, "localhost"};
    int rc = 0;

    for (guint i = 0; rc >= 0 && i < G_N_ELEMENTS(names); i++)
        rc = gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, names[i], (unsigned)strlen(names[i]),
                                                  GNUTLS_FSAN_APPEND);
    for (guint i = 0; rc >= 0 && i < G_N_ELEMENTS(loopback); i++)
        if (!g_str_equal(address, loopback[i]))
            rc = add_ip(certificate, loopback[i]);
    return rc < 0 ? rc : add_ip(certificate, address);
}

char *drv_pki_sign(const char *ca_pem, const char *ca_key_pem, const char *request, const char *organization,
                   const char *name, const char *address, GError **error)
{
    g_auto(gnutls_x509_crt_t) ca = drv_pki_load(ca_pem, error);
    g_auto(gnutls_x509_privkey_t) ca_key = ca ? load_key(ca_key_pem, error) : NULL;
    g_auto(gnutls_pubkey_t) key = ca_key ? request_key(request, error) : NULL;
    g_auto(gnutls_x509_crt_t) leaf = NULL;
    gboolean server = g_str_equal(organization, DRV_PKI_NODE);
    unsigned char id[64];
    size_t id_size = sizeof id;
    int rc;

    if (!key)
        return NULL;
    rc = gnutls_x509_crt_init(&leaf);
    if (rc >= 0)
        rc = begin(leaf, server ? LEAF_S : DRV_PKI_OPERATOR_S);
    if (rc >= 0)
        rc = set_name(leaf, GNUTLS_OID_X520_ORGANIZATION_NAME, organization);
    if (rc >= 0)
        rc = set_name(leaf, GNUTLS_OID_X520_COMMON_NAME, name);
    if (rc >= 0)
        rc = gnutls_x509_crt_set_pubkey(leaf, key);
    if (rc >= 0)
        rc = gnutls_x509_crt_set_basic_constraints(leaf, 0, -1);
    if (rc >= 0)
        rc = gnutls_x509_crt_set_key_usage(leaf, GNUTLS_KEY_DIGITAL_SIGNATURE);
    if (rc >= 0)
        rc = gnutls_x509_crt_set_key_purpose_oid(leaf, GNUTLS_KP_TLS_WWW_CLIENT, 0);
    if (rc >= 0 && server)
        rc = gnutls_x509_crt_set_key_purpose_oid(leaf, GNUTLS_KP_TLS_WWW_SERVER, 0);
    if (rc >= 0 && server)
        rc = add_names(leaf, name, address);
    if (rc >= 0)
        rc = set_key_id(leaf);
    if (rc >= 0)
        rc = gnutls_x509_crt_get_subject_key_id(ca, id, &id_size, NULL);
    if (rc >= 0)
        rc = gnutls_x509_crt_set_authority_key_id(leaf, id, id_size);
    if (rc >= 0)
        rc = gnutls_x509_crt_sign2(leaf, ca, ca_key, GNUTLS_DIG_SHA256, 0);
    return export_pem(leaf, rc, "cannot sign the certificate", error);
}

gboolean drv_pki_is_short_lived(gnutls_x509_crt_t certificate)
{
    time_t from = gnutls_x509_crt_get_activation_time(certificate);
    time_t until = gnutls_x509_crt_get_expiration_time(certificate);

    return from != (time_t)-1 && until != (time_t)-1 && until - from <= BACKDATE_S + DRV_PKI_OPERATOR_S;
}

char *drv_pki_fingerprint_der(const gnutls_datum_t *der)
{
    unsigned char digest[DIGEST_BYTES];
    char text[2 * DIGEST_BYTES + 1];

    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, der->data, der->size, digest) < 0)
        return NULL;
    drv_hex_encode(text, digest, sizeof digest);
    return g_strdup(text);
}

char *drv_pki_fingerprint(gnutls_x509_crt_t certificate)
{
    gnutls_datum_t der;
    char *text;

    if (gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_DER, &der) < 0)
        return NULL;
    text = drv_pki_fingerprint_der(&der);
    gnutls_free(der.data);
    return text;
}

char *drv_pki_key_fingerprint(gnutls_x509_crt_t certificate)
{
    unsigned char digest[DIGEST_BYTES];
    char text[2 * DIGEST_BYTES + 1];
    size_t size = sizeof digest;

    if (gnutls_x509_crt_get_key_id(certificate, GNUTLS_KEYID_USE_SHA256, digest, &size) < 0)
        return NULL;
    drv_hex_encode(text, digest, sizeof digest);
    return g_strdup(text);
}

char *drv_pki_pin(gnutls_x509_crt_t certificate)
{
    unsigned char digest[DIGEST_BYTES];
    size_t size = sizeof digest;
    g_autofree char *text = NULL;

    if (gnutls_x509_crt_get_key_id(certificate, GNUTLS_KEYID_USE_SHA256, digest, &size) < 0)
        return NULL;
    text = g_base64_encode(digest, size);
    return g_strconcat("sha256//", text, NULL);
}

char *drv_pki_subject(gnutls_x509_crt_t certificate, const char *oid)
{
    char value[256];
    size_t size = sizeof value;

    if (gnutls_x509_crt_get_dn_by_oid(certificate, oid, 0, 0, value, &size) < 0)
        return NULL;
    return strlen(value) == size ? g_strdup(value) : NULL;
}

char *drv_pki_seal(const char *key_pem, const char *text, GError **error)
{
    g_auto(gnutls_x509_privkey_t) key = load_key(key_pem, error);
    g_auto(gnutls_privkey_t) signer = NULL;
    gnutls_datum_t data = datum(text), seal;
    char *encoded;
    int rc;

    if (!key)
        return NULL;
    rc = gnutls_privkey_init(&signer);
    if (rc >= 0)
        rc = gnutls_privkey_import_x509(signer, key, 0);
    if (rc >= 0)
        rc = gnutls_privkey_sign_data2(signer, GNUTLS_SIGN_ECDSA_SECP256R1_SHA256, 0, &data, &seal);
    if (rc < 0) {
        drv_pki_error(error, DRV_ERROR_FAILED, rc, "cannot sign");
        return NULL;
    }
    encoded = g_base64_encode(seal.data, seal.size);
    gnutls_free(seal.data);
    return encoded;
}

gboolean drv_pki_seal_is(const char *pem, const char *text, const char *seal)
{
    g_auto(gnutls_x509_crt_t) certificate = drv_pki_load(pem, NULL);
    g_auto(gnutls_pubkey_t) key = NULL;
    gsize size;
    g_autofree guchar *bytes = g_base64_decode(seal, &size);
    const gnutls_datum_t data = datum(text), signature = {.data = bytes, .size = (unsigned)size};

    return certificate && size && gnutls_pubkey_init(&key) >= 0 &&
           gnutls_pubkey_import_x509(key, certificate, 0) >= 0 &&
           gnutls_pubkey_verify_data2(key, GNUTLS_SIGN_ECDSA_SECP256R1_SHA256, 0, &data, &signature) >= 0;
}

gboolean drv_pki_check_pair(const char *pem, const char *key_pem, GError **error)
{
    g_auto(gnutls_x509_crt_t) certificate = drv_pki_load(pem, error);
    g_auto(gnutls_x509_privkey_t) key = certificate ? load_key(key_pem, error) : NULL;
    unsigned char of_certificate[64], of_key[64];
    size_t size = sizeof of_certificate, key_size = sizeof of_key;
    int rc;

    if (!key)
        return FALSE;
    rc = gnutls_x509_crt_get_key_id(certificate, GNUTLS_KEYID_USE_SHA256, of_certificate, &size);
    if (rc >= 0)
        rc = gnutls_x509_privkey_get_key_id(key, GNUTLS_KEYID_USE_SHA256, of_key, &key_size);
    if (rc < 0) {
        drv_pki_error(error, DRV_ERROR_INVALID, rc, "cannot compare key and certificate");
        return FALSE;
    }
    if (size != key_size || memcmp(of_certificate, of_key, size)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "the private key does not belong to the certificate");
        return FALSE;
    }
    return TRUE;
}

gboolean drv_pki_check_chain(gnutls_x509_crt_t leaf, gnutls_x509_crt_t ca, const char *purpose, const char *hostname,
                             GError **error)
{
    gnutls_x509_trust_list_t trust = NULL;
    gnutls_typed_vdata_st want[2] = {
        {.type = GNUTLS_DT_KEY_PURPOSE_OID, .data = (unsigned char *)(gsize)purpose},
        {.type = GNUTLS_DT_DNS_HOSTNAME, .data = (unsigned char *)(gsize)hostname},
    };
    unsigned status = 0;
    int rc = gnutls_x509_trust_list_init(&trust, 0);

    if (rc >= 0)
        rc = gnutls_x509_trust_list_add_cas(trust, &ca, 1, 0);
    if (rc >= 0)
        rc = gnutls_x509_trust_list_verify_crt2(trust, &leaf, 1, want, hostname ? 2 : 1, 0, &status, NULL);
    /* Not "all": the authority is the caller's. */
    gnutls_x509_trust_list_deinit(trust, 0);
    if (rc < 0) {
        drv_pki_error(error, DRV_ERROR_DENIED, rc, "cannot check the certificate");
        return FALSE;
    }
    if (status) {
        gnutls_datum_t words = {0};

        if (status & (GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_SIGNATURE_FAILURE))
            g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED, "the certificate is of another cluster");
        else if (status & GNUTLS_CERT_EXPIRED)
            g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED,
                        "the certificate has expired, or the clock of this host is wrong");
        else if (status & GNUTLS_CERT_NOT_ACTIVATED)
            g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED,
                        "the certificate is not valid yet: check the clocks of both hosts");
        else if (gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &words, 0) >= 0)
            g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED, "the certificate is refused: %s", (char *)words.data);
        else
            g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED, "the certificate is refused");
        gnutls_free(words.data);
        return FALSE;
    }
    return TRUE;
}
