/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates: the cluster's authority, nodes, operators, requests. PEM in, PEM out;
 * pure functions over GnuTLS, no files, no state. Any thread.
 */
#pragma once

#include <glib.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "hyper/gerror.h"

#define DRV_PKI_NODE "node"            /* O= of a node's certificate */
#define DRV_PKI_OPERATOR "operator"    /* O= of an operator's */
#define DRV_PKI_OPERATOR_S (24 * 3600) /* how long an operator's is good */

/** drv_pki_error() - set @error from a GnuTLS result: "<what>: <GnuTLS's words>". */
void drv_pki_error(GError **error, int code, int rc, const char *what);

/** drv_pki_key_new() - a fresh ECDSA P-256 key as PEM. Transfer full. */
char *drv_pki_key_new(GError **error);

/** drv_pki_ca_new() - a self-signed authority, 20 years, CN "Drover cluster <@cluster>". */
char *drv_pki_ca_new(const char *key_pem, const char *cluster, GError **error);

/** drv_pki_request_new() - a certificate request for @name. */
char *drv_pki_request_new(const char *key_pem, const char *name, GError **error);

/**
 * drv_pki_sign() - sign a certificate for the key of @request (whose own signature is
 * checked: it proves possession). Nothing but the key is taken from the request.
 * @organization: DRV_PKI_NODE (names it <name>.drover, localhost, @address, loopback;
 * server and client; 10 years) or DRV_PKI_OPERATOR (client only, DRV_PKI_OPERATOR_S; @address unused)
 * Return: the leaf as PEM.
 */
char *drv_pki_sign(const char *ca_pem, const char *ca_key_pem, const char *request, const char *organization,
                   const char *name, const char *address, GError **error);

/** drv_pki_is_short_lived() - is it good for as long as drv_pki_sign() makes an operator's, or shorter? */
gboolean drv_pki_is_short_lived(gnutls_x509_crt_t certificate);

/** drv_pki_load() - the first certificate of a PEM text; gnutls_x509_crt_deinit() it. */
gnutls_x509_crt_t drv_pki_load(const char *pem, GError **error);

/** drv_pki_fingerprint() - hex SHA-256 of the certificate. Transfer full; NULL if it cannot be computed. */
char *drv_pki_fingerprint(gnutls_x509_crt_t certificate);
char *drv_pki_fingerprint_der(const gnutls_datum_t *der);

/** drv_pki_key_fingerprint() - hex SHA-256 of the public key. Transfer full; NULL if it cannot be computed. */
char *drv_pki_key_fingerprint(gnutls_x509_crt_t certificate);

/** drv_pki_pin() - "sha256//<base64>" of the public key, as libcurl wants it. Transfer full. */
char *drv_pki_pin(gnutls_x509_crt_t certificate);

/** drv_pki_subject() - one part of the subject (GNUTLS_OID_X520_…); transfer full, NULL if absent. */
char *drv_pki_subject(gnutls_x509_crt_t certificate, const char *oid);

/** drv_pki_seal() - @text signed with a key, in base64. Transfer full. */
char *drv_pki_seal(const char *key_pem, const char *text, GError **error);
/** drv_pki_seal_is() - is @seal one of @text with the key of the first certificate of @pem? */
gboolean drv_pki_seal_is(const char *pem, const char *text, const char *seal);

/** drv_pki_check_pair() - does the first certificate of @pem belong to @key_pem? */
gboolean drv_pki_check_pair(const char *pem, const char *key_pem, GError **error);

/**
 * drv_pki_check_chain() - is @leaf signed by @ca, in force, and good for @purpose
 * (GNUTLS_KP_TLS_WWW_SERVER, …_CLIENT)? @hostname: what it must be named, or NULL.
 */
gboolean drv_pki_check_chain(gnutls_x509_crt_t leaf, gnutls_x509_crt_t ca, const char *purpose, const char *hostname,
                             GError **error);
