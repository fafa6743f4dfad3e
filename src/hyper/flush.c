/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libvirt has written of a VM, until it is on the disk. libvirt flushes the bytes of its files, but not the
 * directories in which it renames and removes them (virFileRewrite, up to 10 at least): after a power loss a
 * new definition may be missing, or a removed one be there again.
 */
#include <errno.h>

#include "base/durable.h"
#include "hyper/flush.h"
#include "hyper/gerror.h"

/* "%s": the VM's name. */
static const char *const directories[] = {
    "/etc/libvirt/qemu",
    "/etc/libvirt/qemu/autostart",
    "/var/lib/libvirt/qemu/save",
    "/var/lib/libvirt/qemu/nvram",
    "/var/lib/libvirt/qemu/snapshot",
    "/var/lib/libvirt/qemu/snapshot/%s",
    "/var/lib/libvirt/qemu/checkpoint",
    "/var/lib/libvirt/qemu/checkpoint/%s",
};

gboolean drv_hyper_flush_definition(const char *vm, GError **error)
{
    for (gsize i = 0; i < G_N_ELEMENTS(directories); i++) {
        g_auto(GStrv) parts = g_strsplit(directories[i], "%s", 2);
        g_autofree char *path = parts[1] ? g_strconcat(parts[0], vm ? vm : "", NULL) : g_strdup(parts[0]);
        struct drv_error problem = {0};

        if (!vm && parts[1])
            continue;
        /* One that libvirt has never needed is not there. */
        if (drv_durable_directory(path, &problem) && problem.code != ENOENT) {
            drv_gerror_from(error, DRV_ERROR_FAILED, &problem);
            return FALSE;
        }
    }
    return TRUE;
}
