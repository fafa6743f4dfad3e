/* SPDX-License-Identifier: Apache-2.0 */
/* What a definition needs of its host: the pure half of machine.h. */
#pragma once

#include <glib.h>

#include "hyper/machine.h"

void drv_machine_free(drv_machine *machine);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_machine, drv_machine_free)

/** drv_machine_from_xml() - a pure function. DRV_ERROR_INVALID. */
drv_machine *drv_machine_from_xml(const char *xml, GError **error);

/** drv_cpu_missing_features() - the names in libvirt's message. Transfer full, of char*. */
GPtrArray *drv_cpu_missing_features(const char *message);

/** drv_cpu_from_capabilities() - the <cpu> that domain capabilities have for host-model, or NULL. Transfer full. */
char *drv_cpu_from_capabilities(const char *xml);

/** drv_qemu_conf_value() - of a setting in the text of libvirt's qemu.conf, without quotes; NULL: not set. Transfer full. */
char *drv_qemu_conf_value(const char *text, const char *key);
