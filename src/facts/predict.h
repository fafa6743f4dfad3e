/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Predictions of moves: what this node, the source, knows goes into plan/estimate.h, from what is kept of the VM
 * (memory-sampler.h) and of the link (links.h).
 */
#pragma once

#include "node/context.h"
#include "plan/estimate.h"

/**
 * drv_predict_step() - {"predicted": PREDICTION, "expects": input, "model": …} of a step that begins here.
 * @body: {"step", "look": look at the VM and the link first, if that was not done in the last minute}
 * Transfer full.
 */
json_object *drv_predict_step(drv_context *ctx, json_object *body, GError **error);

/** drv_predict_ask() - the source of @step for these, into the step. Trouble is logged: it has none then. */
void drv_predict_ask(drv_context *ctx, json_object *step, gboolean look);

/** drv_predict_expected() - what the job's step expects. Return: FALSE: nothing. */
gboolean drv_predict_expected(json_object *step, drv_estimate_input *in);

/**
 * drv_facts_predict() - {"predicted": PREDICTION or null} of a plan's step {"step"}, made with "predict": false.
 * Looks at the link and the VM's memory first, for some seconds.
 */
json_object *drv_facts_predict(drv_context *ctx, json_object *body, GError **error);
