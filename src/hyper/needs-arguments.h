/* SPDX-License-Identifier: Apache-2.0 */
/* What QEMU's own options need of a host. */
#pragma once

#include <glib.h>

#include "hyper/needs.h"

/** drv_needs_of_arguments() - of QEMU's options. @arguments: NULL-terminated, as QEMU gets them. */
void drv_needs_of_arguments(const char *const *arguments, drv_need_add add, gpointer data);
