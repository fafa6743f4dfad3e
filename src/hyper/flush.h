/* SPDX-License-Identifier: Apache-2.0 */
/* What libvirt has written of a VM, until it is on the disk. */
#pragma once

#include <glib.h>

/**
 * drv_hyper_flush_definition() - a VM's definition, its removal, snapshots, checkpoints and autostart flag survive a
 * power loss from here on. @vm: its name; NULL: of one that is gone. What changes a definition in this room has done it already; for what libvirt did by itself,
 * in a migration. Any thread; blocks as long as the disk takes.
 */
gboolean drv_hyper_flush_definition(const char *vm, GError **error);
