/* SPDX-License-Identifier: Apache-2.0 */
/* doctor: the programs and files that Drover keeps on this host. */
#pragma once

#include "cli/doctor.h"

/* doctor-files.c: what Drover keeps on this host */
void drv_check_relay_program(drv_doctor *doctor, const char *name);
void drv_check_sessions(drv_doctor *doctor, const char *name);
void drv_check_admission(drv_doctor *doctor, const char *name);
void drv_check_store(drv_doctor *doctor, const char *name);
void drv_check_identity(drv_doctor *doctor, const char *name);
