/* SPDX-License-Identifier: Apache-2.0 */
/* doctor: where the cluster's data are, in the founder's file or in etcd. */
#pragma once

#include "cli/doctor.h"

/* doctor-store.c: the cluster's data */
void drv_check_cluster_store(drv_doctor *doctor, const char *name);
