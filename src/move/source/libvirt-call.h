/* SPDX-License-Identifier: Apache-2.0 */
/* libvirt's blocking migrate call, in a thread of its own. */
#pragma once

#include "node/context.h"

typedef struct drv_call drv_call;

/**
 * drv_call_start() - begin libvirt's migration over the session of @outgoing, as its ladder allows.
 * @recover: go on with a broken post-copy instead
 *
 * When the call returns, "over", "call_ok" and "call_error" of @outgoing are set. Ended by
 * drv_call_forget(), which does not wait for libvirt.
 */
drv_call *drv_call_start(drv_outgoing *outgoing, gboolean recover);

/** drv_call_forget() - @outgoing is not told any more. @call: may be NULL. */
void drv_call_forget(drv_call *call);
