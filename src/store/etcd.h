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

#define DRV_ETCD_SCHEMA 1         /* the newest that this Drover knows */
#define DRV_ETCD_MOVING "moving"  /* claimed by who copies it to another place */
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

/* ---- etcd-json.c: how etcd says it ---- */

/** drv_etcd_key() - base64 of /PREFIX/@kind/@bucket/@key; NULL @bucket or @key end it. Transfer full. */
char *drv_etcd_key(const drv_etcd *s, const char *kind, const char *bucket, const char *key);

/** drv_etcd_name() - what of a key (base64) follows /PREFIX/@kind/@bucket/, or NULL. Transfer full. */
char *drv_etcd_name(const drv_etcd *s, const char *kind, const char *bucket, const char *key);

/** drv_etcd_value() - base64 of what is stored for @text. Transfer full. */
char *drv_etcd_value(const char *text);

/** drv_etcd_text() - the reverse. NULL and @error if it is damaged. Transfer full. */
char *drv_etcd_text(const char *value, GError **error);

/** drv_etcd_object() - {first: value, …}; name and value (both texts) until NULL. */
json_object *drv_etcd_object(const char *name, ...) G_GNUC_NULL_TERMINATED;

/** drv_etcd_wrap() - {@name: @value}. Takes @value over. */
json_object *drv_etcd_wrap(const char *name, json_object *value);

/** drv_etcd_compare() - of a transaction: @target ("mod_revision", "create_revision") @result ("EQUAL") @number. */
json_object *drv_etcd_compare(const char *key, const char *target, const char *result,
                              gint64 number);

/** drv_etcd_range() - one key. */
json_object *drv_etcd_range(const char *key);

/** drv_etcd_range_all() - all keys below /PREFIX/@kind/@bucket/. */
json_object *drv_etcd_range_all(const drv_etcd *s, const char *kind, const char *bucket);

/** drv_etcd_number() - a number, which etcd writes as text and leaves out when it is 0. */
gint64 drv_etcd_number(json_object *from, const char *name);
const char *drv_etcd_string(json_object *from, const char *name);

/** drv_etcd_kvs() - what a range inside a transaction found: array number @index, or NULL if it is empty. Borrowed. */
json_object *drv_etcd_kvs(json_object *answer, guint index);

/* ---- etcd-schema.c ---- */

/**
 * drv_etcd_transact() - a transaction that fails when the schema is another one than was read.
 * @compare: more that must hold; may be NULL; @success, @failure: arrays of operations
 * All three are taken over.
 * @twice, @unsure: as drv_etcd_call()
 * @succeeded: receives which of them was carried out. The answer of @failure begins at index 1.
 */
json_object *drv_etcd_transact(drv_etcd *s, json_object *compare, json_object *success,
                               json_object *failure, gboolean twice, gboolean *unsure,
                               gboolean *succeeded, GError **error);

/* ---- etcd-claim.c ---- */

gint64 drv_etcd_wait(drv_store *store, const char *bucket, gint64 after, guint wait_ms,
                     GError **error);
void drv_etcd_stop_waiting(drv_store *store);
drv_claim drv_etcd_claim(drv_store *store, const char *name, const char *who, guint ttl_s,
                         gint64 *lease, char **holder, GError **error);
void drv_etcd_release(drv_store *store, gint64 lease);

/* ---- etcd-status.c ---- */

json_object *drv_etcd_status(drv_store *store);
