/* SPDX-License-Identifier: Apache-2.0 */
/* A membership document, taken apart so that it can be asked. */
#pragma once

#include <glib.h>
#include <json-c/json.h>

#include "cluster/identity.h"

typedef struct {
    char *name;
    char *address;
    char *fingerprint;
    char *pin; /* of its key */
    guint16 port;
    gboolean signs; /* has the authority's key */
} drv_snapshot_member;

typedef struct {
    char *hash;
    char *by; /* id of the token with which it was made, or NULL */
    gint64 expires_ms;
} drv_snapshot_token;

typedef struct {
    gint refs;
    gint64 version;
    char *text;            /* the document */
    char *where;           /* the cluster's store; NULL: at the founder */
    GHashTable *members;   /* name → drv_snapshot_member */
    GHashTable *revoked;   /* fingerprint → name */
    GHashTable *operators; /* token id → drv_snapshot_token */
    guint unsigned_tokens; /* left out of them */
} drv_snapshot;

/** drv_snapshot_read() - a membership document taken apart. DRV_ERROR_INVALID: it is none, or another cluster's. */
drv_snapshot *drv_snapshot_read(const drv_identity *identity, json_object *document, GError **error);
void drv_snapshot_unref(drv_snapshot *view);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_snapshot, drv_snapshot_unref)
