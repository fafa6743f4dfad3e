/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a session gets of the known-content store: see cache.h.
 *
 * The source lists segments, what matters most first: those of the VM itself, the newest first,
 * then those of other VMs of its owner. The target says which of them it has. Both put those into
 * the relay's cache in the opposite order, so that what matters most is forgotten last. Digests
 * are cut in this talk; that both mean the same the relays find out by all of them.
 */
#include "cache/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hex.h"
#include "base/log.h"
#include "cache/store.h"
#include "hyper/gerror.h"
#include "model/json.h"
#include "pack/brief.h"
#include "pack/pack.h"
#include "relay/control/settings.h"

#define PREFIX 8u         /* bytes of a digest in the talk */
#define SIBLINGS_MAX 512u /* segments of other VMs: what is loaded takes its time */
/* For what earlier sessions are just writing: as long as more of it comes, within reason. */
#define WAIT_US (10 * G_USEC_PER_SEC)
#define STALL_US (1500 * 1000)
#define LOOK_US (100 * 1000)

typedef struct {
    drv_pack *pack; /* owned */
    guint16 index;
} known;

struct drv_content_session {
    drv_content *content;
    char *id;
    struct drv_pack_head head;
    GArray *offered; /* of known; source: what is here, target: unused */
    GArray *chosen;  /* of known: what both have, what matters most first */
    int brief;
    int files[1 + DRV_PACKS_MAX];
    guint file_count;
    guint cache_mib; /* of the session's relays */
};

static void known_clear(gpointer data)
{
    drv_pack_unref(((known *)data)->pack);
}

static GArray *known_list(void)
{
    GArray *list = g_array_new(FALSE, FALSE, sizeof(known));

    g_array_set_clear_func(list, known_clear);
    return list;
}

static void known_add(GArray *list, drv_pack *pack, guint index)
{
    known entry = {drv_pack_ref(pack), (guint16)index};

    g_array_append_val(list, entry);
}

static const struct drv_pack_segment *segment_of(const known *entry)
{
    return &entry->pack->manifest.segment[entry->index];
}

/* Units: segments. A quarter of memory's part of the cache (src/relay/coding.c) is left for what is new. */
static guint most_loaded(guint cache_mib)
{
    return MIN(cache_mib / 16u * 9u, DRV_PACK_SEGMENTS_MAX);
}

guint64 drv_content_most_known(void)
{
    return (guint64)most_loaded(drv_relay_cache_mib()) * DRV_SEGMENT_BYTES;
}

/* ---- beginning ---- */

/* A relay that works can be asked; from when it is over it only writes. */
static gboolean is_over(const drv_content *content, const char *session)
{
    g_autofree char *path =
        content->sessions_dir ? g_build_filename(content->sessions_dir, session, DRV_SOCKET_ADMIN, NULL) : NULL;

    return !path || !g_file_test(path, G_FILE_TEST_EXISTS);
}

static guint64 part_bytes(const drv_content *content, const char *session)
{
    g_autofree char *path = g_strdup_printf("%s/%s" DRV_CONTENT_PART, content->dir, session);
    struct stat info;

    return stat(path, &info) == 0 ? (guint64)info.st_size : 0;
}

/*
 * Whether something is just written that @head's VM could use: a VM is in one session at a time.
 * @bytes: receives how much of it there is
 */
static gboolean is_written_locked(drv_content *content, const struct drv_pack_head *head, guint64 *bytes)
{
    GHashTableIter iter;
    gpointer session, value;
    gboolean any = FALSE;

    *bytes = 0;

    g_hash_table_iter_init(&iter, content->writing);
    while (g_hash_table_iter_next(&iter, &session, &value)) {
        const struct drv_pack_head *part = value;

        if (!g_str_equal(part->owner, head->owner) ||
            !(g_str_equal(part->uuid, head->uuid) || is_over(content, session)))
            continue;
        *bytes += part_bytes(content, session);
        any = TRUE;
    }
    return any;
}

/* Most of it was written while it passed: this is about the rest. */
static void wait_written_locked(drv_content *content, const struct drv_pack_head *head)
{
    gint64 began_us = g_get_monotonic_time(), now_us = began_us, grown_us = began_us;
    guint64 before = 0, bytes;

    while (content->on && is_written_locked(content, head, &bytes) && now_us - began_us < WAIT_US &&
           now_us - grown_us < STALL_US) {
        g_cond_wait_until(&content->swept, &content->lock, now_us + LOOK_US);
        now_us = g_get_monotonic_time();
        if (bytes != before)
            grown_us = now_us;
        before = bytes;
    }
}

static gboolean fill_head(drv_content_session *session, const char *uuid, const char *vm, const char *owner)
{
    struct drv_pack_head *head = &session->head;

    if (drv_hex_decode(head->id, sizeof head->id, session->id, NULL) < 0 ||
        g_strlcpy(head->owner, owner, sizeof head->owner) >= sizeof head->owner ||
        g_strlcpy(head->uuid, uuid, sizeof head->uuid) >= sizeof head->uuid)
        return FALSE;
    g_strlcpy(head->vm, vm, sizeof head->vm); /* for people only */
    head->created_ms = (guint64)drv_clock_real_ms();
    return TRUE;
}

drv_content_session *drv_content_begin(drv_content *content, const char *session, const char *uuid, const char *vm,
                                       const char *owner)
{
    drv_content_session *it;
    gboolean on;

    if (!content)
        return NULL;
    it = g_new0(drv_content_session, 1);
    it->content = content;
    it->id = g_strdup(session);
    it->offered = known_list();
    it->chosen = known_list();
    it->brief = -1;
    it->cache_mib = drv_relay_cache_mib();
    on = fill_head(it, uuid, vm, owner ? owner : DRV_CONTENT_OWNER);
    g_mutex_lock(&content->lock);
    if (on)
        wait_written_locked(content, &it->head);
    on = on && content->on;
    g_mutex_unlock(&content->lock);
    if (!on)
        g_clear_pointer(&it, drv_content_end);
    return it;
}

void drv_content_limit(drv_content_session *session, guint cache_mib)
{
    session->cache_mib = MIN(session->cache_mib, cache_mib);
}

static void close_files(drv_content_session *session)
{
    for (guint i = 0; i < session->file_count; i++)
        close(session->files[i]);
    session->file_count = 0;
    if (session->brief >= 0)
        close(session->brief);
    session->brief = -1;
}

void drv_content_end(drv_content_session *session)
{
    if (!session)
        return;
    close_files(session);
    g_array_unref(session->offered);
    g_array_unref(session->chosen);
    g_free(session->id);
    g_free(session);
}

/* ---- talking ---- */

static guint64 prefix_of(const guint8 *digest)
{
    guint64 prefix;

    memcpy(&prefix, digest, sizeof prefix);
    return prefix;
}

static guint add_pack(drv_content_session *session, drv_pack *pack, GHashTable *seen, guint most)
{
    guint added = 0;

    for (guint i = pack->manifest.count; i-- > 0 && added < most;) {
        guint64 prefix = prefix_of(pack->manifest.segment[i].digest);

        if (!g_hash_table_add(seen, g_memdup2(&prefix, sizeof prefix)))
            continue;
        known_add(session->offered, pack, i);
        added++;
    }
    return added;
}

/* What is here of the VM, or of its siblings. */
static void collect_locked(drv_content_session *session, gboolean own, guint *packs, GHashTable *seen, guint most)
{
    GPtrArray *all = session->content->packs;

    for (guint i = all->len; i-- > 0 && *packs < DRV_PACKS_MAX && most;) {
        drv_pack *pack = all->pdata[i];

        if (!g_str_equal(pack->head.owner, session->head.owner) ||
            g_str_equal(pack->head.uuid, session->head.uuid) != own)
            continue;
        most -= add_pack(session, pack, seen, most);
        ++*packs;
    }
}

json_object *drv_content_offer(drv_content_session *session)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_autofree char *text = NULL;
    json_object *offer = json_object_new_object();
    guint packs = 0, most = most_loaded(session->cache_mib);

    g_mutex_lock(&session->content->lock);
    collect_locked(session, TRUE, &packs, seen, most);
    collect_locked(session, FALSE, &packs, seen, MIN(most - session->offered->len, SIBLINGS_MAX));
    g_mutex_unlock(&session->content->lock);
    for (guint i = 0; i < session->offered->len; i++)
        g_byte_array_append(bytes, segment_of(&g_array_index(session->offered, known, i))->digest, PREFIX);
    text = g_base64_encode(bytes->data, bytes->len);
    drv_json_set_string(offer, "owner", session->head.owner);
    drv_json_set_string(offer, "segments", text);
    return offer;
}

static void index_locked(drv_content_session *session, GHashTable *index)
{
    GPtrArray *all = session->content->packs;

    for (guint i = 0; i < all->len; i++) {
        drv_pack *pack = all->pdata[i];

        if (!g_str_equal(pack->head.owner, session->head.owner))
            continue;
        for (guint at = 0; at < pack->manifest.count; at++) {
            guint64 prefix = prefix_of(pack->manifest.segment[at].digest);
            known *entry = g_new(known, 1);

            *entry = (known){pack, (guint16)at};
            g_hash_table_replace(index, g_memdup2(&prefix, sizeof prefix), entry);
        }
    }
}

/* Takes over the segments that are asked for and here. Return: a bit for each, as text. */
static char *choose_locked(drv_content_session *session, const guint8 *wanted, gsize count)
{
    g_autoptr(GHashTable) index = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    g_autoptr(GHashTable) packs = g_hash_table_new(NULL, NULL);
    g_autofree guint8 *bits = g_malloc0(count / 8 + 1);
    guint most = most_loaded(session->cache_mib);

    index_locked(session, index);
    for (gsize i = 0; i < count && session->chosen->len < most; i++) {
        guint64 prefix = prefix_of(wanted + i * PREFIX);
        known *entry = g_hash_table_lookup(index, &prefix);

        if (!entry || (!g_hash_table_contains(packs, entry->pack) && g_hash_table_size(packs) == DRV_PACKS_MAX))
            continue;
        g_hash_table_add(packs, entry->pack);
        known_add(session->chosen, entry->pack, entry->index);
        g_hash_table_remove(index, &prefix);
        bits[i / 8] |= (guint8)(1u << i % 8);
    }
    return g_base64_encode(bits, (count + 7) / 8);
}

json_object *drv_content_answer(drv_content_session *session, json_object *offer)
{
    const char *text = drv_json_string(offer, "segments", NULL);
    g_autofree guint8 *wanted = NULL;
    g_autofree char *bits = NULL;
    json_object *answer;
    gsize size = 0;

    if (!text)
        return NULL;
    wanted = g_base64_decode(text, &size);
    if (size > (gsize)DRV_PACK_SEGMENTS_MAX * PREFIX)
        return NULL;
    g_mutex_lock(&session->content->lock);
    bits = choose_locked(session, wanted, size / PREFIX);
    g_mutex_unlock(&session->content->lock);
    answer = json_object_new_object();
    drv_json_set_string(answer, "use", bits);
    return answer;
}

gboolean drv_content_accept(drv_content_session *session, json_object *answer)
{
    const char *text = drv_json_string(answer, "use", NULL);
    g_autofree guint8 *bits = NULL;
    gsize size = 0;

    if (!text)
        return FALSE;
    bits = g_base64_decode(text, &size);
    for (guint i = 0; i < session->offered->len && i / 8 < size; i++)
        if (bits[i / 8] >> i % 8 & 1) {
            const known *entry = &g_array_index(session->offered, known, i);

            known_add(session->chosen, entry->pack, entry->index);
        }
    return TRUE;
}

/* ---- handing over ---- */

static guint most_kept(const drv_content *content)
{
    guint64 most = MIN(drv_relay_cache_mib(), content->most_bytes / DRV_SLOT_BYTES);
    struct statvfs room;

    if (statvfs(content->dir, &room) == 0)
        most = MIN(most, (guint64)room.f_bavail * room.f_frsize / 2 / DRV_SLOT_BYTES);
    return (guint)MIN(most, DRV_PACK_SEGMENTS_MAX);
}

/* The file that the relay writes, locked for as long as anybody has it open. */
static int new_part(drv_content_session *session)
{
    drv_content *content = session->content;
    g_autofree char *path = g_strdup_printf("%s/%s" DRV_CONTENT_PART, content->dir, session->id);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    struct drv_error problem = {0};

    if (fd < 0)
        drv_error_set(&problem, errno, "cannot make %s: %s", path, g_strerror(errno));
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && drv_pack_begin(fd, &session->head, &problem) == 0) {
        g_mutex_lock(&content->lock);
        g_hash_table_replace(content->writing, g_strdup(session->id), g_memdup2(&session->head, sizeof session->head));
        g_mutex_unlock(&content->lock);
        return fd;
    }
    g_mutex_lock(&content->lock);
    drv_content_note_locked(content, session->head.vm, "it is not kept: %s", problem.message);
    g_mutex_unlock(&content->lock);
    if (fd >= 0) {
        unlink(path);
        close(fd);
    }
    return -1;
}

/* A file that is gone reads as an empty one, which the relay finds to be damaged. */
static int open_pack(const drv_pack *pack)
{
    int fd = open(pack->path, O_RDONLY | O_CLOEXEC);

    return fd >= 0 ? fd : open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static gboolean add_base(drv_content_session *session, struct drv_brief *brief, drv_pack *pack)
{
    struct drv_pack_head *head = &session->head;
    int fd;

    if (brief->packs == DRV_PACKS_MAX || drv_seal_pack_key(&brief->pack_key[brief->packs], &session->content->key,
                                                           pack->head.owner, pack->head.id, NULL))
        return FALSE;
    fd = open_pack(pack);
    if (fd < 0)
        return FALSE;
    session->files[session->file_count++] = fd;
    memcpy(head->base[head->bases++], pack->head.id, sizeof pack->head.id);
    brief->packs++;
    return TRUE;
}

/* Turns the order round: what matters most comes last into the cache. */
static gboolean fill_brief(drv_content_session *session, struct drv_brief *brief)
{
    GArray *chosen = session->chosen;
    g_autoptr(GPtrArray) packs = g_ptr_array_new();

    brief->segment = calloc(chosen->len + 1, sizeof *brief->segment);
    if (!brief->segment)
        return FALSE;
    for (guint i = chosen->len; i-- > 0;) {
        const known *entry = &g_array_index(chosen, known, i);
        guint pack;

        if (!g_ptr_array_find(packs, entry->pack, &pack)) {
            pack = packs->len;
            g_ptr_array_add(packs, entry->pack);
            if (!add_base(session, brief, entry->pack))
                return FALSE;
        }
        brief->segment[brief->count++] =
            (struct drv_brief_segment){.pack = (guint8)pack, .index = entry->index, .segment = *segment_of(entry)};
    }
    return TRUE;
}

/* The relay on the other side waits to hear of content: if need be, that there is none. */
static void nothing_known(drv_content_session *session, struct drv_brief *brief)
{
    while (session->file_count > 1)
        close(session->files[--session->file_count]);
    brief->packs = brief->count = session->head.bases = 0;
}

void drv_content_hand(drv_content_session *session, struct drv_relay_config *config)
{
    struct drv_brief brief = {.most_segments = most_kept(session->content)};
    struct drv_error problem = {0};
    int part;

    /* The place of the part, which is made when its head is known. */
    session->files[session->file_count++] = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (!fill_brief(session, &brief))
        nothing_known(session, &brief);
    part = drv_seal_pack_key(&brief.key, &session->content->key, session->head.owner, session->head.id, NULL)
               ? -1
               : new_part(session);
    if (part >= 0) {
        close(session->files[0]);
        session->files[0] = part;
    } else {
        brief.most_segments = 0;
    }
    session->brief = session->files[0] < 0 ? -1 : drv_brief_write(&brief, &problem);
    drv_brief_done(&brief);
    if (session->brief < 0) {
        drv_log_warning("known content is not used: %s", problem.message);
        close_files(session);
        return;
    }
    config->content_fd = session->brief;
    config->content_files = session->files;
    config->content_file_count = session->file_count;
}
