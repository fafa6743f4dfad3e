/* SPDX-License-Identifier: Apache-2.0 */
/* Markers beside images: see probe-markers.h. */
#include "facts/probe-markers.h"

#include <errno.h>
#include <glib/gstdio.h>

#include "base/log.h"
#include "hyper/probe.h"

/* TOKEN → {"files": [PATH, …]}: may be there. */
#define BUCKET "marker"

struct drv_markers {
    drv_store *store;
    char *token;
    GHashTable *by_directory; /* → marker, "" where none could be written */
    json_object *record;
};

drv_markers *drv_markers_new(drv_store *store)
{
    drv_markers *markers = g_new0(drv_markers, 1);

    markers->store = store;
    markers->token = g_uuid_string_random();
    markers->by_directory = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    markers->record = json_object_new_object();
    drv_json_set(markers->record, "files", json_object_new_array());
    return markers;
}

const char *drv_markers_token(const drv_markers *markers)
{
    return markers->token;
}

/* A store that is full keeps no VM from being moved: the marker is written all the same. */
static void record(drv_markers *markers, const char *marker)
{
    g_autoptr(GError) error = NULL;

    json_object_array_add(drv_json_array(markers->record, "files"), json_object_new_string(marker));
    if (!drv_store_put(markers->store, BUCKET, markers->token, json_object_to_json_string(markers->record),
                       DRV_REVISION_ANY, NULL, &error))
        drv_log_warning("%s may be left behind if droverd is killed now: %s", marker, error->message);
}

const char *drv_markers_at(drv_markers *markers, const char *path)
{
    g_autofree char *directory = g_path_get_dirname(path);
    const char *known = g_hash_table_lookup(markers->by_directory, directory);
    g_autofree char *planned = NULL;
    char *marker;

    if (known)
        return *known ? known : NULL;
    planned = drv_probe_marker(path, markers->token);
    record(markers, planned);
    marker = drv_probe_mark(path, markers->token, NULL);
    if (!marker)
        marker = g_strdup("");
    g_hash_table_insert(markers->by_directory, g_steal_pointer(&directory), marker);
    return *marker ? marker : NULL;
}

void drv_markers_free(drv_markers *markers)
{
    GHashTableIter iter;
    gpointer marker;
    gboolean any = FALSE;

    if (!markers)
        return;
    g_hash_table_iter_init(&iter, markers->by_directory);
    while (g_hash_table_iter_next(&iter, NULL, &marker)) {
        any = TRUE;
        if (*(char *)marker)
            g_unlink(marker);
    }
    if (any)
        drv_store_delete(markers->store, BUCKET, markers->token, DRV_REVISION_ANY, NULL);
    g_hash_table_unref(markers->by_directory);
    json_object_put(markers->record);
    g_free(markers->token);
    g_free(markers);
}

GPtrArray *drv_markers_left(drv_store *store)
{
    g_autoptr(GError) error = NULL;
    GPtrArray *left = drv_store_list(store, BUCKET, 0, &error);

    if (!left)
        drv_log_warning("what earlier checks have left cannot be read: %s", error->message);
    return left;
}

void drv_markers_clear(drv_store *store, const GPtrArray *left)
{
    for (guint i = 0; left && i < left->len; i++) {
        const drv_document *document = left->pdata[i];
        g_autoptr(json_object) object = drv_json_parse(document->json, "a stored marker", NULL);
        json_object *files = drv_json_array(object, "files");
        gboolean gone = TRUE;

        for (gsize j = 0; j < drv_json_length(files); j++) {
            json_object *file = json_object_array_get_idx(files, j);
            const char *path = json_object_is_type(file, json_type_string) ? json_object_get_string(file) : "";

            if (drv_probe_unmark(path, document->key))
                continue;
            drv_log_warning("%s stays behind until droverd starts again: %s", path, g_strerror(errno));
            gone = FALSE;
        }
        if (gone)
            drv_store_delete(store, BUCKET, document->key, DRV_REVISION_ANY, NULL);
    }
}
