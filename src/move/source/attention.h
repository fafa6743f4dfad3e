/* SPDX-License-Identifier: Apache-2.0 */
/* A job that ends with a question: the facts, and the commands to choose from. */
#pragma once

#include "move/outcome.h"
#include "move/source/outgoing.h"

/**
 * drv_outgoing_need_attention() - end the job as needs-attention. Touches no copy.
 * @facts:        what exists at both ends
 * @target_error: what the target said instead, or NULL
 *
 * What there is to choose is in the job for programs ("attention") and in its error for people. A VM whose
 * memory was lost in post-copy leaves no choice but to boot it anew where it ran last: then the other
 * list of commands is empty. The job's thread.
 */
void drv_outgoing_need_attention(drv_outgoing *outgoing, const drv_settle_facts *facts, const GError *target_error);
