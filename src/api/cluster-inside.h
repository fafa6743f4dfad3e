/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/api only: what cluster.c, snapshot.c and following.c share. */
#pragma once

#include "api/client.h"
#include "api/cluster.h"

#define DRV_MEMBERSHIP_BUCKET "cluster"
#define DRV_MEMBERSHIP_KEY "membership"

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

struct drv_cluster {
    drv_identity *identity;
    drv_store *own;
    drv_store *gate; /* the cluster's */
    drv_client *client;
    drv_peers peers;
    GMutex lock;
    GCond wake;
    drv_snapshot *snapshot;
    gboolean stopping;
    drv_keeping keeping; /* what is behind the gate */
    GMutex apply_lock;
    GMutex follow_lock; /* one goes over to another store at a time */
    GThread *follower;
    void (*changed)(gpointer data);
    gpointer changed_data;
};

/** drv_cluster_view() - the newest one. Transfer full. */
drv_snapshot *drv_cluster_view(drv_cluster *cluster);

/** drv_cluster_open_gate() - find out where the cluster's store is; once, when it is made. */
gboolean drv_cluster_open_gate(drv_cluster *cluster, GError **error);

/** drv_cluster_follow() - the thread that follows what others change. */
gpointer drv_cluster_follow(gpointer cluster);
