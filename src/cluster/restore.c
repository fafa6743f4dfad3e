/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a backup: see backup.h. All of the file is read and checked before anything is written;
 * node.json, which makes the host a node again, is written last.
 */
#include "cluster/restore.h"

#include <string.h>

#include "base/clock.h"
#include "cluster/backup-file.h"
#include "cluster/backup.h"
#include "model/json.h"
#include "store/copy.h"

/* Numbers of moves that were given after the backup are not given again. */
#define COUNTERS_AHEAD 1000

const char *const drv_backup_files[] = {"ca.crt",       "ca.key",       "node.crt",     "node.key",
                                        "operator.crt", "operator.key", "store-ca.crt", "store.crt",
                                        "store.key",    "store.json",   "node.json",    NULL};

static void put_json(gpointer object)
{
    json_object_put(object);
}

static gboolean not_whole(const char *path, GError **error)
{
    g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                "%s is not a whole backup of Drover's: it was cut off or changed; nothing was restored", path);
    return FALSE;
}

/* Its lines but the last one, parsed, if that one agrees with them. */
static GPtrArray *read_lines(const char *path, GError **error)
{
    g_autofree char *text = NULL;
    g_autofree char *digest = NULL;
    g_autoptr(GError) problem = NULL;
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(put_json);
    g_autoptr(json_object) end = NULL;
    char *last, *at;
    gsize size;

    if (!g_file_get_contents(path, &text, &size, &problem)) {
        g_set_error(error, DRV_ERROR,
                    g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_NOENT) ? DRV_ERROR_NOT_FOUND : DRV_ERROR_FAILED,
                    "%s", problem->message);
        return NULL;
    }
    if (size < 2 || strlen(text) != size || text[size - 1] != '\n' || !(last = memrchr(text, '\n', size - 1))) {
        not_whole(path, error);
        return NULL;
    }
    last++;
    digest = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)text, (gsize)(last - text));
    end = json_tokener_parse(last);
    if (g_strcmp0(drv_json_string(end, "sha256", NULL), digest)) {
        not_whole(path, error);
        return NULL;
    }
    *last = '\0';
    for (at = text; *at; at = strchr(at, '\n') + 1) {
        g_autofree char *line = g_strndup(at, strcspn(at, "\n"));
        json_object *one = json_tokener_parse(line);

        if (!json_object_is_type(one, json_type_object)) {
            json_object_put(one);
            not_whole(path, error);
            return NULL;
        }
        g_ptr_array_add(lines, one);
    }
    explicit_bzero(text, size);
    if (drv_json_int(end, "end", 0) == lines->len)
        return g_steal_pointer(&lines);
    not_whole(path, error);
    return NULL;
}

static gboolean check_head(json_object *head, const char *path, const char *etc_dir, gboolean *is_node, GError **error)
{
    g_autoptr(GError) problem = NULL;
    g_autoptr(drv_identity) identity = drv_identity_load(etc_dir, &problem);
    gint64 format = drv_json_int(head, "drover_backup", 0);

    *is_node = identity != NULL;
    if (format < 1)
        return not_whole(path, error);
    if (format > DRV_BACKUP_FORMAT) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "%s was made by a newer Drover (%s): install that one", path,
                    drv_json_string(head, "version", "?"));
        return FALSE;
    }
    if (!identity && !g_error_matches(problem, DRV_ERROR, DRV_ERROR_NOT_FOUND)) {
        g_propagate_prefixed_error(error, g_steal_pointer(&problem),
                                   "remove %s, then it is restored with the rest: ", etc_dir);
        return FALSE;
    }
    if (!identity || (!g_strcmp0(identity->node, drv_json_string(head, "node", NULL)) &&
                      !g_strcmp0(identity->cluster, drv_json_string(head, "cluster", NULL))))
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                "this host is node %s of cluster %s, the backup is of node %s of %s: remove %s first if "
                "this host is to become that one",
                identity->node, identity->cluster, drv_json_string(head, "node", "?"),
                drv_json_string(head, "cluster", "?"), etc_dir);
    return FALSE;
}

/* All files of the identity, or only that of @name; nothing to do if there are none. */
static gboolean write_files(GPtrArray *lines, const char *etc_dir, gboolean node_json, guint *count, GError **error)
{
    for (guint i = 0; i < lines->len; i++) {
        const char *name = drv_json_string(lines->pdata[i], "file", NULL);

        if (!name || !g_strv_contains(drv_backup_files, name) || g_str_equal(name, "node.json") != node_json)
            continue;
        if (!drv_identity_make_directory(etc_dir, error) ||
            !drv_identity_write_file(etc_dir, name, drv_json_string(lines->pdata[i], "text", ""), error))
            return FALSE;
        (*count)++;
    }
    return TRUE;
}

/* A membership that is newer than what any node has seen. */
static char *renewed(const char *json)
{
    g_autoptr(json_object) document = json_tokener_parse(json);

    drv_json_set_int(document, "version", MAX(drv_json_int(document, "version", 0) + 1, drv_clock_real_ms()));
    return g_strdup(json_object_to_json_string_ext(document, JSON_C_TO_STRING_PLAIN));
}

static gboolean write_document(drv_store *store, json_object *line, gboolean shared, GError **error)
{
    const char *bucket = drv_json_string(line, "bucket", ""), *key = drv_json_string(line, "key", "");
    const char *json = drv_json_string(line, "json", "");
    g_autofree char *newer = shared && g_str_equal(bucket, "cluster") ? renewed(json) : NULL;

    return drv_store_put(store, bucket, key, newer ?: json, DRV_REVISION_ANY, NULL, error);
}

static gboolean write_part(GPtrArray *lines, const char *part, drv_store *store, guint *documents, GError **error)
{
    gboolean shared = g_str_equal(part, "shared");

    for (guint i = 0; i < lines->len; i++) {
        json_object *line = lines->pdata[i];
        const char *counter = drv_json_string(line, "counter", NULL);

        if (g_strcmp0(drv_json_string(line, "part", NULL), part))
            continue;
        if (counter) {
            if (!drv_store_raise(store, counter, drv_json_int(line, "value", 0) + COUNTERS_AHEAD, error))
                return FALSE;
        } else {
            if (!write_document(store, line, shared, error))
                return FALSE;
            (*documents)++;
        }
    }
    return TRUE;
}

/* What the cluster keeps: into etcd if that is empty, into the founder's own store, or nowhere. */
static gboolean write_shared(GPtrArray *lines, json_object *head, drv_store *own, const char *etc_dir,
                             drv_restored *what, GError **error)
{
    g_auto(drv_keeping) keeping = {0};
    g_autoptr(drv_store) etcd = NULL;
    g_autoptr(GPtrArray) buckets = NULL;

    if (!drv_json_bool(head, "shared"))
        return TRUE;
    if (!drv_keeping_load(&keeping, etc_dir, error))
        return FALSE;
    if (!keeping.where)
        return drv_store_clear_cluster(own, error) && write_part(lines, "shared", own, &what->documents, error);
    etcd = drv_keeping_open(&keeping, etc_dir, drv_json_string(head, "cluster", NULL), TRUE, error);
    buckets = etcd ? drv_store_buckets(etcd, error) : NULL;
    if (!buckets)
        return FALSE;
    what->shared_kept = buckets->len > 0;
    return what->shared_kept || write_part(lines, "shared", etcd, &what->documents, error);
}

gboolean drv_backup_restore(const char *path, const char *etc_dir, const char *state_dir, drv_restored *what,
                            GError **error)
{
    g_autoptr(GPtrArray) lines = read_lines(path, error);
    g_autofree char *file = g_build_filename(state_dir, "drover.db", NULL);
    g_autoptr(drv_store) own = NULL;
    gboolean is_node = FALSE;
    guint files = 0;
    json_object *head;

    *what = (drv_restored){0};
    if (!lines || (!lines->len && !not_whole(path, error)))
        return FALSE;
    head = lines->pdata[0];
    if (!check_head(head, path, etc_dir, &is_node, error))
        return FALSE;
    if (!drv_identity_make_directory(state_dir, error))
        return FALSE;
    own = drv_store_open(file, error);
    if (!own || (!is_node && !write_files(lines, etc_dir, FALSE, &files, error)) ||
        !write_part(lines, "own", own, &what->documents, error) ||
        !write_shared(lines, head, own, etc_dir, what, error) ||
        (!is_node && !write_files(lines, etc_dir, TRUE, &files, error)))
        return FALSE;
    what->identity = files > 0;
    what->node = g_strdup(drv_json_string(head, "node", NULL));
    what->made_ms = drv_json_int(head, "made_ms", 0);
    return TRUE;
}
