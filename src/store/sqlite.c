/* SPDX-License-Identifier: Apache-2.0 */
/* The store in one SQLite file: the calls. sqlite-open.c has the file and its schema. */
#include "store/sqlite.h"

#include <json-c/json.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "store/sqlite-open.h"

typedef struct {
    drv_store store;
    char *path;
    GMutex lock; /* guards what follows: one call at a time */
    sqlite3 *db;
    drv_seen *seen; /* how far it has come */
    GCond changed;
    GHashTable *touched; /* bucket → its last revision since the file was opened */
    gboolean stopped;    /* nobody waits any more */
} sqlite_store;

typedef sqlite3_stmt statement;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(statement, sqlite3_finalize)

static void fail(sqlite_store *s, GError **error)
{
    drv_sqlite_take_error(s->db, s->path, "store", error);
}

static statement *prepare(sqlite_store *s, const char *sql, GError **error)
{
    statement *result = NULL;

    if (sqlite3_prepare_v2(s->db, sql, -1, &result, NULL) != SQLITE_OK)
        fail(s, error);
    return result;
}

/* One to three texts; they must outlive the last step of the statement. */
static void bind(statement *st, const char *first, const char *second, const char *third)
{
    sqlite3_bind_text(st, 1, first, -1, SQLITE_STATIC);
    if (second)
        sqlite3_bind_text(st, 2, second, -1, SQLITE_STATIC);
    if (third)
        sqlite3_bind_text(st, 3, third, -1, SQLITE_STATIC);
}

static gboolean run(sqlite_store *s, const char *sql, GError **error)
{
    if (sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return TRUE;
    fail(s, error);
    return FALSE;
}

/* Ends the transaction of @revision (0: none): what did not reach the disk did not happen. */
static gboolean finish(sqlite_store *s, gint64 revision, GError **error)
{
    gboolean good = revision > 0 && run(s, "COMMIT", error);

    if (good)
        drv_seen_note(s->seen, revision);
    else if (!sqlite3_get_autocommit(s->db))
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return good;
}

/* The document's revision, 0 when there is none, -1 and @error on failure. */
static gint64 current_revision(sqlite_store *s, const char *bucket, const char *key, GError **error)
{
    g_autoptr(statement) st = prepare(s, "SELECT revision FROM document WHERE bucket = ? AND key = ?", error);

    if (!st)
        return -1;
    bind(st, bucket, key, NULL);
    switch (sqlite3_step(st)) {
    case SQLITE_ROW:
        return sqlite3_column_int64(st, 0);
    case SQLITE_DONE:
        return 0;
    default:
        fail(s, error);
        return -1;
    }
}

/* The one clock of revisions, one further; 0 and @error on failure. */
static gint64 tick(sqlite_store *s, GError **error)
{
    g_autoptr(statement) st = prepare(s, "UPDATE clock SET revision = revision + 1 RETURNING revision", error);

    if (!st)
        return 0;
    if (sqlite3_step(st) == SQLITE_ROW)
        return sqlite3_column_int64(st, 0);
    fail(s, error);
    return 0;
}

static gboolean write_document(sqlite_store *s, const char *bucket, const char *key, const char *json, gboolean exists,
                               gint64 revision, GError **error)
{
    g_autoptr(statement) st =
        prepare(s,
                exists ? "UPDATE document SET json = ?3, revision = ?4 WHERE bucket = ?1 AND key = ?2"
                       : "INSERT INTO document (bucket, key, json, revision) VALUES (?1, ?2, ?3, ?4)",
                error);

    if (!st)
        return FALSE;
    bind(st, bucket, key, json);
    sqlite3_bind_int64(st, 4, revision);
    if (sqlite3_step(st) == SQLITE_DONE)
        return TRUE;
    fail(s, error);
    return FALSE;
}

static gboolean erase(sqlite_store *s, const char *bucket, const char *key, GError **error)
{
    g_autoptr(statement) st = prepare(s, "DELETE FROM document WHERE bucket = ? AND key = ?", error);

    if (!st)
        return FALSE;
    bind(st, bucket, key, NULL);
    if (sqlite3_step(st) == SQLITE_DONE)
        return TRUE;
    fail(s, error);
    return FALSE;
}

static gboolean make_one(sqlite_store *s, const drv_store_change *change, gint64 revision, GError **error)
{
    gint64 found = current_revision(s, change->bucket, change->key, error);

    if (found < 0 || !drv_store_compare(change, found, error))
        return FALSE;
    return change->json ? write_document(s, change->bucket, change->key, change->json, found > 0, revision, error)
                        : erase(s, change->bucket, change->key, error);
}

/* Called with the lock held: who waits for one of these buckets is told. */
static void tell(sqlite_store *s, const drv_store_change *changes, guint count, gint64 revision)
{
    for (guint i = 0; i < count; i++) {
        gint64 *last = g_new(gint64, 1);

        *last = revision;
        g_hash_table_insert(s->touched, g_strdup(changes[i].bucket), last);
    }
    g_cond_broadcast(&s->changed);
}

static gboolean change_all(drv_store *store, const drv_store_change *changes, guint count, gint64 *revision,
                           GError **error)
{
    sqlite_store *s = (sqlite_store *)store;
    gint64 now = 0;
    gboolean good;

    g_mutex_lock(&s->lock);
    good = run(s, "BEGIN IMMEDIATE", error);
    if (good) {
        good = (now = tick(s, error)) > 0;
        for (guint i = 0; good && i < count; i++)
            good = make_one(s, &changes[i], now, error);
        good = finish(s, good ? now : 0, error);
    }
    if (good)
        tell(s, changes, count, now);
    g_mutex_unlock(&s->lock);
    if (good && revision)
        *revision = now;
    return good;
}

static drv_document *get(drv_store *store, const char *bucket, const char *key, GError **error)
{
    sqlite_store *s = (sqlite_store *)store;
    drv_document *result = NULL;
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&s->lock);
    g_autoptr(statement) st = prepare(s, "SELECT json, revision FROM document WHERE bucket = ? AND key = ?", error);

    if (!st)
        return NULL;
    bind(st, bucket, key, NULL);
    switch (sqlite3_step(st)) {
    case SQLITE_ROW:
        result = drv_document_new(key, (const char *)sqlite3_column_text(st, 0), sqlite3_column_int64(st, 1));
        break;
    case SQLITE_DONE:
        drv_store_no_such(bucket, key, error);
        break;
    default:
        fail(s, error);
    }
    return result;
}

static GPtrArray *list(drv_store *store, const char *bucket, guint limit, GError **error)
{
    sqlite_store *s = (sqlite_store *)store;
    g_autoptr(GPtrArray) found = drv_documents_new();
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&s->lock);
    g_autoptr(statement) st =
        prepare(s, "SELECT key, json, revision FROM document WHERE bucket = ? ORDER BY id DESC LIMIT ?", error);
    int result;

    if (!st)
        return NULL;
    bind(st, bucket, NULL, NULL);
    sqlite3_bind_int64(st, 2, limit == 0 ? -1 : (sqlite3_int64)limit);
    while ((result = sqlite3_step(st)) == SQLITE_ROW)
        g_ptr_array_add(found, drv_document_new((const char *)sqlite3_column_text(st, 0),
                                                (const char *)sqlite3_column_text(st, 1), sqlite3_column_int64(st, 2)));
    if (result != SQLITE_DONE) {
        fail(s, error);
        return NULL;
    }
    return g_steal_pointer(&found);
}

/* In a transaction of its own: a RETURNING statement is committed only when it is over. */
static gint64 next(drv_store *store, const char *counter, GError **error)
{
    sqlite_store *s = (sqlite_store *)store;
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&s->lock);
    statement *st = NULL;
    gint64 number = 0, now;

    if (!run(s, "BEGIN IMMEDIATE", error))
        return 0;
    now = tick(s, error);
    if (now)
        st = prepare(s,
                     "INSERT INTO counter VALUES (?, 1) "
                     "ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value",
                     error);
    if (st) {
        bind(st, counter, NULL, NULL);
        if (sqlite3_step(st) == SQLITE_ROW)
            number = sqlite3_column_int64(st, 0);
        else
            fail(s, error);
        sqlite3_finalize(st);
    }
    return finish(s, number > 0 ? now : 0, error) ? number : 0;
}

static gboolean raise_one(sqlite_store *s, const char *counter, gint64 value, GError **error)
{
    g_autoptr(statement) st = prepare(s,
                                      "INSERT INTO counter VALUES (?1, ?2) "
                                      "ON CONFLICT (name) DO UPDATE SET value = max(value, ?2)",
                                      error);

    if (!st)
        return FALSE;
    bind(st, counter, NULL, NULL);
    sqlite3_bind_int64(st, 2, value);
    if (sqlite3_step(st) == SQLITE_DONE)
        return TRUE;
    fail(s, error);
    return FALSE;
}

static gboolean raise_counter(drv_store *store, const char *counter, gint64 value, GError **error)
{
    sqlite_store *s = (sqlite_store *)store;
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&s->lock);
    gint64 now;

    if (!run(s, "BEGIN IMMEDIATE", error))
        return FALSE;
    now = tick(s, error);
    return finish(s, now && raise_one(s, counter, value, error) ? now : 0, error);
}

static GPtrArray *counters(drv_store *store, GError **error)
{
    sqlite_store *s = (sqlite_store *)store;
    g_autoptr(GPtrArray) found = drv_documents_new();
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&s->lock);
    g_autoptr(statement) st = prepare(s, "SELECT name, value FROM counter ORDER BY name", error);
    int result;

    if (!st)
        return NULL;
    while ((result = sqlite3_step(st)) == SQLITE_ROW)
        g_ptr_array_add(found, drv_document_new((const char *)sqlite3_column_text(st, 0),
                                                (const char *)sqlite3_column_text(st, 1), 0));
    if (result == SQLITE_DONE)
        return g_steal_pointer(&found);
    fail(s, error);
    return NULL;
}

static GPtrArray *buckets(drv_store *store, GError **error)
{
    sqlite_store *s = (sqlite_store *)store;
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&s->lock);
    g_autoptr(statement) st = prepare(s, "SELECT DISTINCT bucket FROM document ORDER BY bucket", error);
    int result;

    if (!st)
        return NULL;
    while ((result = sqlite3_step(st)) == SQLITE_ROW)
        g_ptr_array_add(found, g_strdup((const char *)sqlite3_column_text(st, 0)));
    if (result == SQLITE_DONE)
        return g_steal_pointer(&found);
    fail(s, error);
    return NULL;
}

/* Called with the lock held. -1 and @error on failure. */
static gint64 clock_now(sqlite_store *s, GError **error)
{
    g_autoptr(statement) st = prepare(s, "SELECT revision FROM clock", error);

    if (st && sqlite3_step(st) == SQLITE_ROW)
        return sqlite3_column_int64(st, 0);
    if (st)
        fail(s, error);
    return -1;
}

/* Only this process changes the file, so this process knows of each change. */
static gint64 wait_for(drv_store *store, const char *bucket, gint64 after, guint wait_ms, GError **error)
{
    sqlite_store *s = (sqlite_store *)store;
    gint64 until = g_get_monotonic_time() + (gint64)wait_ms * 1000;
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&s->lock);

    if (after < 0)
        return clock_now(s, error);
    for (;;) {
        const gint64 *last = g_hash_table_lookup(s->touched, bucket);

        if (last && *last > after)
            return *last;
        if (s->stopped || !g_cond_wait_until(&s->changed, &s->lock, until))
            return after;
    }
}

static void stop_waiting(drv_store *store)
{
    sqlite_store *s = (sqlite_store *)store;

    g_mutex_lock(&s->lock);
    s->stopped = TRUE;
    g_cond_broadcast(&s->changed);
    g_mutex_unlock(&s->lock);
}

/* The file is this process's alone, and so is everything that can be claimed in it. */
static drv_claim claim(drv_store *store, const char *name, const char *who, guint ttl_s, gint64 *lease, char **holder,
                       GError **error)
{
    *holder = g_strdup(who);
    return DRV_CLAIM_HELD;
}

static void release_claim(drv_store *store, gint64 lease)
{
}

static gboolean is_shared(drv_store *store)
{
    return FALSE;
}

static const char *place(drv_store *store)
{
    return ((sqlite_store *)store)->path;
}

static json_object *status(drv_store *store)
{
    sqlite_store *s = (sqlite_store *)store;
    json_object *object = json_object_new_object();
    g_autofree char *wal = g_strconcat(s->path, "-wal", NULL);
    struct stat file = {0}, log = {0};
    struct statvfs fs;

    stat(s->path, &file);
    stat(wal, &log);
    json_object_object_add(object, "kind", json_object_new_string("sqlite"));
    json_object_object_add(object, "where", json_object_new_string(s->path));
    json_object_object_add(object, "bytes", json_object_new_int64(file.st_size + log.st_size));
    if (statvfs(s->path, &fs) == 0)
        json_object_object_add(object, "free_bytes", json_object_new_int64((gint64)(fs.f_bavail * fs.f_frsize)));
    return object;
}

static void close_store(drv_store *store)
{
    sqlite_store *s = (sqlite_store *)store;

    sqlite3_close(s->db);
    drv_seen_close(s->seen);
    g_hash_table_unref(s->touched);
    g_cond_clear(&s->changed);
    g_mutex_clear(&s->lock);
    g_free(s->path);
    g_free(s);
}

static const struct drv_store_ops ops = {
    .get = get,
    .change = change_all,
    .list = list,
    .next = next,
    .raise = raise_counter,
    .counters = counters,
    .buckets = buckets,
    .wait = wait_for,
    .stop_waiting = stop_waiting,
    .claim = claim,
    .release = release_claim,
    .is_shared = is_shared,
    .place = place,
    .status = status,
    .close = close_store,
};

drv_store *drv_store_open_sqlite(const char *path, GError **error)
{
    drv_seen *seen = NULL;
    sqlite3 *db = drv_sqlite_open(path, &seen, error);
    sqlite_store *s;

    if (!db)
        return NULL;
    s = g_new0(sqlite_store, 1);
    s->store.ops = &ops;
    s->path = g_strdup(path);
    s->db = db;
    s->seen = seen;
    g_mutex_init(&s->lock);
    g_cond_init(&s->changed);
    s->touched = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return &s->store;
}
