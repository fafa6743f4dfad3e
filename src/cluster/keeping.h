/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where this cluster keeps what is kept once for it, as this host knows: in /etc/drover
 *   store.json       {"where": "etcd://…"}; not there: in the founder's own store
 *   store-ca.crt     who signed etcd's certificates       (only with TLS)
 *   store.crt, store.key   what this host shows to etcd   (only where etcd asks for it)
 * The same for all nodes: a node that joins is given them.
 */
#pragma once

#include <json-c/json.h>

#include "cluster/identity.h"
#include "store/store.h"

typedef struct {
    char *where;  /* "etcd://…"; NULL: the founder's own store */
    char *ca_pem; /* these three may be NULL */
    char *cert_pem;
    char *key_pem;
} drv_keeping;

void drv_keeping_clear(drv_keeping *keeping);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(drv_keeping, drv_keeping_clear)

/** drv_keeping_load() - from @etc_dir. */
gboolean drv_keeping_load(drv_keeping *keeping, const char *etc_dir, GError **error);

/** drv_keeping_write() - to @etc_dir; what @keeping does not have is removed there. */
gboolean drv_keeping_write(const drv_keeping *keeping, const char *etc_dir, GError **error);

/** drv_keeping_json() - {"where","ca","cert","key"}: for another node of the cluster. Transfer full. */
json_object *drv_keeping_json(const drv_keeping *keeping);

/** drv_keeping_read() - the reverse. @from may be NULL: the founder's own store. */
gboolean drv_keeping_read(drv_keeping *keeping, json_object *from, GError **error);

/** drv_keeping_from_files() - as people give it: paths, of which any may be NULL. */
gboolean drv_keeping_from_files(drv_keeping *keeping, const char *where, const char *ca_file, const char *cert_file,
                                const char *key_file, GError **error);

/**
 * drv_keeping_open() - the etcd that is meant, with the files in @etc_dir.
 * @make: begin one if there is nothing
 */
drv_store *drv_keeping_open(const drv_keeping *keeping, const char *etc_dir, const char *cluster, gboolean make,
                            GError **error);

/** drv_keeping_is_open_to_all() - whether etcd is reached without encryption, and not on this host. */
gboolean drv_keeping_is_open_to_all(const drv_keeping *keeping);
