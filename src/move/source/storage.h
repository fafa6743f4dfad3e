/* SPDX-License-Identifier: Apache-2.0 */
/* Disks of a VM to another pool of the same host, while it runs or is shut off. */
#pragma once

#include "move/source/outgoing.h"

/** drv_storage_move() - ends the job, or droverd ends first. */
void drv_storage_move(drv_outgoing *outgoing);

/** drv_storage_take_up() - after a restart: what has moved stays, the rest is undone. */
void drv_storage_take_up(drv_outgoing *outgoing);
