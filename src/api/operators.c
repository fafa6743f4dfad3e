/* SPDX-License-Identifier: Apache-2.0 */
/* Operators' certificates: see operators.h. */
#include "api/operators.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "api/pki.h"
#include "api/publish.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#define FINGERPRINT_TEXT 64
#define CRT "operator.crt"
#define KEY "operator.key"

G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_x509_crt_t, gnutls_x509_crt_deinit, NULL)

static char *text_of(const char *dir, const char *name)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) ? text : NULL;
}

static void forget(char **secret)
{
    if (*secret)
        explicit_bzero(*secret, strlen(*secret));
    g_clear_pointer(secret, g_free);
}

/* Is it good for @seconds more? */
static gboolean is_good(const char *pem, const char *key_pem, const char *ca_pem, time_t seconds)
{
    g_auto(gnutls_x509_crt_t) leaf = pem ? drv_pki_load(pem, NULL) : NULL;
    g_auto(gnutls_x509_crt_t) ca = ca_pem ? drv_pki_load(ca_pem, NULL) : NULL;

    return leaf && ca && key_pem && drv_pki_check_pair(pem, key_pem, NULL) &&
           drv_pki_is_short_lived(leaf) &&
           drv_pki_check_chain(leaf, ca, GNUTLS_KP_TLS_WWW_CLIENT, NULL, NULL) &&
           gnutls_x509_crt_get_expiration_time(leaf) > time(NULL) + seconds;
}

/* A certificate of a day for the key that is there, or for a new one. */
static gboolean renew(const char *dir, const char *ca_pem, const char *ca_key_pem, char **key_pem)
{
    g_autofree char *request = *key_pem ? drv_pki_request_new(*key_pem, "root", NULL) : NULL;
    g_autofree char *leaf = NULL;
    g_autofree char *pem = NULL;

    if (!request) {
        forget(key_pem);
        *key_pem = drv_pki_key_new(NULL);
        request = *key_pem ? drv_pki_request_new(*key_pem, "root", NULL) : NULL;
        if (!request || !drv_identity_write_file(dir, KEY, *key_pem, NULL))
            return FALSE;
    }
    leaf = drv_pki_sign(ca_pem, ca_key_pem, request, DRV_PKI_OPERATOR, "root", NULL, NULL);
    pem = leaf ? g_strconcat(leaf, ca_pem, NULL) : NULL;
    return pem && drv_identity_write_file(dir, CRT, pem, NULL);
}

gboolean drv_operator_ready(const char *etc_dir)
{
    drv_autoclose int dir = open(etc_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_autofree char *ca_pem = text_of(etc_dir, "ca.crt");
    char *ca_key_pem = text_of(etc_dir, "ca.key"), *key_pem = NULL;
    g_autofree char *pem = NULL;
    gboolean good;

    /* One at a time, so that certificate and key belong together. */
    if (dir >= 0 && ca_key_pem)
        flock(dir, LOCK_EX);
    pem = text_of(etc_dir, CRT);
    key_pem = text_of(etc_dir, KEY);
    good = is_good(pem, key_pem, ca_pem, ca_key_pem ? DRV_PKI_OPERATOR_S / 2 : 0) ||
           (ca_pem && ca_key_pem && renew(etc_dir, ca_pem, ca_key_pem, &key_pem)) ||
           is_good(pem, key_pem, ca_pem, 0);
    forget(&ca_key_pem);
    forget(&key_pem);
    return good;
}

char *drv_operator_fingerprint(const char *file, GError **error)
{
    g_autofree char *pem = NULL;
    g_auto(gnutls_x509_crt_t) leaf = NULL;
    g_autoptr(GError) problem = NULL;

    if (!g_file_get_contents(file, &pem, NULL, &problem)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "%s", problem->message);
        return NULL;
    }
    leaf = drv_pki_load(pem, error);
    return leaf ? drv_pki_key_fingerprint(leaf) : NULL;
}

/* ---- revoking ---- */

static gboolean revoke_key(drv_cluster *cluster, gpointer data, gboolean *again, GError **error)
{
    const char *fingerprint = data;
    g_autoptr(json_object) revoked = json_object_new_object();
    drv_pending changes = {0};

    drv_json_set_string(revoked, "name", DRV_PKI_OPERATOR);
    drv_json_set_string(revoked, "fingerprint", fingerprint);
    drv_json_set_int(revoked, "revoked_ms", drv_clock_real_ms());
    drv_publish_add(&changes, DRV_REVOKED_BUCKET, fingerprint, drv_publish_text(revoked),
                    DRV_REVISION_ANY);
    return drv_publish(cluster, &changes, again, error);
}

json_object *drv_operators_revoke(drv_cluster *cluster, const char *fingerprint, GError **error)
{
    if (strlen(fingerprint) != FINGERPRINT_TEXT ||
        strspn(fingerprint, "0123456789abcdef") != FINGERPRINT_TEXT) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "\"%.80s\" is not the SHA-256 of an operator's key, in 64 hex digits", fingerprint);
        return NULL;
    }
    if (!drv_cluster_keeps(cluster))
        return drv_cluster_send_to_founder(cluster, error);
    if (!drv_publish_change(cluster, revoke_key, (gpointer)fingerprint, error))
        return NULL;
    drv_log_notice("an operator's key has been revoked key=%s", fingerprint);
    drv_cluster_push(cluster);
    return json_object_new_object();
}
