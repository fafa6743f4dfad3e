/* SPDX-License-Identifier: Apache-2.0 */
/* Whose a VM is: content of its memory serves VMs of the same owner only. */
#pragma once

#include <glib.h>
#include <json-c/json.h>

#include "node/context.h"

json_object *drv_fleet_local_owner_set(drv_context *ctx, const char *uuid, json_object *body, GError **error);

json_object *drv_fleet_vm_owner(drv_context *ctx, const char *name, GError **error);
json_object *drv_fleet_vm_owner_set(drv_context *ctx, const char *name, json_object *body, GError **error);
