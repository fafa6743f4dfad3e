/* SPDX-License-Identifier: Apache-2.0 */
/* doctor: libvirt and QEMU. */
#pragma once

#include <glib.h>

#include "cli/args.h"
#include "cli/doctor.h"

/* doctor-hyper.c: libvirt and QEMU */
void drv_check_hyper(drv_doctor *doctor, const char *name);

/**
 * drv_libvirt_first_look() - have libvirt find out what its QEMU can do, which it does when it is first asked,
 * and say so when that takes long: later a migration would wait for it. Two minutes at most.
 */
void drv_libvirt_first_look(drv_cli *cli);

/** drv_libvirt_suffices() - @version ("9.0.0") knows migration over unix sockets. */
gboolean drv_libvirt_suffices(const char *version);

/** drv_host_uuid() - by which libvirt tells this host from others; NULL: it does not say. Transfer full. */
char *drv_host_uuid(void);
