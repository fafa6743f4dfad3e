/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/cluster only: what cluster.c, snapshot.c and following.c share. */
#pragma once

#include "cluster/client.h"
#include "cluster/cluster.h"
#include "cluster/identity.h"
#include "cluster/keeping.h"
#include "cluster/snapshot.h"
#include "model/peers.h"
#include "store/store.h"

#define DRV_MEMBERSHIP_BUCKET "cluster"
#define DRV_MEMBERSHIP_KEY "membership"

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
