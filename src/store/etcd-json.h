/* SPDX-License-Identifier: Apache-2.0 */
/* How etcd's JSON gateway says it: keys and values in base64, numbers as text. */
#pragma once

#include <glib.h>
#include <json-c/json.h>

#include "store/etcd-state.h"

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
json_object *drv_etcd_compare(const char *key, const char *target, const char *result, gint64 number);

/** drv_etcd_range() - one key. */
json_object *drv_etcd_range(const char *key);

/** drv_etcd_range_all() - all keys below /PREFIX/@kind/@bucket/. */
json_object *drv_etcd_range_all(const drv_etcd *s, const char *kind, const char *bucket);

/** drv_etcd_number() - a number, which etcd writes as text and leaves out when it is 0. */
gint64 drv_etcd_number(json_object *from, const char *name);
const char *drv_etcd_string(json_object *from, const char *name);

/** drv_etcd_kvs() - what a range inside a transaction found: array number @index, or NULL if it is empty. Borrowed. */
json_object *drv_etcd_kvs(json_object *answer, guint index);
