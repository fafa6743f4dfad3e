/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's certificate of this host. */
#include "cluster/operator-key.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "base/cleanup.h"
#include "cluster/identity.h"
#include "cluster/pki.h"

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

    return leaf && ca && key_pem && drv_pki_check_pair(pem, key_pem, NULL) && drv_pki_is_short_lived(leaf) &&
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
           (ca_pem && ca_key_pem && renew(etc_dir, ca_pem, ca_key_pem, &key_pem)) || is_good(pem, key_pem, ca_pem, 0);
    forget(&ca_key_pem);
    forget(&key_pem);
    return good;
}
