/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maintenance of nodes: which are being emptied or are empty, and where their VMs came from. Kept in
 * the cluster store, bucket "node-settings", by the name of the node; asked of the leader.
 */
#pragma once

#include "node/context.h"

/* ---- at the leader ---- */

/** drv_maintenance_local() - {"settings": {NODE: SETTINGS…}}. */
json_object *drv_maintenance_local(drv_context *ctx, GError **error);
/**
 * drv_maintenance_local_set() - {"maintenance": "none"|"draining"|"drained", "forget": true (which VMs
 * came from there), "labels": {"rack": "7", "old": null (remove it)}, "site"}. → SETTINGS
 * DRV_ERROR_NOT_FOUND: no such node.
 */
json_object *drv_maintenance_local_set(drv_context *ctx, const char *node, json_object *what, GError **error);
/** drv_maintenance_came_from() - a VM has left @node, and may be brought back; not @left: it is back, or gone. */
gboolean drv_maintenance_came_from(drv_context *ctx, const char *node, json_object *step, gboolean left,
                                   GError **error);

/* ---- at any node ---- */

/**
 * drv_maintenance_settings() - of all nodes, {NODE: SETTINGS…}; as last heard while the leader does
 * not answer. @ask: FALSE: the leader is known not to answer. Transfer full, never NULL.
 */
json_object *drv_maintenance_settings(drv_context *ctx, gboolean ask);

/** drv_maintenance_into() - set "maintenance" (and labels and site) in @node, an answer about that node. */
void drv_maintenance_into(json_object *settings, json_object *node);
