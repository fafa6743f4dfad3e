/* SPDX-License-Identifier: Apache-2.0 */
/* What this node says of itself and its VMs: read from libvirt at this moment, as JSON for every asker. */
#pragma once

#include "hyper/hyper.h"
#include "model/json.h"

/** drv_model_local_node() - the NODE object of docs/rest.rst, without membership. Blocks on libvirt. */
json_object *drv_model_local_node(drv_hyper *hyper, const char *node, GError **error);

/** drv_model_local_vms() - an array of VM objects. Blocks on libvirt. */
json_object *drv_model_local_vms(drv_hyper *hyper, const char *node, GError **error);

/** drv_model_local_vm() - the VM with this UUID, with its disks, networks and obstacles. Blocks on libvirt. */
json_object *drv_model_local_vm(drv_hyper *hyper, const char *node, const char *uuid, GError **error);
