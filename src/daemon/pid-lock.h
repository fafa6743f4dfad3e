/* SPDX-License-Identifier: Apache-2.0 */
/* One droverd a host: a locked file with its process id in it. */
#pragma once

#include <glib.h>

#include "hyper/gerror.h"

/**
 * drv_daemon_lock() - take the lock and keep it until the process ends, however it ends.
 * @dir: made if missing
 * Return: the descriptor that holds it, or -1; DRV_ERROR_CONFLICT: another droverd has it, says which.
 */
int drv_daemon_lock(const char *dir, GError **error);
