/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/hyper and its tests: libvirt's job statistics as ours. A pure function. */
#pragma once

#include <libvirt/libvirt.h>

#include "hyper/hyper.h"

/**
 * drv_job_stats_from_params() - @type: virDomainJobType. All but "switching" is filled.
 * Return: FALSE, and @stats zeroed, when the job is not a migration.
 */
gboolean drv_job_stats_from_params(const virTypedParameter *params, int count, int type,
                                   drv_job_stats *stats);
