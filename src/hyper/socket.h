/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fresh connection to the local libvirtd's read-write socket, for the relay of a target: made here, as root, so
 * that libvirtd sees root's credentials and the relay needs none.
 */
#pragma once

#include <glib.h>

#include "hyper/hyper.h"

/** drv_hyper_libvirt_socket() - a fresh connected descriptor to the local libvirtd; the caller closes it; -1. */
int drv_hyper_libvirt_socket(drv_hyper *hyper, GError **error);

/** drv_hyper_socket_paths() - to be tried in this order; DRV_ERROR_INVALID. Transfer full; g_strfreev(). */
char **drv_hyper_socket_paths(const char *uri, GError **error);
