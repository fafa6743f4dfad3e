/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting a relay: a process of its own session, no child of the caller, with nothing of the caller's but
 * standard error, its settings on a pipe, libvirtd's socket, and what is known of earlier sessions.
 */
#pragma once

#include "base/error.h"
#include "relay/control/control.h"

/**
 * drv_relay_spawn() - start a relay and wait until it is ready.
 *
 * The relay becomes a process of its own session that does not end with the
 * caller. Ready means, for the target: it answers on its admin socket; for the
 * source: all links are connected and authenticated and the local sockets listen.
 * On failure the error says why (peer unreachable, secret refused, ...) and
 * nothing is left over but the directory.
 * Return: 0, or -errno.
 */
int drv_relay_spawn(const struct drv_relay_config *config, struct drv_error *err);
