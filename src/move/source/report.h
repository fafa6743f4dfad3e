/* SPDX-License-Identifier: Apache-2.0 */
/* The counters of a move's relays, and the report that its job ends with. */
#pragma once

#include "move/state.h"
#include "node/context.h"
#include "relay/control/control.h"

/** drv_outgoing_heard() - the relay's newest counters. Called with the lock held. */
void drv_outgoing_heard(drv_outgoing *outgoing, const struct drv_relay_status *status);

/** drv_outgoing_counters() - of all of this job's relays, one after the other; the state is the last one's. */
struct drv_relay_status drv_outgoing_counters(drv_outgoing *outgoing);

/** drv_outgoing_keep_counters() - before another relay takes over: add them to the earlier ones'. */
void drv_outgoing_keep_counters(drv_outgoing *outgoing);

/** drv_outgoing_read_counters() - the relay's last ones, before it goes. */
void drv_outgoing_read_counters(drv_outgoing *outgoing);

/** drv_outgoing_note_stay() - something of the VM stays at its source: logged, and kept for the report. */
void drv_outgoing_note_stay(drv_outgoing *outgoing, const char *what, const char *why);

/**
 * drv_outgoing_end() - the job ends, with its report, and is stored; waits while the store takes nothing.
 * @code: of drv_error_code, or 0
 * @completed: libvirt's statistics of the target, or NULL
 */
void drv_outgoing_end(drv_outgoing *outgoing, drv_state state, const char *outcome, int code, const char *why,
                      json_object *completed);
