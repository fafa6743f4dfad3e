/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `drover init` and `drover join`: how a host becomes a node. Both run without a
 * droverd on this host, as root, and leave nothing half done when they fail.
 */
#pragma once

#include "cluster/identity.h"

typedef struct {
    const char *etc_dir;                           /* NULL: DRV_ETC_DIR */
    const char *state_dir;                         /* NULL: DRV_STATE_DIR */
    const char *node;                              /* NULL: the host's name up to the first dot */
    const char *address;                           /* NULL: found out (the one that packets to others leave from) */
    guint16 port;                                  /* of this node's droverd; 0: DRV_PORT */
    const char *host_uuid;                         /* of this host, as libvirt has it; NULL: not known */
    const char *store;                             /* drv_init(): "etcd://…"; NULL: in this node's own file */
    const char *store_ca, *store_cert, *store_key; /* for TLS with it: paths, or NULL */
} drv_init_options;

/** drv_init() - make a cluster with this host as its first node. DRV_ERROR_CONFLICT: it has an identity already. */
drv_identity *drv_init(const drv_init_options *options, GError **error);

/**
 * drv_join() - join the cluster that made @token.
 * @server: "ADDRESS" or "ADDRESS:PORT" of any node of it
 * Nothing is sent to the server before it has proved to be of the token's cluster.
 * Errors: DRV_ERROR_INVALID (malformed token, name, address), DRV_ERROR_DENIED (wrong, expired or
 * used token; the server is of another cluster), DRV_ERROR_CONFLICT (name taken; this host is a
 * node already), DRV_ERROR_UNREACHABLE.
 */
drv_identity *drv_join(const drv_init_options *options, const char *server, const char *token, GError **error);
