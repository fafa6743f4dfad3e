/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backup of one node: its identity, what it keeps itself and, where it has that, what the
 * cluster keeps. docs/store.rst says what the file looks like and what comes back from it.
 */
#pragma once

#include "cluster/cluster.h"

/** drv_backup_collect() - GET /v1/store/backup: all but the identity, whose keys do not travel. */
json_object *drv_backup_collect(drv_cluster *cluster, GError **error);

/**
 * drv_backup_write() - @collected, and the identity in @etc_dir if it is of the same node, to a new
 * file @path (0600; "-": stdout). Whole or not at all.
 * @with_identity: receives whether it is in it
 * DRV_ERROR_CONFLICT: @path is there already.
 */
gboolean drv_backup_write(json_object *collected, const char *etc_dir, const char *path, gboolean *with_identity,
                          GError **error);

typedef struct {
    char *node;
    gint64 made_ms;
    guint documents;      /* of this node and of the cluster that were written */
    gboolean identity;    /* it was written, too */
    gboolean shared_kept; /* etcd has the cluster's data: they were left alone */
} drv_restored;
