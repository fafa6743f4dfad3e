/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of the known-content store: see store.h. A session's relay writes a part, on
 * which its descriptor holds a lock; when that is gone so is the relay, and a part that opens becomes
 * a pack, by a rename. Whatever does not open is removed.
 */
#include "cache/store.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/durable.h"
#include "base/hex.h"
#include "base/log.h"
#include "cache/retained.h"
#include "hyper/gerror.h"
#include "model/json.h"
#include "pack/evict.h"
#include "pack/keyring.h"
#include "pack/pack.h"

#define BUCKET "content"
#define TOTAL "total"
#define CAP_SHARE 16
#define CAP_MOST (G_GUINT64_CONSTANT(8) << 30)
#define TICK_MS (3600 * 1000)
#define KEPT_TICK_MS 5000 /* as long as images are kept: is there room? */

drv_pack *drv_pack_ref(drv_pack *pack)
{
    g_atomic_ref_count_inc(&pack->references);
    return pack;
}

void drv_pack_unref(drv_pack *pack)
{
    if (!pack || !g_atomic_ref_count_dec(&pack->references))
        return;
    drv_pack_manifest_done(&pack->manifest);
    g_free(pack->id);
    g_free(pack->path);
    g_free(pack);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_pack, drv_pack_unref)

/* ---- what is remembered of a pack beside it ---- */

static void remember(drv_content *content, const char *key, gint64 used_ms, guint64 saved_bytes)
{
    g_autoptr(json_object) doc = json_object_new_object();
    g_autoptr(GError) error = NULL;

    drv_json_set_int(doc, "used_ms", used_ms);
    drv_json_set_int(doc, "saved_bytes", (gint64)saved_bytes);
    if (!drv_store_put(content->store, BUCKET, key, json_object_to_json_string(doc), DRV_REVISION_ANY, NULL, &error))
        drv_log_warning("what known content has saved is not recorded: %s", error->message);
}

static guint64 recall(drv_content *content, const char *key, gint64 *used_ms)
{
    g_autoptr(drv_document) document = drv_store_get(content->store, BUCKET, key, NULL);
    g_autoptr(json_object) doc = document ? drv_json_parse(document->json, "a record", NULL) : NULL;

    if (doc && used_ms)
        *used_ms = MAX(*used_ms, drv_json_int(doc, "used_ms", 0));
    return doc ? (guint64)MAX(0, drv_json_int(doc, "saved_bytes", 0)) : 0;
}

/* ---- packs ---- */

static drv_pack *read_pack(drv_content *content, const char *path, int fd, GError **error)
{
    g_autoptr(drv_pack) pack = g_new0(drv_pack, 1);
    char id[2 * DRV_SESSION_ID_SIZE + 1];
    struct drv_error problem = {0};
    struct drv_seal_key key;
    struct stat info;

    g_atomic_ref_count_init(&pack->references);
    if (drv_pack_read_head(fd, &pack->head, &problem) ||
        drv_seal_pack_key(&key, &content->key, pack->head.owner, pack->head.id, &problem) ||
        drv_pack_read_manifest(fd, &key, &pack->manifest, &problem)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "%s: %s", path, problem.message);
        return NULL;
    }
    drv_hex_encode(id, pack->head.id, sizeof pack->head.id);
    pack->id = g_strdup(id);
    pack->path = g_strdup_printf("%s/%s" DRV_CONTENT_PACK, content->dir, id);
    pack->bytes = fstat(fd, &info) == 0 ? (guint64)info.st_size : 0;
    pack->used_ms = (gint64)MIN(pack->head.created_ms, G_MAXINT64);
    return g_steal_pointer(&pack);
}

void drv_content_note_locked(drv_content *content, const char *vm, const char *format, ...)
{
    g_autofree char *why = NULL;
    va_list values;

    va_start(values, format);
    why = g_strdup_vprintf(format, values);
    va_end(values);
    g_free(content->problem);
    content->problem = g_strdup_printf("content of %s: %s", vm, why);
    content->problem_ms = drv_clock_real_ms();
    drv_log_warning("%s", content->problem);
}

static drv_pack *find_locked(drv_content *content, const char *id)
{
    for (guint i = 0; i < content->packs->len; i++) {
        drv_pack *pack = content->packs->pdata[i];

        if (g_str_equal(pack->id, id))
            return pack;
    }
    return NULL;
}

void drv_content_remove_locked(drv_content *content, drv_pack *pack)
{
    g_unlink(pack->path);
    drv_store_delete(content->store, BUCKET, pack->id, DRV_REVISION_ANY, NULL);
    g_ptr_array_remove(content->packs, pack);
}

static gint by_age(gconstpointer one, gconstpointer other)
{
    const drv_pack *a = *(drv_pack *const *)one, *b = *(drv_pack *const *)other;

    return a->head.created_ms < b->head.created_ms ? -1 : a->head.created_ms > b->head.created_ms;
}

/* What a session has made of the packs that it was given. */
static void credit_locked(drv_content *content, const drv_pack *made, gint64 now_ms)
{
    for (guint i = 0; i < made->head.bases && i < made->manifest.uses; i++) {
        const struct drv_pack_use *use = &made->manifest.use[i];
        char id[2 * DRV_SESSION_ID_SIZE + 1];
        drv_pack *base;

        drv_hex_encode(id, made->head.base[i], sizeof made->head.base[i]);
        base = find_locked(content, id);
        content->saved_bytes += use->bytes;
        if (base && use->damaged) {
            drv_log_warning("known content of %s was damaged and is removed", base->head.vm);
            drv_content_remove_locked(content, base);
        } else if (base && use->bytes) {
            base->saved_bytes += use->bytes;
            base->used_ms = now_ms;
            remember(content, base->id, base->used_ms, base->saved_bytes);
        }
    }
    if (made->manifest.uses)
        remember(content, TOTAL, now_ms, content->saved_bytes);
}

/* Who knows the reason is the relay that wrote it, and it is gone. */
static void note_unfinished_locked(drv_content *content, int fd, const GError *error)
{
    struct drv_pack_head head = {.vm = "a VM"};

    drv_pack_read_head(fd, &head, NULL);
    drv_content_note_locked(content, head.vm,
                            "it is not kept, since its relay did not finish writing it: see what "
                            "that has logged, and whether there is room in %s (%s)",
                            content->dir, error->message);
}

/* A part that nobody writes any more. */
static void adopt_locked(drv_content *content, const char *path, int fd)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_pack) pack = read_pack(content, path, fd, &error);

    if (!pack) {
        note_unfinished_locked(content, fd, error);
        g_unlink(path);
        return;
    }
    credit_locked(content, pack, drv_clock_real_ms());
    if (pack->manifest.missing)
        drv_content_note_locked(content, pack->head.vm,
                                "%u MiB of %u could not be written: see what its relay has logged, "
                                "and whether there is room in %s",
                                pack->manifest.missing, pack->manifest.missing + pack->manifest.count, content->dir);
    if (!pack->manifest.count || !content->on) {
        g_unlink(path);
    } else if (g_rename(path, pack->path) < 0) {
        drv_content_note_locked(content, pack->head.vm, "it is not kept: cannot name it %s: %s", pack->path,
                                g_strerror(errno));
        g_unlink(path);
    } else {
        if (!pack->manifest.missing)
            g_clear_pointer(&content->problem, g_free);
        g_ptr_array_add(content->packs, g_steal_pointer(&pack));
        g_ptr_array_sort(content->packs, by_age);
    }
}

static void take_part_locked(drv_content *content, const char *name)
{
    g_autofree char *path = g_build_filename(content->dir, name, NULL);
    g_autofree char *id = g_strndup(name, strlen(name) - strlen(DRV_CONTENT_PART));
    drv_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return;
    adopt_locked(content, path, fd);
    g_hash_table_remove(content->writing, id);
}

void drv_content_credit_locked(drv_content *content, guint64 bytes)
{
    content->saved_bytes += bytes;
    remember(content, TOTAL, drv_clock_real_ms(), content->saved_bytes);
}

/* Packs and kept images together. */
static void keep_to_caps_locked(drv_content *content)
{
    g_autoptr(GPtrArray) kept = drv_kept_all_locked(content);
    guint packs = content->packs->len, count = packs + kept->len;
    g_autofree struct drv_evict_item *items = g_new0(struct drv_evict_item, count + 1);

    for (guint i = 0; i < packs; i++) {
        const drv_pack *pack = content->packs->pdata[i];

        items[i] = (struct drv_evict_item){
            .bytes = pack->bytes, .used_ms = pack->used_ms, .created_ms = (gint64)pack->head.created_ms};
    }
    for (guint i = 0; i < kept->len; i++) {
        const drv_kept *image = kept->pdata[i];

        items[packs + i] = (struct drv_evict_item){
            .bytes = image->bytes, .used_ms = image->created_ms, .created_ms = image->created_ms};
    }
    drv_evict(items, count, content->most_bytes, (gint64)content->age_s * 1000, drv_clock_real_ms());
    for (guint i = count; i-- > 0;) {
        if (items[i].goes && i >= packs)
            drv_kept_remove_locked(content, kept->pdata[i - packs]);
        else if (items[i].goes)
            drv_content_remove_locked(content, content->packs->pdata[i]);
    }
}

static void each_file(drv_content *content, const char *suffix, void (*func)(drv_content *content, const char *name))
{
    g_autoptr(GDir) directory = g_dir_open(content->dir, 0, NULL);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const char *name;

    while (directory && (name = g_dir_read_name(directory)))
        if (g_str_has_suffix(name, suffix))
            g_ptr_array_add(names, g_strdup(name));
    for (guint i = 0; i < names->len; i++)
        func(content, names->pdata[i]);
}

void drv_content_sweep(drv_content *content)
{
    g_mutex_lock(&content->lock);
    each_file(content, DRV_CONTENT_PART, take_part_locked);
    keep_to_caps_locked(content);
    g_cond_broadcast(&content->swept);
    g_mutex_unlock(&content->lock);
}

static void remove_file(drv_content *content, const char *name)
{
    g_autofree char *path = g_build_filename(content->dir, name, NULL);

    g_unlink(path);
}

static void remove_kept_locked(drv_content *content)
{
    g_autoptr(GPtrArray) kept = drv_kept_all_locked(content);

    for (guint i = 0; i < kept->len; i++)
        drv_kept_remove_locked(content, kept->pdata[i]);
}

void drv_content_remove_all(drv_content *content)
{
    g_mutex_lock(&content->lock);
    while (content->packs->len)
        drv_content_remove_locked(content, content->packs->pdata[content->packs->len - 1]);
    each_file(content, DRV_CONTENT_PACK, remove_file);
    each_file(content, DRV_CONTENT_PART, remove_file);
    g_hash_table_remove_all(content->writing);
    remove_kept_locked(content);
    g_mutex_unlock(&content->lock);
}

/* ---- opening ---- */

static void load_pack(drv_content *content, const char *name)
{
    g_autofree char *path = g_build_filename(content->dir, name, NULL);
    drv_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_pack) pack = fd >= 0 ? read_pack(content, path, fd, &error) : NULL;

    if (!pack || !g_str_equal(pack->path, path)) {
        drv_log_notice("removing content that does not open: %s", error ? error->message : path);
        g_unlink(path);
        return;
    }
    pack->saved_bytes = recall(content, pack->id, &pack->used_ms);
    g_ptr_array_add(content->packs, g_steal_pointer(&pack));
}

/* Several stores on one kernel have keys of their own: each has a name, made with its directory. */
static gboolean name_key(drv_content *content, GError **error)
{
    g_autofree char *path = g_build_filename(content->dir, "id", NULL);
    g_autofree char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL) || strlen(text) != 32) {
        struct drv_error problem = {0};
        guint8 bytes[16];
        char hex[33];

        if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "the kernel gave no random bytes");
            return FALSE;
        }
        drv_hex_encode(hex, bytes, sizeof bytes);
        g_free(text);
        text = g_strdup(hex);
        if (drv_durable_write(path, text, strlen(text), 0600, &problem)) {
            drv_gerror_from(error, DRV_ERROR_FAILED, &problem);
            return FALSE;
        }
    }
    content->key_name = g_strconcat("drover:content:", text, NULL);
    return TRUE;
}

static gboolean get_key(drv_content *content, GError **error)
{
    struct drv_error problem = {0};
    bool made;
    int rc;

    if (!name_key(content, error))
        return FALSE;
    rc = drv_keyring_key(content->key_name, (unsigned)content->age_s, &content->key, &made, &problem);
    if (rc == -EIO) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "%s", problem.message);
        return FALSE;
    }
    content->key_kept = rc == 0;
    if (rc)
        drv_log_warning("known content will not outlive this droverd: %s", problem.message);
    /* What another key has sealed, nobody will ever open. */
    if (made)
        drv_content_remove_all(content);
    return TRUE;
}

static guint64 default_cap(const char *dir)
{
    struct statvfs room;

    if (statvfs(dir, &room) < 0)
        return 0;
    return MIN((guint64)room.f_bavail * room.f_frsize / CAP_SHARE, CAP_MOST);
}

static gpointer watch(gpointer data)
{
    drv_content *content = data;
    struct pollfd wait[2] = {{.fd = content->stop, .events = POLLIN}, {.fd = content->notify, .events = POLLIN}};
    char events[4096];
    gint64 asked_ms = drv_clock_ms();

    for (;;) {
        gint64 now_ms = drv_clock_ms();
        gboolean kept;
        bool made;

        g_mutex_lock(&content->lock);
        kept = drv_kept_yield_locked(content);
        g_mutex_unlock(&content->lock);
        if (now_ms - asked_ms >= TICK_MS && content->key_kept)
            drv_keyring_key(content->key_name, (unsigned)content->age_s, &content->key, &made, NULL);
        if (now_ms - asked_ms >= TICK_MS)
            asked_ms = now_ms;
        else if (poll(wait, content->notify >= 0 ? 2 : 1, kept ? KEPT_TICK_MS : TICK_MS) == 0 && kept)
            continue;
        if (wait[0].revents)
            return NULL;
        if (wait[1].revents && read(content->notify, events, sizeof events) < 0)
            continue;
        drv_content_sweep(content);
    }
}

static gboolean prepare(drv_content *content, GError **error)
{
    if (g_mkdir_with_parents(content->dir, 0700) < 0) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot make %s: %s", content->dir, g_strerror(errno));
        return FALSE;
    }
    if (!content->most_bytes)
        content->most_bytes = default_cap(content->dir);
    return get_key(content, error);
}

drv_content *drv_content_open(const drv_content_config *config)
{
    drv_content *content = g_new0(drv_content, 1);
    g_autofree char *off = g_build_filename(config->dir, "off", NULL);
    g_autoptr(GError) error = NULL;

    content->dir = g_strdup(config->dir);
    content->sessions_dir = g_strdup(config->sessions_dir);
    content->store = config->store;
    content->most_bytes = config->most_bytes;
    content->age_s = config->age_s ? config->age_s : DRV_CONTENT_AGE_S;
    content->packs = g_ptr_array_new_with_free_func((GDestroyNotify)drv_pack_unref);
    content->writing = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    content->notify = content->stop = -1;
    g_mutex_init(&content->lock);
    g_cond_init(&content->swept);
    if (!prepare(content, &error)) {
        drv_log_warning("no content is kept: %s", error->message);
        return content;
    }
    content->on = !g_file_test(off, G_FILE_TEST_EXISTS);
    if (!content->on)
        drv_content_remove_all(content);
    content->saved_bytes = recall(content, TOTAL, NULL);
    each_file(content, DRV_CONTENT_PACK, load_pack);
    g_ptr_array_sort(content->packs, by_age);
    content->stop = eventfd(0, EFD_CLOEXEC);
    content->notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (content->notify >= 0 && inotify_add_watch(content->notify, content->dir, IN_CLOSE_WRITE) < 0)
        drv_log_warning("content is taken over late: cannot watch %s: %s", content->dir, g_strerror(errno));
    drv_content_sweep(content);
    if (content->stop >= 0)
        content->watcher = g_thread_new("content", watch, content);
    return content;
}

void drv_content_close(drv_content *content)
{
    guint64 one = 1;

    if (!content)
        return;
    if (content->watcher && write(content->stop, &one, sizeof one) == sizeof one)
        g_thread_join(content->watcher);
    if (content->stop >= 0)
        close(content->stop);
    if (content->notify >= 0)
        close(content->notify);
    explicit_bzero(&content->key, sizeof content->key);
    g_ptr_array_unref(content->packs);
    g_hash_table_unref(content->writing);
    g_mutex_clear(&content->lock);
    g_cond_clear(&content->swept);
    g_free(content->problem);
    g_free(content->key_name);
    g_free(content->dir);
    g_free(content->sessions_dir);
    g_free(content);
}
