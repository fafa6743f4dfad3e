/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a QEMU on this host can take a guest that arrives by post-copy.
 *
 * It needs userfaultfd(2) for faults of the kernel as well (KVM, vhost). QEMU 7.2 only knows the
 * system call, which since Linux 5.11 gives that to a process without CAP_SYS_PTRACE only if
 * vm.unprivileged_userfaultfd is 1; libvirt's QEMU is such a process, unless it runs as root.
 * libvirt ships a file for sysctl.d from 9.2 on; Debian 12 has 9.0. (Tried.)
 */
#include "hyper/userfault.h"

#include <stdlib.h>

#include "hyper/hyper.h"

gboolean drv_hyper_can_post_copy(const char *sysctl, GError **error)
{
    g_autofree char *text = NULL;

    /* Kernels without it have either no userfaultfd, which libvirt will say, or no such limit. */
    if (!g_file_get_contents(sysctl ? sysctl : DRV_USERFAULT_SYSCTL, &text, NULL, NULL) || strtol(text, NULL, 10) != 0)
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED,
                "QEMU may not use userfaultfd here, so no VM can arrive by post-copy: 'sysctl -w "
                "vm.unprivileged_userfaultfd=1', and that line without 'sysctl -w' in "
                "/etc/sysctl.d/60-post-copy.conf to keep it");
    return FALSE;
}
