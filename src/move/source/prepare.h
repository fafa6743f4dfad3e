/* SPDX-License-Identifier: Apache-2.0 */
/* Making a session: its id and secret, what the target makes for it, a relay at either end. */
#pragma once

#include "node/context.h"

/**
 * drv_prepare() - make a new session for @outgoing, whose "session" and "dir" it sets.
 * @recover: for a post-copy that is broken; the target has the VM already
 * On failure the caller has the target abandon what it made, but for DRV_ERROR_CANCELLED
 * with "left_behind" set: then what is being made clears up for itself. Waits for the target.
 */
gboolean drv_prepare(drv_outgoing *outgoing, gboolean recover, GError **error);
