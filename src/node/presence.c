/* SPDX-License-Identifier: Apache-2.0 */
/* Since when nodes answer: see presence.h. */
#include "node/presence.h"

#include "base/clock.h"

typedef struct {
    gboolean up;
    gint64 since_ms;
} presence;

gint64 drv_presence_note(drv_context *ctx, const char *node, gboolean up)
{
    presence *known;
    gint64 since_ms;

    g_mutex_lock(&ctx->lock);
    known = g_hash_table_lookup(ctx->presence, node);
    if (!known) {
        known = g_new(presence, 1);
        *known = (presence){up, drv_clock_real_ms()};
        g_hash_table_insert(ctx->presence, g_strdup(node), known);
    } else if (known->up != up) {
        *known = (presence){up, drv_clock_real_ms()};
    }
    since_ms = known->since_ms;
    g_mutex_unlock(&ctx->lock);
    return since_ms;
}
