/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fleet at this moment: what every node answers, merged, with who did not answer. Each node has ten seconds.
 * Results are transfer full; any thread.
 */
#pragma once

#include "model/fleet.h"
#include "node/context.h"

typedef void (*drv_each_func)(const drv_member *member, json_object *answer, const GError *problem, gpointer data);

/** drv_snapshot_each() - @path of every node; @each is called for one after the other, in this thread. */
void drv_snapshot_each(drv_context *ctx, const char *path, drv_each_func each, gpointer data);

/* A list merged from all nodes, and who did not answer. */
typedef struct {
    const char *key;
    json_object *all;
    json_object *unreachable; /* of {"node", "message"} */
} drv_merged;

/** drv_snapshot_merge() - the lists under @key that the nodes have at @path. */
drv_merged drv_snapshot_merge(drv_context *ctx, const char *path, const char *key);
/** drv_snapshot_merged_json() - {KEY: list, "unreachable"}, which takes both. */
json_object *drv_snapshot_merged_json(const drv_merged *list);

/** drv_snapshot_fleet() - the fleet now. */
drv_fleet *drv_snapshot_fleet(drv_context *ctx, GError **error);
/** drv_snapshot_settled_fleet() - the same, once no node looks at its QEMU for the first time any more (facts/first-look.h). */
drv_fleet *drv_snapshot_settled_fleet(drv_context *ctx, GError **error);
json_object *drv_snapshot_nodes(drv_context *ctx, GError **error);
json_object *drv_snapshot_vms(drv_context *ctx, GError **error);

/**
 * drv_snapshot_settled_fleet() - drv_snapshot_fleet(), but while nodes are lost that say of themselves that they still
 * look, it is read again, for DRV_FIRST_LOOK_MS at most.
 */
drv_fleet *drv_snapshot_settled_fleet(drv_context *ctx, GError **error);
