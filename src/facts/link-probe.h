/* SPDX-License-Identifier: Apache-2.0 */
/* One probe of a link, both of its ends: see links.h. */
#pragma once

#include "node/context.h"

/** drv_probing_probe() - from here to @to. DRV_ERROR_CONFLICT: another one is under way. Some 0.7 s. */
gboolean drv_probing_probe(drv_context *ctx, const char *to, guint64 *rate_bps, guint64 *rtt_us, GError **error);

/** drv_links_answer() - the other end of a probe: {"session", "secret", "links"}. Transfer full. */
json_object *drv_links_answer(drv_context *ctx, json_object *request, GError **error);

/** drv_links_forget() - a probe is over: wait until nothing of it is left here. */
void drv_links_forget(drv_context *ctx, const char *session);

/** drv_links_probe_dir() - the directory of a probe's session that ends here, or NULL. Transfer full. */
char *drv_links_probe_dir(drv_context *ctx, const char *session);
