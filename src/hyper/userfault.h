/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a QEMU on this host can take a guest that arrives by post-copy. */
#pragma once

#include <glib.h>

/** drv_hyper_can_post_copy() - whether VMs can arrive here by post-copy; DRV_ERROR_REFUSED says what is missing. @sysctl: NULL, or another file in tests. */
gboolean drv_hyper_can_post_copy(const char *sysctl, GError **error);
