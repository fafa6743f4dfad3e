/* SPDX-License-Identifier: Apache-2.0 */
/* The target's links on their way in. */
#pragma once

#include "base/error.h"
#include "relay/daemon.h"

/** drv_pending_add() - a connection that droverd handed over; @fd is taken. */
int drv_pending_add(struct drv_daemon *daemon, int fd, struct drv_error *err);

/** drv_pending_step() - go on with a handshake. */
void drv_pending_step(struct drv_daemon *daemon, struct drv_pending *pending);

/** drv_pending_drop() - close it. */
void drv_pending_drop(struct drv_pending *pending);
