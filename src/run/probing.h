/* SPDX-License-Identifier: Apache-2.0 */
/* One probe of a link, both of its ends: see links.h. */
#pragma once

#include "run/internal.h"

/** drv_probing_probe() - from here to @to. DRV_ERROR_CONFLICT: another one is under way. Some 0.7 s. */
gboolean drv_probing_probe(drv_run *run, const char *to, guint64 *rate_bps, guint64 *rtt_us,
                           GError **error);
