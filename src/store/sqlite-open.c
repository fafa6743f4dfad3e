/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening the store's file, and its schema.
 *
 * Write-ahead log with synchronous=FULL: a commit is on the disk when it returns, for
 * one fsync. Exclusive locking: the file belongs to one process as long as that lives
 * (the kernel's lock ends with it, also by kill -9), and no shared memory is needed.
 */
#include "store/sqlite-open.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/sqlite.h"

#define APPLICATION_ID 0x44726f76 /* "Drov" */

/* Step i brings a file of version i to i + 1. Steps are never changed, only added. */
static const char *const upgrades[] = {
    /* A document's id grows with its making: who asks for the newest gets them by it. Revisions
     * come from one clock, so that a document that is made again never has one it had before. */
    "CREATE TABLE document ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  bucket TEXT NOT NULL,"
    "  key TEXT NOT NULL,"
    "  revision INTEGER NOT NULL,"
    "  json TEXT NOT NULL,"
    "  UNIQUE (bucket, key)) STRICT;"
    "CREATE TABLE clock ("
    "  one INTEGER PRIMARY KEY CHECK (one = 1),"
    "  revision INTEGER NOT NULL) STRICT;"
    "INSERT INTO clock VALUES (1, 0);"
    "CREATE TABLE counter ("
    "  name TEXT PRIMARY KEY,"
    "  value INTEGER NOT NULL) STRICT, WITHOUT ROWID;",
};

void drv_sqlite_take_error(sqlite3 *db, const char *path, const char *what, GError **error)
{
    int code = db ? sqlite3_extended_errcode(db) : SQLITE_NOMEM;
    g_autofree char *directory = g_path_get_dirname(path);
    const char *reason = db ? sqlite3_errmsg(db) : "out of memory";

    switch (code & 0xff) {
    case SQLITE_FULL:
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED,
                    "%s: no room left for the store %s; nothing was changed: free some space in %s", what, path,
                    directory);
        break;
    case SQLITE_IOERR:
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED,
                    "%s: the disk of the store %s failed (%s, code %d); nothing was changed: look "
                    "for a quota or a limit of the file size, and for errors of the disk in the "
                    "kernel's log (dmesg)",
                    what, path, reason, code);
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                    "%s: another process has the store %s open: is a droverd running already? "
                    "(systemctl status droverd; fuser %s)",
                    what, path, path);
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED,
                    "%s: the store %s is damaged (%s): stop droverd, move the file and its -wal "
                    "away, and restore a backup (drover restore); running VMs are not affected",
                    what, path, reason);
        break;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED,
                    "%s: the store %s cannot be written (%s): look at its owner, and whether %s is "
                    "mounted read-only",
                    what, path, reason, directory);
        break;
    default:
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "%s: the store %s failed: %s", what, path, reason);
    }
}

/* SQLite would make the file by the umask: it is made here, for its owner alone. */
static gboolean make_file(const char *path, GError **error)
{
    g_autofree char *directory = g_path_get_dirname(path);
    int fd;

    if (access(path, F_OK) < 0 && !drv_seen_forget(path, error))
        return FALSE;
    fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) {
        if (errno == EEXIST)
            return TRUE;
        if (errno == ENOENT)
            g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED,
                        "there is no directory for the store %s: make it (mkdir -m 700 %s)", path, directory);
        else
            g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot make the store %s: %s", path, g_strerror(errno));
        return FALSE;
    }
    close(fd);
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd); /* a file system that cannot is no worse than without */
        close(fd);
    }
    return TRUE;
}

static gboolean run(sqlite3 *db, const char *path, const char *sql, GError **error)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return TRUE;
    drv_sqlite_take_error(db, path, "cannot open the store", error);
    return FALSE;
}

/* The first column of the first row, as text; NULL on failure, with @error set. */
static char *ask(sqlite3 *db, const char *path, const char *sql, GError **error)
{
    sqlite3_stmt *statement = NULL;
    char *answer = NULL;

    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
        answer = g_strdup((const char *)sqlite3_column_text(statement, 0));
    if (!answer)
        drv_sqlite_take_error(db, path, "cannot open the store", error);
    sqlite3_finalize(statement);
    return answer;
}

static gboolean ask_number(sqlite3 *db, const char *path, const char *sql, gint64 *number, GError **error)
{
    g_autofree char *text = ask(db, path, sql, error);

    if (!text)
        return FALSE;
    *number = g_ascii_strtoll(text, NULL, 10);
    return TRUE;
}

/* SQLite takes a log that it cannot read for an empty one: see sqlite-seen.h. */
static gboolean check_seen(sqlite3 *db, const char *path, const drv_seen *seen, gint64 version, GError **error)
{
    gint64 revision = 0;

    if (version > 0 && !ask_number(db, path, "SELECT revision FROM clock", &revision, error))
        return FALSE;
    if (revision >= drv_seen_last(seen))
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED,
                "the store %s has lost its last changes (revision %" G_GINT64_FORMAT " was written, "
                "%" G_GINT64_FORMAT " is there): its -wal is damaged, or an older file was put in its "
                "place. Nodes and tokens that were revoked could be valid again, so it is not "
                "opened. Put the right %s-wal back; or move %s and its -wal away and restore a backup "
                "(drover restore); or go on without these changes: remove %s, start droverd, and "
                "revoke again what was revoked. Running VMs are not affected",
                path, drv_seen_last(seen), revision, path, path, drv_seen_place(seen));
    return FALSE;
}

/* Within one exclusive transaction, so that a crash leaves the old version or the new one. */
static gboolean upgrade(sqlite3 *db, const char *path, const drv_seen *seen, GError **error)
{
    gint64 version, application, tables;

    if (!ask_number(db, path, "PRAGMA user_version", &version, error) ||
        !ask_number(db, path, "PRAGMA application_id", &application, error) ||
        !ask_number(db, path, "SELECT count(*) FROM sqlite_schema", &tables, error))
        return FALSE;
    if (application != APPLICATION_ID && (version != 0 || tables != 0)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "%s is a database of something else, not Drover's store", path);
        return FALSE;
    }
    if (version > (gint64)G_N_ELEMENTS(upgrades)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED,
                    "the store %s was written by a newer Drover (its version is %" G_GINT64_FORMAT
                    ", this one knows up to %u): install that Drover again",
                    path, version, (guint)G_N_ELEMENTS(upgrades));
        return FALSE;
    }
    if (!check_seen(db, path, seen, version, error))
        return FALSE;
    for (gint64 step = version; step < (gint64)G_N_ELEMENTS(upgrades); step++)
        if (!run(db, path, upgrades[step], error))
            return FALSE;
    if (version < (gint64)G_N_ELEMENTS(upgrades)) {
        g_autofree char *sql = g_strdup_printf("PRAGMA application_id = %d; PRAGMA user_version = %u;", APPLICATION_ID,
                                               (guint)G_N_ELEMENTS(upgrades));
        return run(db, path, sql, error);
    }
    return TRUE;
}

static gboolean check_whole(sqlite3 *db, const char *path, GError **error)
{
    g_autofree char *answer = ask(db, path, "PRAGMA quick_check(1)", error);

    if (!answer)
        return FALSE;
    if (g_str_equal(answer, "ok"))
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED,
                "the store %s is damaged (%s): move the file and its -wal away and restore a backup "
                "(drover restore); running VMs are not affected",
                path, answer);
    return FALSE;
}

sqlite3 *drv_sqlite_open(const char *path, drv_seen **seen, GError **error)
{
    sqlite3 *db = NULL;

    *seen = NULL;
    if (!make_file(path, error))
        return NULL;
    /* Its own lock guards the struct drv_store; SQLite's would be a second one. */
    if (sqlite3_open_v2(path, &db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE,
                        NULL) != SQLITE_OK) {
        drv_sqlite_take_error(db, path, "cannot open the store", error);
        sqlite3_close(db);
        return NULL;
    }
    /* What cannot be used is left as it was found, the log included, which SQLite would remove. */
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (run(db, path,
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;"
            "PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;"
            "PRAGMA cell_size_check = ON; PRAGMA journal_size_limit = 4194304;"
            "BEGIN EXCLUSIVE;",
            error) &&
        (*seen = drv_seen_open(path)) && upgrade(db, path, *seen, error) && run(db, path, "COMMIT", error) &&
        check_whole(db, path, error)) {
        (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
        return db;
    }
    sqlite3_close(db);
    g_clear_pointer(seen, drv_seen_close);
    return NULL;
}
