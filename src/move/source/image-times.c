/* SPDX-License-Identifier: Apache-2.0 */
/* When images were written to: see image-times.h. */
#include "move/source/image-times.h"

#include <sys/stat.h>
#include <time.h>

#include "node/context.h"

static void add_stamp(GArray *list, const char *path)
{
    struct stat st;

    if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
        g_array_append_val(list, st.st_mtim);
}

GArray *drv_stamps_take(json_object *step)
{
    json_object *disks = drv_json_array(step, "disks");
    GArray *list = g_array_new(FALSE, FALSE, sizeof(struct timespec));

    for (gsize i = 0; i < drv_json_length(disks); i++) {
        json_object *disk = json_object_array_get_idx(disks, i);
        json_object *data = drv_json_array(disk, "data");

        if (!drv_node_is_copied(disk))
            continue;
        add_stamp(list, drv_json_string(disk, "path", ""));
        for (gsize k = 0; k < drv_json_length(data); k++)
            add_stamp(list, json_object_get_string(json_object_array_get_idx(data, k)));
    }
    return list;
}

gboolean drv_stamps_equal(const GArray *one, const GArray *other)
{
    if (one->len != other->len)
        return FALSE;
    for (guint i = 0; i < one->len; i++) {
        const struct timespec *a = &g_array_index(one, struct timespec, i);
        const struct timespec *b = &g_array_index(other, struct timespec, i);

        if (a->tv_sec != b->tv_sec || a->tv_nsec != b->tv_nsec)
            return FALSE;
    }
    return TRUE;
}
