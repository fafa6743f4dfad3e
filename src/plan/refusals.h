/* SPDX-License-Identifier: Apache-2.0 */
/* What a plan does not do, and the way out of each: "refused" of docs/rest.rst. */
#pragma once

#include "hyper/gerror.h"
#include "model/json.h"
#include "plan/room.h"

/**
 * drv_refusals_add() - a VM that stays where it is against the goal.
 * @message: what is against it; @remedy: what would help. Both are taken over; @remedy may be NULL
 */
void drv_refusals_add(json_object *refused, const drv_fleet_vm *vm, drv_error_code code, char *message, char *remedy);

/** drv_refusals_no_node() - @unit fits nowhere: why on which nodes, and what would change that. */
void drv_refusals_no_node(json_object *refused, const drv_room *room, const drv_unit *unit);
