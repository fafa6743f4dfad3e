/* SPDX-License-Identifier: Apache-2.0 */
/* What is against a node, for people. */
#pragma once

#include "model/fleet.h"
#include "plan/room.h"

/** drv_room_against() - the same reason for people: "h2 has no room for web1 (needs …)". Transfer full. */
char *drv_room_against(const drv_room *room, const drv_unit *unit, const drv_fleet_node *node, drv_fit fit);
