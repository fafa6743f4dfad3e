/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/hyper only: the one connection to libvirt, and how libvirt's errors become ours. */
#pragma once

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "hyper/hyper.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virConnect, virConnectClose)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomain, virDomainFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virStoragePool, virStoragePoolFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virStorageVol, virStorageVolFree)

/**
 * drv_hyper_connection() - the connection, opened anew when it was lost.
 * Waits at most some seconds for a libvirtd that does not answer.
 * Return: a reference of the caller's own (g_autoptr(virConnect)), or NULL: DRV_ERROR_UNREACHABLE.
 */
virConnectPtr drv_hyper_connection(drv_hyper *hyper, GError **error);

/** drv_hyper_uri() - as given to drv_hyper_new(). Borrowed. */
const char *drv_hyper_uri(drv_hyper *hyper);

/** drv_hyper_lookup() - the domain with this UUID, or NULL and @error (DRV_ERROR_NOT_FOUND). */
virDomainPtr drv_hyper_lookup(drv_hyper *hyper, const char *uuid, GError **error);

/**
 * drv_hyper_take_error() - turn libvirt's last error of this thread into @error.
 * To be called right after the call that failed: freeing a libvirt object forgets it.
 * @fmt: what failed on what; ": " and libvirt's reason follow
 */
void drv_hyper_take_error(GError **error, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/** drv_hyper_error_code() - the kind of a libvirt error (virErrorNumber, virErrorDomain). */
drv_error_code drv_hyper_error_code(int code, int domain);

/** drv_hyper_refresh_pool() - tell the active storage pool of @directory, if there is one, to look again. */
void drv_hyper_refresh_pool(virConnectPtr connection, const char *directory);
