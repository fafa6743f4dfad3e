/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What earlier moves made of the model's figures. An entry, of a VM's moves or a link's:
 *
 *   {"ended_ms", "source", "target", "copy", "wire", "pause" (each actual ÷ model), "fixed_ms", "handover_ms",
 *    "filled" (the link was the limit), "through_bps" (bytes of QEMU's stream a second),
 *    "seen" (whether the VM had been moved before), "over": {"time", "wire", "pause"} (actual ÷ p50)}
 *
 * Pure.
 */
#pragma once

#include "plan/estimate.h"

/** drv_history_entry() - @report: of a move that is done; @model: what was said (plan/estimate.h). NULL: nothing can be learnt. Transfer full. */
json_object *drv_history_entry(json_object *report, json_object *model, gint64 ended_ms);

/** drv_history_add() - to the document's "moves", of which the newest @most are kept. */
void drv_history_add(json_object *document, json_object *entry, guint most);

/** drv_history_of() - medians of the entries, and how far above p50 nine of ten stayed. @moves: NULL: none. */
drv_estimate_history drv_history_of(json_object *moves);

/** drv_history_fixed_ms() - the median of what moves took beside the copy; 0: not known. */
guint64 drv_history_fixed_ms(json_object *moves);

/** drv_history_handover_ms() - the median of what a pause was beside the sending; 0: not known. */
guint64 drv_history_handover_ms(json_object *moves);

/** drv_history_model() - what of an estimate is compared later. Transfer full. */
json_object *drv_history_model(const drv_estimate *estimate);
