/* SPDX-License-Identifier: Apache-2.0 */
/* doctor: droverd, its port, and the other nodes. */
#pragma once

#include "cli/doctor.h"

/* doctor-cluster.c: droverd, its port, the other nodes */
void drv_check_droverd(drv_doctor *doctor, const char *name);
void drv_check_port(drv_doctor *doctor, const char *name);
void drv_check_nodes(drv_doctor *doctor, const char *name);
