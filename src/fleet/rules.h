/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules that hold for VMs about where they are (plan/placement.h): what the VM keeps, else what its policy
 * says, else what the policy "default" says.
 */
#pragma once

#include "model/fleet.h"
#include "node/context.h"

/**
 * drv_rules_resolve() - what holds for a VM, goals of its moves as well, as far as anybody says.
 * @attributes: of its metadata; NULL: none
 * @policies: the answer of drv_policies_ask(); NULL: not known
 * Return: an object, transfer full; NULL and DRV_ERROR_INVALID, DRV_ERROR_NOT_FOUND (no such policy).
 */
json_object *drv_rules_resolve(json_object *attributes, const char *vm, json_object *policies, GError **error);

/**
 * drv_rules_collect() - of all VMs of @fleet, which have what their metadata say as goals so far. Asks for the
 * policies; if they cannot be asked for the fleet has a warning.
 */
void drv_rules_collect(drv_context *ctx, drv_fleet *fleet);

/** drv_rules_view() - sets the rules that hold in @answer, as drv_placement_resolve() does. @vm: see drv_fleet_decide_goals(). */
void drv_rules_view(drv_context *ctx, const drv_fleet *fleet, json_object *vm, json_object *answer);
