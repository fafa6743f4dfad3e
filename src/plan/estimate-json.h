/* SPDX-License-Identifier: Apache-2.0 */
/* The estimator's input as a document: it goes with a step, so that the move can be refitted while it runs. */
#pragma once

#include "plan/estimate.h"

/** drv_estimate_input_json() - what is known of it. Transfer full. */
json_object *drv_estimate_input_json(const drv_estimate_input *in);

/** drv_estimate_history_json() - the "vm" or "pair" of such a document. Transfer full. */
json_object *drv_estimate_history_json(const drv_estimate_history *history);

/** drv_estimate_input_read() - what @object has; the rest stays as it is. NULL: nothing. */
void drv_estimate_input_read(drv_estimate_input *in, json_object *object);
