/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies: goals with a name, kept once for the whole cluster, in etcd or by its founder, whom every other node asks then.
 * As JSON: {"name", "max_pause_ms", "max_time_ms", "bandwidth_bps", "post_copy"}, goals as far as they are given.
 */
#pragma once

#include "model/fleet.h"
#include "node/context.h"

/**
 * drv_policies_ask() - {"policies": […]} from the founder. DRV_ERROR_UNREACHABLE names it.
 * @fleet: asked just now: a founder that is lost in it is not waited for again; may be NULL
 */
json_object *drv_policies_ask(drv_context *ctx, const drv_fleet *fleet, GError **error);

/** drv_policies_find() - one of that answer by name, or NULL. Borrowed. */
json_object *drv_policies_find(json_object *answer, const char *name);

/** drv_policies_no_such() - the error for one that is not there. */
void drv_policies_no_such(const char *name, GError **error);

/* At the founder, in its store. */
json_object *drv_policies_local(drv_context *ctx, GError **error);
json_object *drv_policies_local_set(drv_context *ctx, const char *name, json_object *goals, GError **error);
json_object *drv_policies_local_delete(drv_context *ctx, const char *name, GError **error);

json_object *drv_fleet_policies(drv_context *ctx, GError **error);
json_object *drv_fleet_policy(drv_context *ctx, const char *name, GError **error);
json_object *drv_fleet_policy_set(drv_context *ctx, const char *name, json_object *goals, GError **error);

/** drv_fleet_policy_delete() - DRV_ERROR_REFUSED names the VMs that use it, unless @force. */
json_object *drv_fleet_policy_delete(drv_context *ctx, const char *name, gboolean force, GError **error);
