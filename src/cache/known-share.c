/* SPDX-License-Identifier: Apache-2.0 */
/* What of a VM's memory a target has already: see known-share.h. */
#include "cache/known-share.h"

#include "cache/cache.h"

/* The other end of a move that began or ended here, or NULL. */
static const char *other_end(json_object *move, const char *here)
{
    const char *from = drv_json_string(move, "source", "");
    const char *to = drv_json_string(move, "target", "");

    if (g_str_equal(from, here))
        return to;
    return g_str_equal(to, here) ? from : NULL;
}

gboolean drv_recycled_is_at(const char *here, json_object *moves, const char *target)
{
    for (gsize i = 0; i < drv_json_length(moves); i++)
        if (g_strcmp0(other_end(json_object_array_get_idx(moves, i), here), target) == 0)
            return TRUE;
    return FALSE;
}

double drv_recycled_share(json_object *contents, const char *uuid, const drv_estimate_input *in, gint64 now_ms)
{
    drv_dirty_curve curve = drv_dirty_curve_fit(in->windows, in->window_count, in->memory_bytes);
    double filled = (double)in->memory_bytes * (1 - in->zero_share);
    double kept = 0;
    gint64 newest_ms = 0;

    /* A later pack has only what the earlier ones have not. */
    for (gsize i = 0; in->sampled && i < drv_json_length(contents); i++) {
        json_object *one = json_object_array_get_idx(contents, i);

        if (!g_str_equal(drv_json_string(one, "kind", ""), "memory") ||
            !g_str_equal(drv_json_string(one, "uuid", ""), uuid))
            continue;
        kept += (double)drv_json_int(one, "bytes", 0);
        newest_ms = MAX(newest_ms, drv_json_int(one, "created_ms", 0));
    }
    if (kept <= 0 || filled <= 0)
        return 0;
    kept = MIN(kept, MIN(filled, (double)drv_content_most_known())) -
           drv_dirty_curve_bytes(&curve, (double)(now_ms - newest_ms) / 1000);
    return CLAMP(kept / filled, 0, 1);
}

json_object *drv_recycled_json(const char *here, json_object *contents, const char *uuid, json_object *moves,
                               const drv_estimate_input *in, gint64 now_ms)
{
    double share = drv_json_length(moves) ? drv_recycled_share(contents, uuid, in, now_ms) : 0;
    json_object *object;

    if (share <= 0)
        return NULL;
    object = json_object_new_object();
    for (gsize i = 0; i < drv_json_length(moves); i++) {
        const char *node = other_end(json_object_array_get_idx(moves, i), here);

        if (node)
            drv_json_set(object, node, json_object_new_double(share));
    }
    return object;
}
