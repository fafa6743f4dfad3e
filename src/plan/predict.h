/* SPDX-License-Identifier: Apache-2.0 */
/* What a move will take, for the planner: what the fleet knows, given to the estimator. Pure. */
#pragma once

#include "model/fleet.h"
#include "plan/estimate.h"

/* What a link is taken for that was never measured: 1 Gbit/s. */
#define DRV_PLAN_LINK_BPS (G_GUINT64_CONSTANT(1000000000) / 8)

/** drv_plan_link_bps() - bytes a second of a link, or what it is taken for. */
guint64 drv_plan_link_bps(const drv_fleet *fleet, const drv_fleet_node *from, const drv_fleet_node *to);

/** drv_plan_expect() - what is known of the move of @vm to @to, but for what it has of the way. */
void drv_plan_expect(const drv_fleet *fleet, const drv_fleet_vm *vm, const drv_fleet_node *to, drv_estimate_input *in);

/** drv_plan_predict() - that move with @rate_bps of the way. */
void drv_plan_predict(const drv_estimate_input *in, guint64 rate_bps, drv_estimate *out);

/** drv_plan_range_json() - {"p50", "p90"}. Transfer full. */
json_object *drv_plan_range_json(const drv_estimate_range *range);
