/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether nothing is left behind or taken away: the VM starts at the target, shut off, with all that its saved
 * definition names, and nothing that stays at the source needs what goes. Pure, as disks.h.
 */
#pragma once

#include "plan/disks.h"

/** drv_plan_whole() - @disks: of drv_plan_disks(), of the same facts. */
void drv_plan_whole(json_object *facts, json_object *disks, const drv_plan_disks_goal *goal, drv_checks *checks);
