/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of disks that a VM has left behind: see retained.h. The record is written before the image is
 * renamed: what a crash leaves is an image at its old place, which is released once more, or a
 * record of nothing, which is dropped when somebody looks.
 */
#include "cache/retained.h"

#include "cache/store.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/durable.h"
#include "base/log.h"
#include "hyper/disk.h"
#include "model/json.h"

#define BUCKET "kept"
/* Shares of a file system that must be free: to keep an image, and to go on keeping it. */
#define FREE_TO_KEEP 8
#define FREE_TO_STAY 16

void drv_kept_free(drv_kept *kept)
{
    if (!kept)
        return;
    g_free(kept->id);
    g_free(kept->vm);
    g_free(kept->uuid);
    g_free(kept->owner);
    g_free(kept->disk);
    g_free(kept->path);
    g_free(kept->format);
    g_free(kept);
}

static char *id_of(const char *uuid, const char *disk)
{
    return g_strdup_printf("%s-%s", uuid, disk);
}

/* NULL: it is not there. */
static drv_kept *read_record(const drv_document *document)
{
    g_autoptr(json_object) doc = drv_json_parse(document->json, "a record", NULL);
    const char *path = doc ? drv_json_string(doc, "path", NULL) : NULL;
    struct stat info;
    drv_kept *kept;

    if (!path || lstat(path, &info) < 0 || !S_ISREG(info.st_mode))
        return NULL;
    kept = g_new0(drv_kept, 1);
    kept->id = g_strdup(document->key);
    kept->vm = g_strdup(drv_json_string(doc, "vm", ""));
    kept->uuid = g_strdup(drv_json_string(doc, "uuid", ""));
    kept->owner = g_strdup(drv_json_string(doc, "owner", ""));
    kept->disk = g_strdup(drv_json_string(doc, "disk", ""));
    kept->path = g_strdup(path);
    kept->format = g_strdup(drv_json_string(doc, "format", "raw"));
    kept->bytes = (guint64)info.st_blocks * 512;
    kept->created_ms = drv_json_int(doc, "created_ms", 0);
    return kept;
}

static gint by_age(gconstpointer one, gconstpointer other)
{
    const drv_kept *a = *(drv_kept *const *)one, *b = *(drv_kept *const *)other;

    return a->created_ms < b->created_ms ? -1 : a->created_ms > b->created_ms;
}

GPtrArray *drv_kept_all_locked(drv_content *content)
{
    g_autoptr(GPtrArray) documents = drv_store_list(content->store, BUCKET, 0, NULL);
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)drv_kept_free);

    for (guint i = 0; documents && i < documents->len; i++) {
        const drv_document *document = documents->pdata[i];
        drv_kept *kept = read_record(document);

        if (kept)
            g_ptr_array_add(list, kept);
        else
            drv_store_delete(content->store, BUCKET, document->key, DRV_REVISION_ANY, NULL);
    }
    g_ptr_array_sort(list, by_age);
    return list;
}

void drv_kept_remove_locked(drv_content *content, const drv_kept *kept)
{
    g_autofree char *directory = g_path_get_dirname(kept->path);
    g_autofree char *name = g_path_get_basename(directory);

    /* Whatever a record says, nothing else is removed. */
    if (g_str_equal(name, DRV_KEPT_DIR)) {
        drv_durable_unlink(kept->path, NULL);
        g_rmdir(directory); /* if it was the last one */
    }
    drv_store_delete(content->store, BUCKET, kept->id, DRV_REVISION_ANY, NULL);
}

/* ---- room ---- */

static gboolean same_device(const char *one, const char *other)
{
    struct stat a, b;

    return stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev;
}

static guint64 free_bytes(const char *path, guint64 *all)
{
    struct statvfs fs;

    if (statvfs(path, &fs) < 0)
        return 0;
    if (all)
        *all = (guint64)fs.f_blocks * fs.f_frsize;
    return (guint64)fs.f_bavail * fs.f_frsize;
}

guint64 drv_kept_room(drv_content *content, const char *directory)
{
    g_autoptr(GPtrArray) list = NULL;
    guint64 bytes = 0;

    if (!content)
        return 0;
    g_mutex_lock(&content->lock);
    list = drv_kept_all_locked(content);
    g_mutex_unlock(&content->lock);
    for (guint i = 0; i < list->len; i++) {
        const drv_kept *kept = list->pdata[i];

        if (same_device(kept->path, directory))
            bytes += kept->bytes;
    }
    return bytes;
}

void drv_kept_make_room(drv_content *content, const char *directory, guint64 needed_bytes)
{
    g_autoptr(GPtrArray) list = NULL;

    if (!content)
        return;
    g_mutex_lock(&content->lock);
    list = drv_kept_all_locked(content);
    for (guint i = 0; i < list->len && free_bytes(directory, NULL) < needed_bytes; i++) {
        const drv_kept *kept = list->pdata[i];

        if (!same_device(kept->path, directory))
            continue;
        drv_log_notice("the kept image %s makes room in %s", kept->path, directory);
        drv_kept_remove_locked(content, kept);
    }
    g_mutex_unlock(&content->lock);
}

gboolean drv_kept_yield_locked(drv_content *content)
{
    g_autoptr(GPtrArray) list = drv_kept_all_locked(content);
    guint left = list->len;

    for (guint i = 0; i < list->len; i++) {
        const drv_kept *kept = list->pdata[i];
        guint64 all = 0;

        if (free_bytes(kept->path, &all) >= all / FREE_TO_STAY)
            continue;
        drv_log_notice("the kept image %s makes room: its file system is nearly full", kept->path);
        drv_kept_remove_locked(content, kept);
        left--;
    }
    return left > 0;
}

/* ---- keeping ---- */

static gboolean fits(drv_content *content, const drv_kept_image *image)
{
    guint64 all = 0, room = free_bytes(image->path, &all);
    struct stat info;

    return lstat(image->path, &info) == 0 && S_ISREG(info.st_mode) && info.st_nlink == 1 &&
           (guint64)info.st_blocks * 512 <= content->most_bytes && room >= all / FREE_TO_KEEP;
}

static gboolean write_record(drv_content *content, const drv_kept_image *image, const char *id, const char *path)
{
    g_autoptr(json_object) doc = json_object_new_object();

    drv_json_set_string(doc, "vm", image->vm);
    drv_json_set_string(doc, "uuid", image->uuid);
    drv_json_set_string(doc, "owner", image->owner ? image->owner : DRV_CONTENT_OWNER);
    drv_json_set_string(doc, "disk", image->disk);
    drv_json_set_string(doc, "path", path);
    drv_json_set_string(doc, "format", image->format);
    drv_json_set_int(doc, "created_ms", drv_clock_real_ms());
    return drv_store_put(content->store, BUCKET, id, json_object_to_json_string(doc), DRV_REVISION_ANY, NULL, NULL);
}

/* One image of a disk is kept: an older one goes. */
static void replace_locked(drv_content *content, const char *id)
{
    g_autoptr(GPtrArray) list = drv_kept_all_locked(content);

    for (guint i = 0; i < list->len; i++)
        if (g_str_equal(((drv_kept *)list->pdata[i])->id, id))
            drv_kept_remove_locked(content, list->pdata[i]);
}

gboolean drv_kept_take(drv_content *content, drv_hyper *hyper, const drv_kept_image *image)
{
    g_autofree char *parent = g_path_get_dirname(image->path);
    g_autofree char *directory = g_build_filename(parent, DRV_KEPT_DIR, NULL);
    g_autofree char *id = id_of(image->uuid, image->disk);
    g_autofree char *name = g_strdup_printf("%s.%s", id, image->format);
    g_autofree char *path = g_build_filename(directory, name, NULL);
    g_autoptr(GError) error = NULL;
    gboolean taken, made;

    if (!content || !image->disk || strchr(image->disk, '/') || strchr(image->uuid, '/'))
        return FALSE;
    g_mutex_lock(&content->lock);
    taken = content->on && fits(content, image);
    if (taken)
        replace_locked(content, id);
    made = taken && (g_mkdir(directory, 0700) == 0 || g_file_test(directory, G_FILE_TEST_IS_DIR)) &&
           write_record(content, image, id, path);
    g_mutex_unlock(&content->lock);
    /* libvirt is asked whether it is used: nobody shall wait for that. */
    taken = made && drv_hyper_disk_set_aside(hyper, image->path, path, &error);
    g_mutex_lock(&content->lock);
    /* Who looked meanwhile found a record of nothing, and has dropped it. */
    if (taken && !(content->on && write_record(content, image, id, path)))
        drv_durable_unlink(path, NULL);
    else if (made && !taken)
        drv_store_delete(content->store, BUCKET, id, DRV_REVISION_ANY, NULL);
    g_rmdir(directory); /* if nothing is in it */
    g_mutex_unlock(&content->lock);
    if (error)
        drv_log_warning("the image of %s's %s is not kept: %s", image->vm, image->disk, error->message);
    if (!taken)
        return FALSE;
    drv_log_notice("keeping the image of %s's %s for its return: %s", image->vm, image->disk, path);
    drv_content_sweep(content);
    return TRUE;
}

json_object *drv_kept_find(drv_content *content, const char *uuid, const char *owner, const char *disk)
{
    g_autofree char *id = id_of(uuid, disk);
    g_autoptr(drv_document) document = NULL;
    g_autoptr(drv_kept) kept = NULL;
    json_object *found = NULL;

    if (!content)
        return NULL;
    g_mutex_lock(&content->lock);
    document = content->on ? drv_store_get(content->store, BUCKET, id, NULL) : NULL;
    kept = document ? read_record(document) : NULL;
    g_mutex_unlock(&content->lock);
    if (kept && g_str_equal(kept->owner, owner ? owner : DRV_CONTENT_OWNER)) {
        found = json_object_new_object();
        drv_json_set_string(found, "path", kept->path);
        drv_json_set_string(found, "format", kept->format);
        drv_json_set_int(found, "bytes", (gint64)kept->bytes);
        drv_json_set_int(found, "created_ms", kept->created_ms);
    }
    return found;
}

void drv_kept_forget(drv_content *content, const char *uuid, guint64 saved_bytes)
{
    g_autoptr(GPtrArray) list = NULL;
    gboolean any = FALSE;

    if (!content)
        return;
    g_mutex_lock(&content->lock);
    list = drv_kept_all_locked(content);
    for (guint i = 0; i < list->len; i++) {
        const drv_kept *kept = list->pdata[i];

        if (!g_str_equal(kept->uuid, uuid))
            continue;
        drv_kept_remove_locked(content, kept);
        any = TRUE;
    }
    if (any && saved_bytes)
        drv_content_credit_locked(content, saved_bytes);
    g_mutex_unlock(&content->lock);
}
