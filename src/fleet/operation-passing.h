/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What passes by itself: a droverd that is restarted, a node that does not answer for a moment. A step waits
 * for it within a bound, and it does not count as a failure of the step.
 */
#pragma once

#include "model/json.h"

/* A target that stays away longer is replaced. A source cannot be: it has operation-step.c's patience. */
#define DRV_PASSING_TARGET_MS 10000
/* From the first such trouble of a step on: after that it counts like any other. */
#define DRV_PASSING_MOST_MS 600000

/** drv_passing_job() - whether @job has ended because a droverd was restarted or did not answer. Pure. */
gboolean drv_passing_job(json_object *job);

/** drv_passing_is_borne() - whether @step may wait for it once more at @now_ms (real time). Pure. */
gboolean drv_passing_is_borne(json_object *step, gint64 now_ms);
