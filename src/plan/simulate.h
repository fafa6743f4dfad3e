/* SPDX-License-Identifier: Apache-2.0 */
/* How long a schedule takes: it is run through in thought, as the executor does it. */
#pragma once

#include "model/fleet.h"
#include "plan/schedule.h"

/* simulate.c */
/** drv_schedule_simulate() - fills in the moves' times and those of the whole. */
void drv_schedule_simulate(drv_schedule *schedule, const drv_fleet *fleet, const drv_plan_limits *limits);
