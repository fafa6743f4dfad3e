/* SPDX-License-Identifier: Apache-2.0 */
/* The store in one SQLite file: the calls. sqlite-open.c has the file and its schema. */
#include "store/sqlite.h"

typedef struct {
    drv_store store;
    char *path;
    GMutex lock; /* guards db: one call at a time */
    sqlite3 *db;
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

/* Ends the transaction: what did not reach the disk did not happen. */
static gboolean finish(sqlite_store *s, gboolean good, GError **error)
{
    if (good)
        good = run(s, "COMMIT", error);
    if (!good && !sqlite3_get_autocommit(s->db))
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return good;
}

static gboolean not_found(const char *bucket, const char *key, GError **error)
{
    g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "there is no %s/%s in the store", bucket,
                key);
    return FALSE;
}

/* The document's revision, 0 when there is none, -1 and @error on failure. */
static gint64 current_revision(sqlite_store *s, const char *bucket, const char *key, GError **error)
{
    g_autoptr(statement) st =
        prepare(s, "SELECT revision FROM document WHERE bucket = ? AND key = ?", error);

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

static gboolean check_revision(sqlite_store *s, const char *bucket, const char *key,
                               gint64 expected, gint64 *found, GError **error)
{
    *found = current_revision(s, bucket, key, error);
    if (*found < 0)
        return FALSE;
    if (expected == DRV_REVISION_ANY || expected == *found)
        return TRUE;
    if (expected == DRV_REVISION_NEW)
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "%s/%s is in the store already", bucket,
                    key);
    else if (*found == 0)
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "%s/%s is not in the store any more",
                    bucket, key);
    else
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                    "%s/%s has been changed meanwhile (its revision is %" G_GINT64_FORMAT
                    ", not %" G_GINT64_FORMAT "): read it again", bucket, key, *found, expected);
    return FALSE;
}

/* The one clock of revisions, one further; 0 and @error on failure. */
static gint64 tick(sqlite_store *s, GError **error)
{
    g_autoptr(statement) st =
        prepare(s, "UPDATE clock SET revision = revision + 1 RETURNING revision", error);

    if (!st)
        return 0;
    if (sqlite3_step(st) == SQLITE_ROW)
        return sqlite3_column_int64(st, 0);
    fail(s, error);
    return 0;
}

static gboolean check_json(sqlite_store *s, const char *bucket, const char *key, const char *json,
                           GError **error)
{
    g_autoptr(statement) st = prepare(s, "SELECT json_valid(?)", error);

    if (!st)
        return FALSE;
    bind(st, json, NULL, NULL);
    if (sqlite3_step(st) != SQLITE_ROW) {
        fail(s, error);
        return FALSE;
    }
    if (sqlite3_column_int(st, 0) == 1)
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "%s/%s is not JSON: %.40s", bucket, key, json);
    return FALSE;
}

static gboolean write_document(sqlite_store *s, const char *bucket, const char *key,
                               const char *json, gboolean exists, gint64 revision, GError **error)
{
    g_autoptr(statement) st = prepare(
        s, exists ? "UPDATE document SET json = ?3, revision = ?4 WHERE bucket = ?1 AND key = ?2"
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

static gboolean put(drv_store *store, const char *bucket, const char *key, const char *json,
                    gint64 expected, gint64 *revision, GError **error)
{
    sqlite_store *s = (sqlite_store *)store;
    gint64 found, new_revision = 0;
    gboolean good;

    g_mutex_lock(&s->lock);
    good = run(s, "BEGIN IMMEDIATE", error);
    if (good)
        good = finish(s, check_json(s, bucket, key, json, error) &&
                             check_revision(s, bucket, key, expected, &found, error) &&
                             (new_revision = tick(s, error)) > 0 &&
                             write_document(s, bucket, key, json, found > 0, new_revision, error),
                      error);
    g_mutex_unlock(&s->lock);
    if (good && revision)
        *revision = new_revision;
    return good;
}

static gboolean erase(sqlite_store *s, const char *bucket, const char *key, GError **error)
{
    g_autoptr(statement) st =
        prepare(s, "DELETE FROM document WHERE bucket = ? AND key = ?", error);

    if (!st)
        return FALSE;
    bind(st, bucket, key, NULL);
    if (sqlite3_step(st) == SQLITE_DONE)
        return TRUE;
    fail(s, error);
    return FALSE;
}

static gboolean remove_document(drv_store *store, const char *bucket, const char *key,
                                gint64 expected, GError **error)
{
    sqlite_store *s = (sqlite_store *)store;
    gint64 found;
    gboolean good;

    g_mutex_lock(&s->lock);
    good = run(s, "BEGIN IMMEDIATE", error);
    if (good)
        good = finish(s, (found = current_revision(s, bucket, key, error)) >= 0 &&
                             (found > 0 || not_found(bucket, key, error)) &&
                             check_revision(s, bucket, key, expected, &found, error) &&
                             erase(s, bucket, key, error), error);
    g_mutex_unlock(&s->lock);
    return good;
}

static drv_document *get(drv_store *store, const char *bucket, const char *key, GError **error)
{
    sqlite_store *s = (sqlite_store *)store;
    drv_document *result = NULL;
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&s->lock);
    g_autoptr(statement) st =
        prepare(s, "SELECT json, revision FROM document WHERE bucket = ? AND key = ?", error);

    if (!st)
        return NULL;
    bind(st, bucket, key, NULL);
    switch (sqlite3_step(st)) {
    case SQLITE_ROW:
        result = drv_document_new(key, (const char *)sqlite3_column_text(st, 0),
                                  sqlite3_column_int64(st, 1));
        break;
    case SQLITE_DONE:
        not_found(bucket, key, error);
        break;
    default:
        fail(s, error);
    }
    return result;
}

static GPtrArray *list(drv_store *store, const char *bucket, guint limit, GError **error)
{
    sqlite_store *s = (sqlite_store *)store;
    g_autoptr(GPtrArray) found =
        g_ptr_array_new_with_free_func((GDestroyNotify)drv_document_free);
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&s->lock);
    g_autoptr(statement) st = prepare(
        s, "SELECT key, json, revision FROM document WHERE bucket = ? ORDER BY id DESC LIMIT ?",
        error);
    int result;

    if (!st)
        return NULL;
    bind(st, bucket, NULL, NULL);
    sqlite3_bind_int64(st, 2, limit == 0 ? -1 : (sqlite3_int64)limit);
    while ((result = sqlite3_step(st)) == SQLITE_ROW)
        g_ptr_array_add(found, drv_document_new((const char *)sqlite3_column_text(st, 0),
                                                (const char *)sqlite3_column_text(st, 1),
                                                sqlite3_column_int64(st, 2)));
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
    statement *st;
    gint64 number = 0;

    if (!run(s, "BEGIN IMMEDIATE", error))
        return 0;
    st = prepare(s, "INSERT INTO counter VALUES (?, 1) "
                    "ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value", error);
    if (st) {
        bind(st, counter, NULL, NULL);
        if (sqlite3_step(st) == SQLITE_ROW)
            number = sqlite3_column_int64(st, 0);
        else
            fail(s, error);
        sqlite3_finalize(st);
    }
    return finish(s, number > 0, error) ? number : 0;
}

static void close_store(drv_store *store)
{
    sqlite_store *s = (sqlite_store *)store;

    sqlite3_close(s->db);
    g_mutex_clear(&s->lock);
    g_free(s->path);
    g_free(s);
}

static const struct drv_store_ops ops = {
    .get = get,
    .put = put,
    .remove = remove_document,
    .list = list,
    .next = next,
    .close = close_store,
};

drv_store *drv_store_open_sqlite(const char *path, GError **error)
{
    sqlite3 *db = drv_sqlite_open(path, error);
    sqlite_store *s;

    if (!db)
        return NULL;
    s = g_new0(sqlite_store, 1);
    s->store.ops = &ops;
    s->path = g_strdup(path);
    s->db = db;
    g_mutex_init(&s->lock);
    return &s->store;
}
