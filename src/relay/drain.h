/* SPDX-License-Identifier: Apache-2.0 */
/* Before a sender reads for its link: waits until little is queued on it (pace.h). Sending threads. */
#pragma once

#include <stdbool.h>

#include "relay/session.h"

/** drv_drain_senders() - how many links carry memory and disks. */
unsigned drv_drain_senders(const struct drv_session *session);

/**
 * drv_drain() - wait for a link that is the bottleneck, unless there is other work. What was waited is
 * added to its drained_us.
 * Return: false: too much is still queued; call again before anything of memory or disks is read.
 */
bool drv_drain(struct drv_session *session, drv_link *link);
