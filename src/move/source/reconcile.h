/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs that need attention are looked at again: at start-up, when a peer is back, when an operator has done
 * something or asks for it.
 */
#pragma once

#include <glib.h>
#include <json-c/json.h>

#include "node/context.h"

/** drv_move_reconcile_start() - look again and again at what needs attention, in a thread. */
void drv_move_reconcile_start(drv_context *ctx);

/** drv_move_reconcile() - look again at one job of this node now. Transfer full. */
json_object *drv_move_reconcile(drv_context *ctx, const char *id, GError **error);
