/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a backup: see backup.h. The file has one JSON object a line: a head, then files of the
 * identity, documents and counters, and at the end how many lines there were and their SHA-256.
 */
#include "cluster/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/durable.h"
#include "base/fd.h"
#include "cluster/backup-file.h"
#include "drv-config.h"
#include "model/json.h"
#include "store/copy.h"

/* ---- at droverd ---- */

/* What runs now is of no use later: sessions, what is on this host's disk, jobs that go on. */
static gboolean is_lasting(const char *bucket, const drv_document *document)
{
    g_autoptr(json_object) job = NULL;

    if (g_str_equal(bucket, "session") || g_str_equal(bucket, "content") || g_str_equal(bucket, "marker") ||
        g_str_equal(bucket, DRV_CLAIM_BUCKET))
        return FALSE;
    if (!g_str_equal(bucket, "job"))
        return TRUE;
    job = json_tokener_parse(document->json);
    return drv_json_bool(job, "ended");
}

static gboolean add_bucket(json_object *list, drv_store *store, const char *bucket, GError **error)
{
    g_autoptr(GPtrArray) documents = drv_store_list(store, bucket, 0, error);

    for (guint i = 0; documents && i < documents->len; i++) {
        const drv_document *document = documents->pdata[i];
        json_object *one;

        if (!is_lasting(bucket, document))
            continue;
        one = json_object_new_object();
        drv_json_set_string(one, "bucket", bucket);
        drv_json_set_string(one, "key", document->key);
        drv_json_set_string(one, "json", document->json);
        json_object_array_add(list, one);
    }
    return documents != NULL;
}

static gboolean add_counters(json_object *list, drv_store *store, gboolean shared, GError **error)
{
    g_autoptr(GPtrArray) counters = drv_store_counters(store, error);

    for (guint i = 0; counters && i < counters->len; i++) {
        const drv_document *counter = counters->pdata[i];
        json_object *one;

        if (drv_store_cluster_counter(counter->key) != shared)
            continue;
        one = json_object_new_object();
        drv_json_set_string(one, "counter", counter->key);
        drv_json_set_int(one, "value", g_ascii_strtoll(counter->json, NULL, 10));
        json_object_array_add(list, one);
    }
    return counters != NULL;
}

/* @shared: what is the cluster's; else what is this node's own, its copy of the membership being that. */
static json_object *collect(drv_store *store, gboolean shared, GError **error)
{
    g_autoptr(GPtrArray) buckets = drv_store_buckets(store, error);
    g_autoptr(json_object) list = json_object_new_array();

    for (guint i = 0; buckets && i < buckets->len; i++) {
        const char *bucket = buckets->pdata[i];

        if ((drv_store_cluster_bucket(bucket) == shared || (!shared && g_str_equal(bucket, "cluster"))) &&
            !add_bucket(list, store, bucket, error))
            return NULL;
    }
    return buckets && add_counters(list, store, shared, error) ? g_steal_pointer(&list) : NULL;
}

json_object *drv_backup_collect(drv_cluster *cluster, GError **error)
{
    const drv_identity *identity = drv_cluster_identity(cluster);
    g_autoptr(json_object) all = json_object_new_object();
    json_object *own = collect(drv_cluster_own(cluster), FALSE, error), *shared = NULL;

    if (!own)
        return NULL;
    json_object_object_add(all, "own", own);
    if (drv_cluster_keeps(cluster)) {
        shared = collect(drv_cluster_store(cluster), TRUE, error);
        if (!shared)
            return NULL;
        json_object_object_add(all, "shared", shared);
    }
    drv_json_set_int(all, "drover_backup", DRV_BACKUP_FORMAT);
    drv_json_set_string(all, "version", DRV_VERSION);
    drv_json_set_int(all, "made_ms", drv_clock_real_ms());
    drv_json_set_string(all, "cluster", identity->cluster);
    drv_json_set_string(all, "node", identity->node);
    return g_steal_pointer(&all);
}

/* ---- at the command line ---- */

static void add_line(GString *text, json_object *object)
{
    g_string_append(text,
                    json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    g_string_append_c(text, '\n');
}

static guint add_part(GString *text, json_object *collected, const char *part)
{
    json_object *list = drv_json_array(collected, part);

    for (gsize i = 0; i < drv_json_length(list); i++) {
        json_object *one = json_object_array_get_idx(list, i);

        drv_json_set_string(one, "part", part);
        add_line(text, one);
    }
    return (guint)drv_json_length(list);
}

static guint add_identity(GString *text, const char *etc_dir)
{
    guint count = 0;

    for (gsize i = 0; drv_backup_files[i]; i++) {
        g_autofree char *path = g_build_filename(etc_dir, drv_backup_files[i], NULL);
        g_autofree char *content = NULL;
        g_autoptr(json_object) file = NULL;

        if (!g_file_get_contents(path, &content, NULL, NULL))
            continue;
        file = json_object_new_object();
        drv_json_set_string(file, "file", drv_backup_files[i]);
        drv_json_set_string(file, "text", content);
        add_line(text, file);
        count++;
    }
    return count;
}

static gboolean is_of(json_object *collected, const drv_identity *identity)
{
    return identity && !g_strcmp0(drv_json_string(collected, "node", NULL), identity->node) &&
           !g_strcmp0(drv_json_string(collected, "cluster", NULL), identity->cluster);
}

static gboolean write_text(const char *path, const GString *text, GError **error)
{
    struct drv_error err;
    int fd = g_str_equal(path, "-") ? dup(STDOUT_FILENO) : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    gboolean written;

    if (fd < 0) {
        g_set_error(error, DRV_ERROR, errno == EEXIST ? DRV_ERROR_CONFLICT : DRV_ERROR_FAILED, "cannot write %s: %s%s",
                    path, g_strerror(errno), errno == EEXIST ? ": choose another name, or remove it" : "");
        return FALSE;
    }
    written = !drv_fd_write_all(fd, text->str, text->len, &err) &&
              (g_str_equal(path, "-") || !drv_durable_open_file(fd, path, &err));
    if (!written) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "the backup %s is not whole: %s", path, err.message);
        if (!g_str_equal(path, "-"))
            unlink(path);
    }
    close(fd);
    return written;
}

gboolean drv_backup_write(json_object *collected, const char *etc_dir, const char *path, gboolean *with_identity,
                          GError **error)
{
    static const char *const of_head[] = {"drover_backup", "version", "made_ms", "cluster", "node"};
    g_autoptr(drv_identity) identity = drv_identity_load(etc_dir, NULL);
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(json_object) head = json_object_new_object();
    g_autoptr(json_object) end = json_object_new_object();
    g_autofree char *digest = NULL;
    guint lines = 1;
    gboolean written;

    for (gsize i = 0; i < G_N_ELEMENTS(of_head); i++)
        json_object_object_add(head, of_head[i], json_object_get(json_object_object_get(collected, of_head[i])));
    drv_json_set_bool(head, "shared", drv_json_array(collected, "shared") != NULL);
    add_line(text, head);
    *with_identity = is_of(collected, identity);
    if (*with_identity)
        lines += add_identity(text, etc_dir);
    lines += add_part(text, collected, "own");
    lines += add_part(text, collected, "shared");
    digest = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)text->str, text->len);
    drv_json_set_int(end, "end", lines);
    drv_json_set_string(end, "sha256", digest);
    add_line(text, end);
    written = write_text(path, text, error);
    explicit_bzero(text->str, text->len); /* keys are in it */
    return written;
}
