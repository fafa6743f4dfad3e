/* SPDX-License-Identifier: Apache-2.0 */
/* Which unit goes to which node. Pure. */
#pragma once

#include "plan/room.h"

typedef struct {
    drv_room *room;                /* when all are there */
    const drv_fleet_node **target; /* by unit; NULL: it fits nowhere */
    char **why;                    /* by unit: why there */
    guint lost;                    /* VMs that fit nowhere */
} drv_pack;

/**
 * drv_pack_units() - all @units onto nodes, large ones first.
 *
 * They are spread over the nodes with the most room. If that leaves some without a place, they are packed
 * more tightly in several ways, also by priority, so that the important ones have theirs; the result that
 * leaves the least important ones behind is taken. One that finds no place may have that of another one which
 * finds one elsewhere.
 * @closed: of drv_fleet_node: no targets
 */
drv_pack *drv_pack_units(const drv_fleet *fleet, GPtrArray *units, GPtrArray *closed);
void drv_pack_free(drv_pack *pack, guint units);
