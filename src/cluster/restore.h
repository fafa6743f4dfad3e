/* SPDX-License-Identifier: Apache-2.0 */
/* Restoring a node from a backup. */
#pragma once

#include <glib.h>

#include "cluster/backup.h"

/**
 * drv_backup_restore() - on a host whose droverd does not run.
 * @what: receives what was done; @node is to be freed
 * DRV_ERROR_CONFLICT: a droverd runs, or this host is another node; DRV_ERROR_INVALID: not a whole backup.
 */
gboolean drv_backup_restore(const char *path, const char *etc_dir, const char *state_dir, drv_restored *what,
                            GError **error);
