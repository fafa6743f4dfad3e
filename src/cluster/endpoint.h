/* SPDX-License-Identifier: Apache-2.0 */
/* Where a droverd is, as people write it: HOST, HOST:PORT, [IPV6]:PORT. */
#pragma once

#include <glib.h>

#include "hyper/gerror.h"

/** drv_endpoint_parse() - @host receives it without brackets (transfer full), @port DRV_PORT if there is none. */
gboolean drv_endpoint_parse(const char *text, char **host, guint16 *port, GError **error);

/** drv_endpoint_text() - the reverse; brackets around an IPv6 address. Transfer full. */
char *drv_endpoint_text(const char *host, guint16 port);

/**
 * drv_endpoint_connect() - a blocking, close-on-exec TCP connection, no later than @timeout_ms.
 * Return: the descriptor, or -1 and DRV_ERROR_UNREACHABLE with what to look at.
 */
int drv_endpoint_connect(const char *host, guint16 port, guint timeout_ms, GError **error);

/**
 * drv_endpoint_authority() - connect by TLS, send nothing but the handshake, and return
 * the certificate of the chain that is presented whose SHA-256 is @fingerprint, if the
 * server's own is signed by it (PEM, transfer full).
 * @node: receives the name of the node that answers (transfer full); may be NULL
 * @local_address: receives this end's IP address (transfer full); may be NULL
 * DRV_ERROR_DENIED: the server is of another cluster (or no droverd).
 */
char *drv_endpoint_authority(const char *host, guint16 port, const char *fingerprint, guint timeout_ms, char **node,
                             char **local_address, GError **error);
