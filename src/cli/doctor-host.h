/* SPDX-License-Identifier: Apache-2.0 */
/* doctor: the machine, its users, and what confines QEMU on it. */
#pragma once

#include "cli/doctor.h"

/* doctor-host.c: the machine and what confines QEMU on it */
void drv_check_root(drv_doctor *doctor, const char *name);
void drv_check_clock(drv_doctor *doctor, const char *name);
void drv_check_post_copy(drv_doctor *doctor, const char *name);
void drv_check_relay_user(drv_doctor *doctor, const char *name);
void drv_check_qemu_group(drv_doctor *doctor, const char *name);
void drv_check_acceleration(drv_doctor *doctor, const char *name);
void drv_check_confinement(drv_doctor *doctor, const char *name);
