/* SPDX-License-Identifier: Apache-2.0 */
/* Images at the target. */
#pragma once

#include <glib.h>
#include <libvirt/libvirt.h>

#include "hyper/hyper.h"

/** drv_hyper_refresh_pool() - tell the active storage pool of @directory, if there is one, to look again. */
void drv_hyper_refresh_pool(virConnectPtr connection, const char *directory);

/**
 * drv_hyper_disk_create() - make the empty image that a disk will be copied into,
 * sparse, owned as libvirt wants it, the directory's pool (if any) refreshed; on the disk when it returns.
 * DRV_ERROR_CONFLICT: there is something at @path already; DRV_ERROR_REFUSED: no room (says how much).
 */
gboolean drv_hyper_disk_create(drv_hyper *hyper, const char *path, const char *format, guint64 capacity_bytes,
                               guint64 needed_bytes, GError **error);

/** drv_hyper_disk_remove() - the reverse, for good also after a power loss; missing: success; in use by a domain: DRV_ERROR_CONFLICT. */
gboolean drv_hyper_disk_remove(drv_hyper *hyper, const char *path, GError **error);

/**
 * drv_hyper_disk_set_aside() - rename instead of removing, on the same conditions, and take it from QEMU's
 * user. @to: on the same file system; what is there is replaced. Missing: DRV_ERROR_NOT_FOUND.
 */
gboolean drv_hyper_disk_set_aside(drv_hyper *hyper, const char *path, const char *to, GError **error);
