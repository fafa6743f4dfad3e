/* SPDX-License-Identifier: Apache-2.0 */
/* libvirt's errors as ours: which kind of trouble each is. */
#pragma once

#include <glib.h>
#include <libvirt/virterror.h>

#include "hyper/gerror.h"

/** drv_hyper_set_error() - @reason: from virSaveLastError(); consumed. */
void drv_hyper_set_error(GError **error, virErrorPtr reason, const char *fmt, ...) G_GNUC_PRINTF(3, 4);

/** drv_hyper_error_code() - the kind of a libvirt error (virErrorNumber, virErrorDomain). */
drv_error_code drv_hyper_error_code(int code, int domain);
