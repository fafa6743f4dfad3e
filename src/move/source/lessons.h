/* SPDX-License-Identifier: Apache-2.0 */
/* What came of a migration: kept with the VM (facts/memory-sampler.h) and with the link (facts/links.h), at both nodes, for facts/predict.h. */
#pragma once

#include "move/source/outgoing.h"

/** drv_lessons_report() - "predicted", "seen_before", "copy_ms", "fixed_ms" and "link_bps" into a report. */
void drv_lessons_report(drv_outgoing *outgoing, json_object *report);

/** drv_lessons_learn() - a move is done: keep what came of it, here and at the target. */
void drv_lessons_learn(drv_outgoing *outgoing, json_object *report);

/** drv_lessons_take() - what the source of a move has learnt of a VM: {"uuid", "vm": document, "move"}. Transfer full. */
json_object *drv_lessons_take(drv_context *ctx, const char *source, json_object *body, GError **error);
