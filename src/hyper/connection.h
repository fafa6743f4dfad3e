/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/hyper only: connections to libvirt, and how libvirt's errors become ours. */
#pragma once

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "hyper/error.h"
#include "hyper/hyper.h"
#include "hyper/load.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomain, virDomainFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virStoragePool, virStoragePoolFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virStorageVol, virStorageVolFree)

/* A connection that is the caller's alone until drv_lease_free(). What was looked up through it is
 * freed before it (declare it later). */
typedef struct {
    drv_hyper *hyper;
    virConnectPtr connection;
} drv_lease;

/**
 * drv_hyper_lease() - a connection that works, opened when none is idle.
 * Waits at most some seconds for a libvirtd that does not answer.
 * Return: transfer full, or NULL: DRV_ERROR_UNREACHABLE, DRV_ERROR_DENIED.
 */
drv_lease *drv_hyper_lease(drv_hyper *hyper, GError **error);
void drv_lease_free(drv_lease *lease);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_lease, drv_lease_free)

/** drv_hyper_uri() - as given to drv_hyper_new(). Borrowed. */
const char *drv_hyper_uri(drv_hyper *hyper);

/** drv_lease_domain() - the domain with this UUID, or NULL and @error (DRV_ERROR_NOT_FOUND). */
virDomainPtr drv_lease_domain(drv_lease *lease, const char *uuid, GError **error);

/**
 * drv_hyper_take_error() - turn libvirt's last error of this thread into @error.
 * To be called right after the call that failed: nearly every other call forgets it. A macro, so
 * that it is saved before the arguments are evaluated (virDomainGetName() among them forgets it too).
 * @fmt: what failed on what; ": " and libvirt's reason follow
 */
#define drv_hyper_take_error(error, ...)                                                                               \
    do {                                                                                                               \
        virErrorPtr saved_error_ = virSaveLastError();                                                                 \
        drv_hyper_set_error(error, saved_error_, __VA_ARGS__);                                                         \
    } while (0)

/** drv_hyper_load() - of this hypervisor. Borrowed. */
drv_load *drv_hyper_load(drv_hyper *hyper);

/** drv_hyper_new() - does not connect yet. @uri: "qemu:///system". */
drv_hyper *drv_hyper_new(const char *uri);
void drv_hyper_free(drv_hyper *hyper);

void drv_hyper_on_move(drv_hyper *hyper, drv_hyper_move_func func, gpointer data);
