/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Predictions of moves: what this node, the source, knows goes into plan/estimate.h, and at the end what
 * came of it is kept with the VM (observe.h) and with the link (links.h), at both nodes.
 */
#pragma once

#include "plan/estimate.h"
#include "run/finish.h"

/**
 * drv_predict_step() - {"predicted": PREDICTION, "expects": input, "model": …} of a step that begins here.
 * @body: {"step", "look": look at the VM and the link first, if that was not done in the last minute}
 * Transfer full.
 */
json_object *drv_predict_step(drv_run *run, json_object *body, GError **error);

/** drv_predict_ask() - the source of @step for these, into the step. Trouble is logged: it has none then. */
void drv_predict_ask(drv_run *run, json_object *step, gboolean look);

/** drv_predict_expected() - what the job's step expects. Return: FALSE: nothing. */
gboolean drv_predict_expected(json_object *step, drv_estimate_input *in);

/** drv_predict_report() - "predicted", "seen_before", "copy_ms", "fixed_ms" and "link_bps" into a report. */
void drv_predict_report(drv_outgoing *outgoing, json_object *report);

/** drv_predict_learn() - a move is done: keep what came of it, here and at the target. */
void drv_predict_learn(drv_outgoing *outgoing, json_object *report);

/** drv_predict_take() - what the source of a move has learnt of a VM: {"uuid", "vm": document, "move"}. Transfer full. */
json_object *drv_predict_take(drv_run *run, const char *source, json_object *body, GError **error);
