/* SPDX-License-Identifier: Apache-2.0 */
/* Which of a node's links is to be measured next in the background. Pure. */
#pragma once

#include <glib.h>

typedef struct {
    gint64 measured_ms; /* when it was, by the real clock; 0: never */
    gint64 tried_ms;    /* when it last could not be; 0: never */
} drv_link_seen;

/**
 * drv_link_due() - the one that was measured longest ago, of those that were not for @old_ms. One that could
 * not be measured comes after the others, so that a node which is away keeps none waiting.
 * @is_new: it was never measured or tried. Return: its index, or -1: none is due.
 */
gint drv_link_due(const drv_link_seen *seen, guint count, gint64 now_ms, gint64 old_ms, gboolean *is_new);
