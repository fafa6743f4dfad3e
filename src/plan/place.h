/* SPDX-License-Identifier: Apache-2.0 */
/* Where a VM can go: pure functions over the fleet model. */
#pragma once

#include "model/fleet.h"

/* What a node keeps for itself when memory is counted. */
#define DRV_PLAN_RESERVE_BYTES (G_GUINT64_CONSTANT(256) << 20)

/**
 * drv_plan_find_vm() - the VM that an operator's @word means: its name or its UUID.
 *
 * A name that stands on several nodes means the one that runs; if that does not
 * decide it, or if the word is one VM's UUID and another one's name, DRV_ERROR_CONFLICT says
 * between which. DRV_ERROR_NOT_FOUND says also which nodes did not answer, since the VM may be
 * there. Borrowed from @fleet.
 */
const drv_fleet_vm *drv_plan_find_vm(const drv_fleet *fleet, const char *word, GError **error);

/** drv_plan_vm_with_uuid() - the same of what is known to be a UUID: never another VM that has it as its name. */
const drv_fleet_vm *drv_plan_vm_with_uuid(const drv_fleet *fleet, const char *uuid, GError **error);

/**
 * drv_plan_place() - the node for @vm: @target if it is given and up (whether the VM fits is for
 * plan/target.h to say, with all else), else the node that fits with the most memory free
 * afterwards (ties: by name).
 *
 * DRV_ERROR_NOT_FOUND (no such node), DRV_ERROR_CONFLICT (the VM is there already),
 * DRV_ERROR_UNREACHABLE (it is lost), DRV_ERROR_REFUSED (no node fits: says for each why).
 * Borrowed from @fleet.
 */
const drv_fleet_node *drv_plan_place(const drv_fleet *fleet, const drv_fleet_vm *vm, const char *target,
                                     GError **error);
