/* SPDX-License-Identifier: Apache-2.0 */
/* Which of a node's links is to be measured next: see link-due.h. */
#include "facts/link-due.h"

gint drv_link_due(const drv_link_seen *seen, guint count, gint64 now_ms, gint64 old_ms, gboolean *is_new)
{
    gint64 least_ms = G_MAXINT64;
    gint found = -1;

    for (guint i = 0; i < count; i++) {
        gint64 last_ms = MAX(seen[i].measured_ms, seen[i].tried_ms);

        if (seen[i].measured_ms < now_ms - old_ms && last_ms < least_ms) {
            least_ms = last_ms;
            found = (gint)i;
        }
    }
    *is_new = found >= 0 && !least_ms;
    return found;
}
