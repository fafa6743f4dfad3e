/* SPDX-License-Identifier: Apache-2.0 */
/* Since when each node answers, or does not, as this node has seen it. */
#pragma once

#include "node/context.h"

/**
 * drv_presence_note() - @node has just answered, or has not (@up).
 * Return: since when that is so, in milliseconds since 1970: since the first time that it was seen so.
 */
gint64 drv_presence_note(drv_context *ctx, const char *node, gboolean up);
