/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside src/store only: the etcd backend's own struct and what its files share.
 *
 *   /PREFIX/schema                {"version","cluster","state","to"}
 *   /PREFIX/doc/BUCKET/KEY        a document: JSON, large ones zstd; its revision is etcd's mod_revision
 *   /PREFIX/number/COUNTER        the last number given
 *
 * Each transaction compares the schema's revision with the one that this process has read:
 * when the store is upgraded or moved away, nobody reads or writes it by mistake any more.
 */
#pragma once

#include <json-c/json.h>

#include "store/etcd-http.h"
#include "store/ops.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_object, json_object_put)

#define DRV_ETCD_SCHEMA 1        /* the newest that this Drover knows */
#define DRV_ETCD_MOVING "moving" /* claimed by who copies it to another place */
#define DRV_ETCD_MOVING_S 60

typedef struct {
    drv_store store;
    drv_etcd_url url;
    drv_etcd_http *http;
    char *cluster; /* that it must be of; NULL: any */
    gboolean make; /* begin one if there is none */
    GMutex lock;   /* guards what follows */
    gint64 schema; /* the revision of the schema's key; 0: not read yet */
    gint64 moving; /* the lease by which this process moves it; 0: it does not */
} drv_etcd;
