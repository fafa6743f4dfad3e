/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who this node is: its name, its cluster, and the files in /etc/drover that prove it.
 *   node.json    {"cluster","node","address","port","founder"}; written last: with it the identity is whole
 *   ca.crt       the cluster's authority       ca.key      at the founder, and where it was given to
 *   node.crt     leaf, then the authority      node.key
 *   operator.crt, operator.key                 at the founder only: for people
 * Keys are made where they are used and never leave the host.
 */
#pragma once

#include <glib.h>

#include "hyper/gerror.h"

typedef struct {
    char *etc_dir;
    char *cluster; /* UUID */
    char *node;    /* this node's name */
    char *address; /* where others reach it */
    guint16 port;
    char *founder; /* name of the node that made the cluster */
    char *ca_pem;
    char *ca_fingerprint; /* SHA-256 of the certificate, hex */
    char *node_pem;       /* leaf and authority */
    char *node_key_pem;
    char *node_fingerprint;
    char *ca_key_pem; /* NULL: this node cannot sign; once it is there it stays */
    /* Not kept in files: known to who has just made or joined a cluster. */
    char *host_uuid;      /* libvirt's of this host, or NULL */
    char *same_host_uuid; /* a node whose host has the same, or NULL */
} drv_identity;

/** drv_identity_load() - and check: key and certificate belong together, chain, dates. DRV_ERROR_NOT_FOUND: none. */
drv_identity *drv_identity_load(const char *etc_dir, GError **error);
void drv_identity_free(drv_identity *identity);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_identity, drv_identity_free)

/** drv_identity_absent() - TRUE if there is none; DRV_ERROR_CONFLICT if @etc_dir holds an identity already. */
gboolean drv_identity_absent(const char *etc_dir, GError **error);

/**
 * drv_identity_init() - make a cluster's authority, this node's certificate and an
 * operator's, and write them. Touches nothing but @etc_dir; `drover init` is drv_init() (join.h).
 * @cluster: a UUID, @node: see drv_node_name_check(), @address: an IP address
 */
drv_identity *drv_identity_init(const char *etc_dir, const char *cluster, const char *node, const char *address,
                                guint16 port, GError **error);

/** drv_identity_write() - what a joining node has received: everything but the authority's key. */
gboolean drv_identity_write(const drv_identity *identity, GError **error);

/** drv_node_name_check() - a DNS label in lower case: it is part of the certificate and of every job's id. */
gboolean drv_node_name_check(const char *name, GError **error);

/** drv_address_check() - an IPv4 or IPv6 address that others could connect to. */
gboolean drv_address_check(const char *address, GError **error);

/** drv_identity_make_directory() - @dir and what is missing above it, mode 0700, on the disk when it returns. */
gboolean drv_identity_make_directory(const char *dir, GError **error);

/** drv_identity_write_file() - @dir/@name with @text, mode 0600: whole or not at all, on the disk when it returns. */
gboolean drv_identity_write_file(const char *dir, const char *name, const char *text, GError **error);

/**
 * drv_identity_add_authority() - @key_pem becomes this node's as well, if it belongs to ca.crt.
 * DRV_ERROR_DENIED: it does not.
 */
gboolean drv_identity_add_authority(drv_identity *identity, const char *key_pem, GError **error);
