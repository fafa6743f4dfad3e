/* SPDX-License-Identifier: Apache-2.0 */
/* Which program listens on a port, from /proc: for a message that helps. */
#pragma once

#include <glib.h>

/** drv_port_owner() - "name (pid N)" of what listens on @port here, or NULL. Transfer full. */
char *drv_port_owner(guint16 port);
