/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices and features that cannot move live: what libvirt 9.0 (qemuMigrationSrcIsAllowed) and QEMU refuse, or
 * what would leave something of the guest behind on its host.
 */
#pragma once

#include <glib.h>
#include <libxml/tree.h>

/** drv_domain_add_obstacles() - what in <domain> cannot move live, as sentences, to @obstacles. */
void drv_domain_add_obstacles(xmlNodePtr domain, GPtrArray *obstacles);
