/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside src/store only: calls to etcd's JSON gateway (/v3/…, etcd 3.4 and newer), to
 * whichever of its members answers. Any thread.
 */
#pragma once

#include <json-c/json.h>

#include "store/etcd-url.h"

typedef struct drv_etcd_http drv_etcd_http;

/** drv_etcd_http_new() - nothing is asked yet. @url is borrowed; files may be NULL. */
drv_etcd_http *drv_etcd_http_new(const drv_etcd_url *url, const char *ca_file, const char *cert_file,
                                 const char *key_file);
void drv_etcd_http_free(drv_etcd_http *http);

/**
 * drv_etcd_call() - POST @body to @path ("kv/txn") of a member that answers.
 * @twice: it does no harm if two members carry it out
 * @unsure: may be NULL; TRUE: a member from which no answer came may have carried it out, also
 * when an answer of another one is returned.
 * Return: the answer (transfer full), or NULL and @error, which says what each member said.
 */
json_object *drv_etcd_call(drv_etcd_http *http, const char *path, json_object *body, gboolean twice, gboolean *unsure,
                           GError **error);

/** drv_etcd_call_at() - the same, of member number @index only. */
json_object *drv_etcd_call_at(drv_etcd_http *http, guint index, const char *path, json_object *body, GError **error);

/**
 * drv_etcd_watch() - POST @body to watch, and read until @func has seen what it waits for.
 * @func: gets each "result"; returns FALSE to end
 * Return: TRUE: @func, the time or drv_etcd_stop_watching() ended it; FALSE and @error: it broke.
 */
typedef gboolean (*drv_etcd_watch_func)(json_object *result, gpointer data);
gboolean drv_etcd_watch(drv_etcd_http *http, json_object *body, guint wait_ms, drv_etcd_watch_func func, gpointer data,
                        GError **error);
void drv_etcd_stop_watching(drv_etcd_http *http);
