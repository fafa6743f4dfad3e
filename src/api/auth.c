/* SPDX-License-Identifier: Apache-2.0 */
/* Authentication of requests: see auth.h. */
#include "api/auth.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cluster/pki.h"

#define LOG_WINDOW_MS 10000
#define LOG_MOST 10 /* lines in a window */

G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_x509_crt_t, gnutls_x509_crt_deinit, NULL)

void drv_auth_log_failure(const char *address, const char *reason)
{
    static GMutex lock;
    static gint64 window_ms;
    static guint lines, dropped;
    guint tell = 0;
    gboolean log;

    g_mutex_lock(&lock);
    if (drv_clock_ms() - window_ms >= LOG_WINDOW_MS) {
        window_ms = drv_clock_ms();
        tell = dropped;
        lines = dropped = 0;
    }
    log = lines < LOG_MOST;
    lines += log;
    dropped += !log;
    g_mutex_unlock(&lock);
    if (tell)
        drv_log_warning("more requests were refused, not shown one by one count=%u", tell);
    if (log)
        drv_log_warning("a request is refused from=%s: %s", address, reason);
}

/* Certificate: its chain once for each connection, the rest is for drv_cluster_admit(). */
static gboolean read_certificate(drv_cluster *cluster, gnutls_x509_crt_t ca, const gnutls_datum_t *der,
                                 drv_connection *connection, GError **error)
{
    g_auto(gnutls_x509_crt_t) leaf = NULL;
    g_autofree char *organization = NULL;
    g_autofree char *name = NULL;
    drv_caller_role role;

    if (gnutls_x509_crt_init(&leaf) < 0 || gnutls_x509_crt_import(leaf, der, GNUTLS_X509_FMT_DER) < 0) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED, "the certificate cannot be read");
        return FALSE;
    }
    if (!drv_pki_check_chain(leaf, ca, GNUTLS_KP_TLS_WWW_CLIENT, NULL, error))
        return FALSE;
    organization = drv_pki_subject(leaf, GNUTLS_OID_X520_ORGANIZATION_NAME);
    name = drv_pki_subject(leaf, GNUTLS_OID_X520_COMMON_NAME);
    role = !g_strcmp0(organization, DRV_PKI_NODE)       ? DRV_CALLER_NODE
           : !g_strcmp0(organization, DRV_PKI_OPERATOR) ? DRV_CALLER_OPERATOR
                                                        : DRV_CALLER_NOBODY;
    if (role == DRV_CALLER_NOBODY || !name) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED, "the certificate is neither a node's nor an operator's");
        return FALSE;
    }
    if (role == DRV_CALLER_OPERATOR && !drv_pki_is_short_lived(leaf)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED,
                    "the operator's certificate was made for too long a time, by an older Drover: copy "
                    "/etc/drover/operator.crt anew from a node that has the authority's key, where each "
                    "drover command renews it");
        return FALSE;
    }
    /* Operators' certificates are renewed every few hours, so it is their keys that are revoked. */
    connection->fingerprint = role == DRV_CALLER_OPERATOR ? drv_pki_key_fingerprint(leaf) : drv_pki_fingerprint(leaf);
    if (role == DRV_CALLER_NODE && !g_strcmp0(connection->fingerprint, drv_cluster_identity(cluster)->node_fingerprint))
        role = DRV_CALLER_SELF;
    connection->name = g_steal_pointer(&name);
    connection->expires_ms = (gint64)gnutls_x509_crt_get_expiration_time(leaf) * 1000;
    connection->role = role;
    return connection->fingerprint != NULL;
}

static const char *bearer(struct MHD_Connection *http)
{
    const char *header = MHD_lookup_connection_value(http, MHD_HEADER_KIND, "Authorization");

    if (!header || g_ascii_strncasecmp(header, "Bearer ", 7))
        return NULL;
    return header + 7;
}

gboolean drv_auth_still(drv_cluster *cluster, const drv_connection *connection, GError **error)
{
    if (connection->token_id)
        return drv_cluster_token_valid(cluster, connection->token_id, error);
    if (!connection->fingerprint)
        return TRUE;
    if (connection->expires_ms <= drv_clock_real_ms()) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED, "the certificate has expired");
        return FALSE;
    }
    return drv_cluster_admit(cluster, connection->role == DRV_CALLER_OPERATOR ? DRV_PKI_OPERATOR : DRV_PKI_NODE,
                             connection->name, connection->fingerprint, error);
}

gint64 drv_auth_ends_ms(drv_cluster *cluster, const drv_connection *connection)
{
    if (connection->token_id)
        return drv_cluster_token_ends_ms(cluster, connection->token_id);
    return connection->fingerprint ? connection->expires_ms : G_MAXINT64;
}

guint drv_auth_roles(drv_cluster *cluster, const drv_connection *connection)
{
    guint roles = DRV_MAY(connection->role);

    if (connection->role == DRV_CALLER_SELF && g_atomic_pointer_get(&drv_cluster_identity(cluster)->ca_key_pem))
        roles |= DRV_MAY(DRV_CALLER_OPERATOR);
    return roles;
}

gboolean drv_auth_request(drv_cluster *cluster, gnutls_x509_crt_t ca, struct MHD_Connection *http,
                          drv_connection *connection, GError **error)
{
    const union MHD_ConnectionInfo *info;
    const gnutls_datum_t *chain = NULL;
    unsigned count = 0;

    if (!connection->fingerprint) {
        info = MHD_get_connection_info(http, MHD_CONNECTION_INFO_GNUTLS_SESSION);
        if (info)
            chain = gnutls_certificate_get_peers((gnutls_session_t)info->tls_session, &count);
        if (chain && count && !read_certificate(cluster, ca, &chain[0], connection, error))
            return FALSE;
    }
    if (connection->fingerprint)
        return drv_auth_still(cluster, connection, error);
    if (bearer(http)) {
        g_autofree char *id = NULL;

        if (!drv_cluster_admit_bearer(cluster, bearer(http), &id, error))
            return FALSE;
        /* One connection is one caller: what was known first stays, for drv_connections_end(). */
        if (connection->token_id && !g_str_equal(connection->token_id, id)) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED, "another token was used on this connection before");
            return FALSE;
        }
        if (!connection->token_id) {
            connection->name = g_strdup_printf("token %s", id);
            connection->token_id = g_steal_pointer(&id);
            connection->role = DRV_CALLER_TOKEN;
        }
        return TRUE;
    }
    g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED,
                "who are you? A certificate of this cluster or an operator's token is needed");
    return FALSE;
}
