/* SPDX-License-Identifier: Apache-2.0 */
/* The store's file: who may have it, what a crash, a full disk and damage do to it. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "scratch.h"

static void assert_open_fails(const char *path, drv_error_code code, const char *says)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(drv_store_open(path, &error));
    g_assert_error(error, DRV_ERROR, (int)code);
    if (!strstr(error->message, says) || !strstr(error->message, path))
        g_error("\"%s\" does not say \"%s\"", error->message, says);
}

static void test_mode(scratch *s, gconstpointer data)
{
    mode_t old = umask(0);
    const char *const names[] = {"", "-wal", "-seen"};

    g_assert_true(drv_store_put(s->store, "a", "b", "{}", DRV_REVISION_ANY, NULL, NULL));
    umask(old);
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *name = g_strconcat(s->path, names[i], NULL);
        struct stat st;

        g_assert_cmpint(stat(name, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 0777, ==, 0600);
    }
}

static void test_second_here(scratch *s, gconstpointer data)
{
    assert_open_fails(s->path, DRV_ERROR_CONFLICT, "another process");
    scratch_reopen(s);
}

/* A child opens the store and waits to be killed; the pipe says that it has it. */
static pid_t hold_in_child(const scratch *s)
{
    int ends[2];
    char byte;
    pid_t child;

    g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
    child = fork();
    if (child == 0) {
        drv_store *store = drv_store_open(s->path, NULL);

        if (!store || write(ends[1], "!", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(ends[1]);
    g_assert_cmpint(read(ends[0], &byte, 1), ==, 1);
    close(ends[0]);
    return child;
}

static void kill_child(pid_t child)
{
    int status;

    g_assert_cmpint(kill(child, SIGKILL), ==, 0);
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
}

static void test_second_process(void)
{
    scratch s;
    pid_t child;

    scratch_init(&s, NULL);
    child = hold_in_child(&s);
    assert_open_fails(s.path, DRV_ERROR_CONFLICT, "droverd running already");
    kill_child(child);
    s.store = scratch_open(&s); /* the lock went with it */
    scratch_done(&s);
}

/* Writes until it is killed; each acknowledged number goes to the pipe after the store said yes. */
static void write_for_ever(const scratch *s, int out)
{
    drv_store *store = drv_store_open(s->path, NULL);

    for (guint32 i = 1; store; i++) {
        g_autofree char *key = g_strdup_printf("k-%u", i);
        g_autofree char *json = g_strdup_printf("{\"n\":%u}", i);

        if (!drv_store_put(store, "crash", key, json, DRV_REVISION_NEW, NULL, NULL) ||
            !drv_store_put(store, "crash", "last", json, DRV_REVISION_ANY, NULL, NULL) ||
            write(out, &i, sizeof(i)) != sizeof(i))
            break;
    }
    _exit(1);
}

static void check_after_crash(const scratch *s, guint32 acknowledged)
{
    g_autoptr(GPtrArray) found = drv_store_list(s->store, "crash", 0, NULL);
    g_autoptr(drv_document) last = drv_store_get(s->store, "crash", "last", NULL);
    guint32 numbered = 0;

    g_assert_nonnull(found);
    for (guint i = 0; i < found->len; i++) {
        drv_document *document = g_ptr_array_index(found, i);
        g_autofree char *key = g_strdup_printf("k-%u", numbered + 1);
        g_autofree char *json = g_strdup_printf("{\"n\":%u}", numbered + 1);

        if (g_str_equal(document->key, "last"))
            continue;
        g_assert_cmpstr(document->key, ==, key);
        g_assert_cmpstr(document->json, ==, json);
        numbered++;
    }
    /* One more than acknowledged may be there: done, but killed before it could say so. */
    g_assert_cmpuint(numbered, >=, acknowledged);
    g_assert_cmpuint(numbered, <=, acknowledged + 1);
    g_assert_nonnull(last);
    g_assert_cmpuint((guint)strtoul(last->json + strlen("{\"n\":"), NULL, 10), >=, acknowledged);
}

static void test_kill(void)
{
    for (guint round = 0; round < 8; round++) {
        guint32 acknowledged = 0, wanted = 1 + round * 13, number;
        scratch s;
        int ends[2];
        pid_t child;

        scratch_init(&s, NULL);
        g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
        child = fork();
        if (child == 0)
            write_for_ever(&s, ends[1]);
        close(ends[1]);
        /* Killed between any two of its instructions after the wanted one; what it said is read. */
        while (acknowledged < wanted && read(ends[0], &number, sizeof(number)) == sizeof(number))
            acknowledged = number;
        g_assert_cmpuint(acknowledged, ==, wanted);
        kill_child(child);
        while (read(ends[0], &number, sizeof(number)) == sizeof(number))
            acknowledged = number;
        close(ends[0]);
        s.store = scratch_open(&s);
        check_after_crash(&s, acknowledged);
        scratch_done(&s);
    }
}

/* Fills the store until it refuses. Return: how many documents were acknowledged. */
static guint fill(drv_store *store, GError **error)
{
    g_autofree char *text = g_strnfill(20000, 'x');
    g_autofree char *json = g_strdup_printf("\"%s\"", text);

    for (guint i = 0; i < 10000; i++) {
        g_autofree char *key = g_strdup_printf("k-%u", i);

        if (!drv_store_put(store, "full", key, json, DRV_REVISION_NEW, NULL, error))
            return i;
    }
    return 10000;
}

static void check_all_there(scratch *s, guint acknowledged)
{
    g_autoptr(GPtrArray) found = drv_store_list(s->store, "full", 0, NULL);

    g_assert_nonnull(found);
    g_assert_cmpuint(found->len, ==, acknowledged);
}

static void check_full(scratch *s, guint acknowledged, const GError *error, const char *says)
{
    g_assert_error(error, DRV_ERROR, DRV_ERROR_FAILED);
    if (!strstr(error->message, says) || !strstr(error->message, s->path))
        g_error("\"%s\" does not say \"%s\"", error->message, says);
    g_assert_cmpuint(acknowledged, >, 0);
    g_assert_cmpuint(acknowledged, <, 10000);
    check_all_there(s, acknowledged); /* reading goes on */
}

static void test_limit(scratch *s, gconstpointer data)
{
    struct rlimit old, small;
    g_autoptr(GError) error = NULL;
    guint acknowledged;

    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &old), ==, 0);
    small = (struct rlimit){1 << 20, old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &small), ==, 0);
    acknowledged = fill(s->store, &error);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &old), ==, 0);
    check_full(s, acknowledged, error, "a quota or a limit");
    /* With room again it goes on, and what was acknowledged is still there. */
    g_assert_true(drv_store_put(s->store, "full", "after", "{}", DRV_REVISION_NEW, NULL, NULL));
    scratch_reopen(s);
    check_all_there(s, acknowledged + 1);
}

/* A file system of 1 MiB that only this process sees. */
static void test_full(void)
{
    g_autoptr(GError) error = NULL;
    guint acknowledged;
    scratch s;

    scratch_init(&s, NULL);
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", s.directory, "tmpfs", 0, "size=1m") < 0) {
        g_autofree char *why = g_strdup_printf("cannot mount a tmpfs here: %s", g_strerror(errno));
        g_test_skip(why);
        scratch_done(&s);
        return;
    }
    s.store = scratch_open(&s);
    acknowledged = fill(s.store, &error);
    check_full(&s, acknowledged, error, "no room left");
    g_assert_nonnull(strstr(error->message, s.directory));
    scratch_reopen(&s);
    check_all_there(&s, acknowledged);
    g_clear_pointer(&s.store, drv_store_close);
    g_assert_cmpint(umount(s.directory), ==, 0);
    scratch_done(&s);
}

static void test_newer(void)
{
    scratch s;
    sqlite3 *db = NULL;

    scratch_init(&s, NULL);
    drv_store_close(scratch_open(&s));
    g_assert_cmpint(sqlite3_open(s.path, &db), ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL), ==, SQLITE_OK);
    sqlite3_close(db);
    assert_open_fails(s.path, DRV_ERROR_FAILED, "newer Drover");
    scratch_done(&s);
}

static void test_foreign(void)
{
    scratch s;
    sqlite3 *db = NULL;

    scratch_init(&s, NULL);
    g_assert_cmpint(sqlite3_open(s.path, &db), ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_exec(db, "CREATE TABLE mail (a)", NULL, NULL, NULL), ==, SQLITE_OK);
    sqlite3_close(db);
    assert_open_fails(s.path, DRV_ERROR_FAILED, "something else");
    scratch_done(&s);
}

static void overwrite(const char *path, gsize offset, gsize size)
{
    g_autofree guint8 *noise = g_malloc(size);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    for (gsize i = 0; i < size; i++)
        noise[i] = (guint8)(i * 167 + 13);
    g_assert_cmpint(pwrite(fd, noise, size, (off_t)offset), ==, (gssize)size);
    close(fd);
}

static void test_garbage(void)
{
    scratch s;

    scratch_init(&s, NULL);
    overwrite(s.path, 0, 8192);
    assert_open_fails(s.path, DRV_ERROR_FAILED, "damaged");
    scratch_done(&s);
}

static void test_damaged_inside(void)
{
    scratch s;

    scratch_init(&s, NULL);
    s.store = scratch_open(&s);
    for (guint i = 0; i < 200; i++) {
        g_autofree char *key = g_strdup_printf("k-%u", i);
        g_assert_true(drv_store_put(s.store, "a", key, "{\"some\":\"document\"}", DRV_REVISION_NEW, NULL, NULL));
    }
    g_clear_pointer(&s.store, drv_store_close);
    overwrite(s.path, 4096, 8192);
    assert_open_fails(s.path, DRV_ERROR_FAILED, "damaged");
    scratch_done(&s);
}

/* ---- what was committed and is not there any more ---- */

/* A store whose last changes are in its log alone: a droverd wrote them and was killed. */
static void scratch_killed(scratch *s)
{
    int ends[2];
    char byte;
    pid_t child;

    scratch_init(s, NULL);
    s->store = scratch_open(s);
    g_assert_true(drv_store_put(s->store, "node", "h2", "{}", DRV_REVISION_NEW, NULL, NULL));
    g_clear_pointer(&s->store, drv_store_close);
    g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
    child = fork();
    if (child == 0) {
        drv_store *store = drv_store_open(s->path, NULL);
        gboolean good = store != NULL;

        for (guint i = 0; good && i < 20; i++) {
            g_autofree char *key = g_strdup_printf("h-%u", i);

            good = drv_store_put(store, "revoked", key, "{}", DRV_REVISION_NEW, NULL, NULL);
        }
        if (!good || write(ends[1], "!", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(ends[1]);
    g_assert_cmpint(read(ends[0], &byte, 1), ==, 1);
    close(ends[0]);
    kill_child(child);
}

static void expect_revoked(scratch *s, guint count)
{
    g_autoptr(GPtrArray) found = drv_store_list(s->store, "revoked", 0, NULL);

    g_assert_nonnull(found);
    g_assert_cmpuint(found->len, ==, count);
}

static void put_back(const char *path, const char *bytes, gsize length)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    g_assert_cmpint(write(fd, bytes, length), ==, (gssize)length);
    close(fd);
}

static void test_damaged_log(void)
{
    /* Its header; its middle, behind which SQLite believes nothing; and all of it. */
    static const struct {
        gsize offset, size;
    } noise[] = {{0, 32}, {20000, 64}, {0, 0}};
    g_autofree char *log = NULL;
    g_autofree char *wal = NULL;
    gsize length;
    scratch s;

    scratch_killed(&s);
    wal = g_strconcat(s.path, "-wal", NULL);
    g_assert_true(g_file_get_contents(wal, &log, &length, NULL));
    g_assert_cmpuint(length, >, 40000);
    for (gsize i = 0; i < G_N_ELEMENTS(noise); i++) {
        g_autofree char *found = NULL;
        gsize found_bytes;

        overwrite(wal, noise[i].offset, noise[i].size ? noise[i].size : length);
        for (guint again = 0; again < 2; again++)
            assert_open_fails(s.path, DRV_ERROR_FAILED, "lost its last changes");
        /* It is left to who can mend it. */
        g_assert_true(g_file_get_contents(wal, &found, &found_bytes, NULL));
        g_assert_cmpuint(found_bytes, ==, length);
        put_back(wal, log, length);
    }
    g_assert_cmpint(unlink(wal), ==, 0);
    assert_open_fails(s.path, DRV_ERROR_FAILED, "lost its last changes");
    put_back(wal, log, length);
    s.store = scratch_open(&s);
    expect_revoked(&s, 20);
    scratch_done(&s);
}

/* A person says that it shall go on with what there is. */
static void test_loss_accepted(void)
{
    g_autofree char *wal = NULL;
    g_autofree char *seen = NULL;
    scratch s;

    scratch_killed(&s);
    wal = g_strconcat(s.path, "-wal", NULL);
    seen = g_strconcat(s.path, "-seen", NULL);
    overwrite(wal, 0, 32);
    assert_open_fails(s.path, DRV_ERROR_FAILED, seen);
    g_assert_cmpint(unlink(seen), ==, 0);
    s.store = scratch_open(&s);
    expect_revoked(&s, 0);
    g_assert_true(drv_store_put(s.store, "revoked", "h9", "{}", DRV_REVISION_NEW, NULL, NULL));
    scratch_reopen(&s);
    expect_revoked(&s, 1);
    scratch_done(&s);
}

/* A note that cannot be read must not keep a good store closed; a new store does not heed an old one's. */
static void test_note_of_no_use(void)
{
    g_autofree char *wal = NULL;
    g_autofree char *seen = NULL;
    scratch s;

    scratch_killed(&s);
    wal = g_strconcat(s.path, "-wal", NULL);
    seen = g_strconcat(s.path, "-seen", NULL);
    overwrite(seen, 0, 8192);
    s.store = scratch_open(&s);
    expect_revoked(&s, 20);
    g_assert_true(drv_store_put(s.store, "revoked", "h9", "{}", DRV_REVISION_NEW, NULL, NULL));
    g_clear_pointer(&s.store, drv_store_close);
    g_assert_cmpint(unlink(s.path), ==, 0);
    unlink(wal);
    s.store = scratch_open(&s);
    expect_revoked(&s, 0);
    scratch_done(&s);
}

/* A store of before there were notes, on a disk without room for one: it opens, and is noted when there is room. */
static void test_no_room_for_note(void)
{
    g_autofree char *seen = NULL;
    struct rlimit old, none;
    struct stat st;
    scratch s;

    scratch_killed(&s);
    seen = g_strconcat(s.path, "-seen", NULL);
    g_assert_cmpint(unlink(seen), ==, 0);
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &old), ==, 0);
    none = (struct rlimit){0, old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &none), ==, 0);
    s.store = scratch_open(&s);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &old), ==, 0);
    expect_revoked(&s, 20);
    g_assert_true(drv_store_put(s.store, "revoked", "h9", "{}", DRV_REVISION_NEW, NULL, NULL));
    g_assert_cmpint(stat(seen, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 8192);
    scratch_reopen(&s);
    expect_revoked(&s, 21);
    scratch_done(&s);
}

/* An older copy of the file, put in its place. */
static void test_older_file(void)
{
    g_autofree char *old = NULL;
    gsize length;
    scratch s;

    scratch_init(&s, NULL);
    s.store = scratch_open(&s);
    g_assert_true(drv_store_put(s.store, "node", "h2", "{}", DRV_REVISION_NEW, NULL, NULL));
    g_clear_pointer(&s.store, drv_store_close);
    g_assert_true(g_file_get_contents(s.path, &old, &length, NULL));
    s.store = scratch_open(&s);
    g_assert_cmpint(drv_store_next(s.store, "job", NULL), ==, 1);
    g_clear_pointer(&s.store, drv_store_close);
    put_back(s.path, old, length);
    assert_open_fails(s.path, DRV_ERROR_FAILED, "older file");
    scratch_done(&s);
}

static void test_no_directory(void)
{
    assert_open_fails("/nonexistent/drover/drover.db", DRV_ERROR_FAILED, "mkdir");
    assert_open_fails("redis://h1:2379", DRV_ERROR_INVALID, "file");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, func) g_test_add("/store/" name, scratch, NULL, scratch_set_up, func, scratch_tear_down)
    g_test_add_func("/store/second-process", test_second_process); /* forks: before any threads */
    g_test_add_func("/store/kill", test_kill);
    ADD("mode", test_mode);
    ADD("second-here", test_second_here);
    ADD("limit", test_limit);
    g_test_add_func("/store/full", test_full);
    g_test_add_func("/store/newer", test_newer);
    g_test_add_func("/store/foreign", test_foreign);
    g_test_add_func("/store/garbage", test_garbage);
    g_test_add_func("/store/damaged-inside", test_damaged_inside);
    g_test_add_func("/store/damaged-log", test_damaged_log);
    g_test_add_func("/store/loss-accepted", test_loss_accepted);
    g_test_add_func("/store/note-of-no-use", test_note_of_no_use);
    g_test_add_func("/store/no-room-for-note", test_no_room_for_note);
    g_test_add_func("/store/older-file", test_older_file);
    g_test_add_func("/store/no-directory", test_no_directory);
    return g_test_run();
}
