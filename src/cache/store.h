/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the known-content store (cache.h): its packs, and who watches them. */
#pragma once

#include "cache/cache.h"
#include "node/context.h"
#include "pack/format.h"
#include "pack/seal.h"

#define DRV_CONTENT_PART ".part" /* a session writes it, with a lock on it */
#define DRV_CONTENT_PACK ".pack" /* whole */

/* A pack that is whole. What its manifest says does not change. */
typedef struct {
    gatomicrefcount references;
    char *id;
    char *path;
    struct drv_pack_head head;
    struct drv_pack_manifest manifest;
    guint64 bytes;
    gint64 used_ms;      /* the store's lock */
    guint64 saved_bytes; /* the store's lock */
} drv_pack;

drv_pack *drv_pack_ref(drv_pack *pack);
void drv_pack_unref(drv_pack *pack);

struct drv_content {
    char *dir;
    char *sessions_dir; /* or NULL */
    drv_store *store;
    guint64 most_bytes;
    guint64 age_s;
    struct drv_seal_key key;
    char *key_name;
    gboolean key_kept; /* in the kernel: what is here outlives this process */
    int notify;        /* inotify on the directory, or -1 */
    int stop;          /* eventfd */
    GThread *watcher;

    GMutex lock; /* guards what follows */
    GCond swept;
    gboolean on;
    GPtrArray *packs;    /* of drv_pack, the newest last */
    GHashTable *writing; /* session → struct drv_pack_head: parts of this process's sessions */
    guint64 saved_bytes; /* in all, also by packs that are gone */
    char *problem;       /* why the last content was not kept, or not all of it; or NULL */
    gint64 problem_ms;   /* when that was */
};

/** drv_content_sweep() - take over what is whole, remove what is not, keep to the caps. */
void drv_content_sweep(drv_content *content);

/** drv_content_note_locked() - why content of @vm is not kept: logged, and listed until some is kept again. */
void drv_content_note_locked(drv_content *content, const char *vm, const char *format, ...) G_GNUC_PRINTF(3, 4);

/** drv_content_remove_locked() - a pack goes. */
void drv_content_remove_locked(drv_content *content, drv_pack *pack);

/** drv_content_credit_locked() - what was kept has saved so much. */
void drv_content_credit_locked(drv_content *content, guint64 bytes);

/** drv_content_remove_all() - everything, parts that are being written included. */
void drv_content_remove_all(drv_content *content);

/** drv_content_open() - takes over what is whole, removes what is not, and watches. Never NULL. */
drv_content *drv_content_open(const drv_content_config *config);

/** drv_content_close() - sessions go on writing; the next one takes it over. NULL is allowed. */
void drv_content_close(drv_content *content);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_content, drv_content_close)
