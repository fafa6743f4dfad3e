/* SPDX-License-Identifier: Apache-2.0 */
/* Who a request comes from: certificate or bearer token, asked anew for each request. */
#pragma once

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <microhttpd.h>

#include "api/connections.h"
#include "cluster/cluster.h"

/**
 * drv_auth_request() - fill in @connection's role and name, or keep what is known, and
 * check that it still holds (revoked, expired). Called in the connection's own thread.
 * @ca: the cluster's authority
 * Return: FALSE and DRV_ERROR_DENIED with the reason, which may be told to the caller.
 */
gboolean drv_auth_request(drv_cluster *cluster, gnutls_x509_crt_t ca, struct MHD_Connection *http,
                          drv_connection *connection, GError **error);

/** drv_auth_still() - does what drv_auth_request() found still hold? Any thread while the connection lasts. */
gboolean drv_auth_still(drv_cluster *cluster, const drv_connection *connection, GError **error);

/** drv_auth_ends_ms() - when it ends by itself (real time); G_MAXINT64 for nobody. */
gint64 drv_auth_ends_ms(drv_cluster *cluster, const drv_connection *connection);

/**
 * drv_auth_roles() - DRV_MAY() of each role that whoever is at the other end has. Root on a node that has
 * the authority's key can make itself an operator at any time, and is one.
 */
guint drv_auth_roles(drv_cluster *cluster, const drv_connection *connection);

/** drv_auth_log_failure() - one line in the log, at most a few a second. Any thread. */
void drv_auth_log_failure(const char *address, const char *reason);
