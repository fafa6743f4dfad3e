/* SPDX-License-Identifier: Apache-2.0 */
/* Versions of QEMU as numbers that can be compared. Pure. */
#pragma once

#include <glib.h>

/** drv_version_number() - "7.2.22" as 7002022; 0: it is none. NULL: 0. */
guint64 drv_version_number(const char *text);
