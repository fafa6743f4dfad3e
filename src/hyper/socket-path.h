/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/hyper and its tests: where the libvirtd of a URI listens. */
#pragma once

#include "hyper/hyper.h"

/** drv_hyper_socket_paths() - to be tried in this order; DRV_ERROR_INVALID. Transfer full; g_strfreev(). */
char **drv_hyper_socket_paths(const char *uri, GError **error);
