/* SPDX-License-Identifier: Apache-2.0 */
/* What the ladder says and what the operator asks, carried out on a running move. One thread. */
#pragma once

#include "move/source/outgoing.h"

/** drv_outgoing_climb() - see whether the next rung is due, and take it. */
void drv_outgoing_climb(drv_outgoing *outgoing, gint64 now_ms);

/** drv_outgoing_obey() - carry out a cancel, or an abort of the ladder's. Does not block. */
void drv_outgoing_obey(drv_outgoing *outgoing, gint64 now_ms);

/** drv_outgoing_taken_up() - after a restart: which pass it was is read from the job. */
void drv_outgoing_taken_up(drv_outgoing *outgoing);
