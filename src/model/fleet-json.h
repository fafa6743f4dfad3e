/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fleet as JSON, whole: what nodes answer, and files that the planner can be fed from (docs/planner.rst).
 * Members that are missing or of another type are not known.
 */
#pragma once

#include "model/fleet.h"

/** drv_fleet_node_from_json() - what is in @object of a node that was added by its name; NULL: nothing. */
void drv_fleet_node_from_json(drv_fleet *fleet, drv_fleet_node *node, json_object *object);

/** drv_fleet_vm_from_json() - adds one. @node: where it is. */
drv_fleet_vm *drv_fleet_vm_from_json(drv_fleet *fleet, drv_fleet_node *node, json_object *object);

/**
 * drv_fleet_rules_from_json() - the rules of a VM: "priority", "depends_on", "apart", "together" and
 * "node_labels" of @object, as far as they are there.
 */
void drv_fleet_rules_from_json(drv_fleet *fleet, drv_fleet_vm *vm, json_object *object);

/** drv_fleet_links_from_json() - adds those of which both nodes are in the fleet. */
void drv_fleet_links_from_json(drv_fleet *fleet, json_object *links);

/**
 * drv_fleet_promises_from_json() - [{"node", "vm", "uuid", "memory_bytes", "by"}…], after all VMs were added: see
 * promised_bytes. Who has arrived there, or begun to, counts once. The VM is busy then with what "by" says.
 */
void drv_fleet_promises_from_json(drv_fleet *fleet, json_object *promises);

/** drv_fleet_from_json() - DRV_ERROR_INVALID: it has no nodes, one without a name, or two of one name. */
drv_fleet *drv_fleet_from_json(json_object *object, GError **error);

/** drv_fleet_to_json() - whole. Transfer full. */
json_object *drv_fleet_to_json(const drv_fleet *fleet);

/** drv_fleet_load() - from a file. DRV_ERROR_NOT_FOUND, DRV_ERROR_INVALID. */
drv_fleet *drv_fleet_load(const char *path, GError **error);
