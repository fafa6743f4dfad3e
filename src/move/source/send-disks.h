/* SPDX-License-Identifier: Apache-2.0 */
/* The move of a VM that is shut off: its disks, then its definition, and only then is it removed at the source. */
#pragma once

#include "move/source/outgoing.h"

/** drv_offline_move() - the session is prepared; ends the job, or droverd ends first. */
void drv_offline_move(drv_outgoing *outgoing);

/** drv_offline_take_up() - the same after a restart: copies again, or settles what was defined already. */
void drv_offline_take_up(drv_outgoing *outgoing);
