/* SPDX-License-Identifier: Apache-2.0 */
/* Documents and what is asked of a store with them: what its door and its backends share. */
#pragma once

#include <glib.h>

typedef struct drv_store drv_store;

typedef struct {
    char *key;
    char *json;
    gint64 revision; /* of this document; grows with each change */
} drv_document;

void drv_document_free(drv_document *document);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_document, drv_document_free)

#define DRV_REVISION_ANY (-1) /* write whatever is there */
#define DRV_REVISION_NEW 0    /* only if there is nothing yet */

/* Where a store is, and how one comes to it. All may be NULL. Strings are borrowed. */
typedef struct {
    /* A file, made if missing (0600), or etcd://HOST[:PORT][,HOST…][/PREFIX] (etcds://: over TLS). */
    const char *where;
    const char *ca_file;   /* who signed etcd's certificates; NULL: those whom this host trusts */
    const char *cert_file; /* what this host shows to etcd, PEM; NULL: nothing */
    const char *key_file;
    const char *cluster; /* the store must be this cluster's; NULL: any */
    gboolean make;       /* etcd: begin one if there is nothing under the prefix */
} drv_store_options;

/* One of several changes that are made together. */
typedef struct {
    const char *bucket;
    const char *key;
    const char *json; /* NULL: delete */
    gint64 expected;
} drv_store_change;

typedef enum {
    DRV_CLAIM_FAILED, /* see @error: nothing is known */
    DRV_CLAIM_OTHER,  /* another one holds it */
    DRV_CLAIM_HELD,
} drv_claim;

#define DRV_CLAIM_BUCKET "claim" /* what is held, {"holder"}: gone when its lease has run out */

/** drv_document_new() - takes a copy of both texts. */
drv_document *drv_document_new(const char *key, const char *json, gint64 revision);

/** drv_documents_new() - an empty array of them, which owns them. */
GPtrArray *drv_documents_new(void);

/** drv_store_no_such() - DRV_ERROR_NOT_FOUND. Return: FALSE. */
gboolean drv_store_no_such(const char *bucket, const char *key, GError **error);

/** drv_store_compare() - whether the revision @found (0: none) is as @change wants it, else the error. */
gboolean drv_store_compare(const drv_store_change *change, gint64 found, GError **error);
