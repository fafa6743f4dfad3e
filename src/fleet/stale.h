/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a plan of several steps still fits the fleet. */
#pragma once

#include "model/fleet.h"
#include "node/context.h"

/**
 * drv_fleet_stale() - what has changed since @plan was made, so that it must not be applied.
 * @fleet: as it is now, with what operations that run have promised counted. Pure.
 * Return: sentences (transfer full); empty: it fits
 */
GPtrArray *drv_fleet_stale(const drv_fleet *fleet, json_object *plan);
