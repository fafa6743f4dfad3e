/* SPDX-License-Identifier: Apache-2.0 */
/* The relay's side of the admin socket: root asks for counters, watches, hands links, ends. */
#pragma once

#include <stdint.h>

#include "relay/daemon.h"

/** drv_admin_accept() - a new client, if it is root. */
void drv_admin_accept(struct drv_daemon *daemon);

/** drv_admin_serve() - a request, or the end of a client. */
void drv_admin_serve(struct drv_daemon *daemon, struct drv_admin_client *client);

/** drv_admin_events() - tell those who watch. Return: ms until the next event is due, or -1. */
int64_t drv_admin_events(struct drv_daemon *daemon, int64_t now_ms);

/** drv_admin_drop() - forget a client. */
void drv_admin_drop(struct drv_admin_client *client);
