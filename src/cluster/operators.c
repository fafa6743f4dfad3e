/* SPDX-License-Identifier: Apache-2.0 */
/* Operators' certificates: see operators.h. */
#include "cluster/operators.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "cluster/pki.h"
#include "cluster/publish.h"

#define FINGERPRINT_TEXT 64

G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_x509_crt_t, gnutls_x509_crt_deinit, NULL)

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
    drv_publish_add(&changes, DRV_REVOKED_BUCKET, fingerprint, drv_publish_text(revoked), DRV_REVISION_ANY);
    return drv_publish(cluster, &changes, again, error);
}

json_object *drv_operators_revoke(drv_cluster *cluster, const char *fingerprint, GError **error)
{
    if (strlen(fingerprint) != FINGERPRINT_TEXT || strspn(fingerprint, "0123456789abcdef") != FINGERPRINT_TEXT) {
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
