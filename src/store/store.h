/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intent and history: documents (JSON text) in buckets, each with a revision, behind
 * one interface: SQLite in a file of this host, or etcd for many hosts. Every change is
 * durable when the call returns. Any thread; calls may block on the disk, or for some
 * seconds on the network.
 *
 * Errors of every call: DRV_ERROR_UNREACHABLE: etcd does not answer (a change may have been made
 * or not), DRV_ERROR_DENIED: it does not let us, DRV_ERROR_FAILED: full, damaged, not what it should be.
 */
#pragma once

#include <glib.h>
#include <json-c/json.h>

#include "store/document.h"

/**
 * drv_store_open_with() - a file is opened and brought up to date here. Of etcd only the
 * options are checked: it is asked with the first call, so that a droverd can start without it.
 * DRV_ERROR_INVALID: not a place that a store can be.
 */
drv_store *drv_store_open_with(const drv_store_options *options, GError **error);

/** drv_store_open() - the same with nothing but @where; etcd: begin one if there is none. */
drv_store *drv_store_open(const char *where, GError **error);
void drv_store_close(drv_store *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_store, drv_store_close)

/** drv_store_get() - DRV_ERROR_NOT_FOUND if there is none. Transfer full. */
drv_document *drv_store_get(drv_store *store, const char *bucket, const char *key, GError **error);

/**
 * drv_store_put() - write if the document's revision is @expected (compare and swap).
 * @revision: receives the new one; may be NULL
 * DRV_ERROR_CONFLICT when it is not, DRV_ERROR_FAILED when the disk is full and so on.
 */
gboolean drv_store_put(drv_store *store, const char *bucket, const char *key, const char *json, gint64 expected,
                       gint64 *revision, GError **error);

/** drv_store_delete() - with the same check: deleting is how a single-use token is used. */
gboolean drv_store_delete(drv_store *store, const char *bucket, const char *key, gint64 expected, GError **error);

/** drv_store_list() - of drv_document, by key (keys that end in a number: by number), at most @limit newest (0: all). Transfer full. */
GPtrArray *drv_store_list(drv_store *store, const char *bucket, guint limit, GError **error);

/** drv_store_next() - 1, 2, 3, …: a number never given before in @counter, also across restarts; 0 and @error on failure. */
gint64 drv_store_next(drv_store *store, const char *counter, GError **error);

/**
 * drv_store_change_all() - all of them, or none. A key may be there once only; at most 100.
 * @revision: receives that of all documents written; may be NULL
 * Errors as for put and delete; the message names the document.
 */
gboolean drv_store_change_all(drv_store *store, const drv_store_change *changes, guint count, gint64 *revision,
                              GError **error);

/**
 * drv_store_wait() - until something in @bucket has changed after @after, or for @wait_ms.
 * @after: what an earlier call returned; -1: return at once, with where to begin
 * Return: to be given next; greater than @after if something (maybe) changed. -1 and @error.
 * Read the bucket after the first call, and after each that returned more.
 */
gint64 drv_store_wait(drv_store *store, const char *bucket, gint64 after, guint wait_ms, GError **error);

/** drv_store_stop_waiting() - whoever waits, now or later, returns within a second: @store is to be closed. */
void drv_store_stop_waiting(drv_store *store);

/**
 * drv_store_claim() - be, or stay, the one who holds @name. It ends @ttl_s after the last call, by
 * etcd's reckoning; whoever holds it must think that it ends @ttl_s after that call was *made*. A file
 * has one process, which holds everything.
 * @lease: what the last call left there; 0 at first
 * @holder: receives who holds it, if anybody (transfer full)
 */
drv_claim drv_store_claim(drv_store *store, const char *name, const char *who, guint ttl_s, gint64 *lease,
                          char **holder, GError **error);

/** drv_store_release() - let go at once what drv_store_claim() left in @lease. */
void drv_store_release(drv_store *store, gint64 lease);

/** drv_store_counters() - of drv_document, key: name, json: the last number given. Transfer full. */
GPtrArray *drv_store_counters(drv_store *store, GError **error);

/** drv_store_raise() - the next number of @counter will be greater than @value. */
gboolean drv_store_raise(drv_store *store, const char *counter, gint64 value, GError **error);

/** drv_store_buckets() - names (of char) of all that have a document. Transfer full. */
GPtrArray *drv_store_buckets(drv_store *store, GError **error);

/** drv_store_is_shared() - whether other hosts use it as well (etcd). */
gboolean drv_store_is_shared(drv_store *store);

/** drv_store_place() - for messages: the path, or the URL. Borrowed. */
const char *drv_store_place(drv_store *store);

/**
 * drv_store_status() - how it is, as docs/rest.rst has it: {"kind", "where", …}, trouble included: it does
 * not fail when the store does not answer. Transfer full.
 */
json_object *drv_store_status(drv_store *store);
