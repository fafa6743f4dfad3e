/* SPDX-License-Identifier: Apache-2.0 */
/* A backup of a node comes back whole, or not at all. */
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "cluster/backup.h"
#include "cluster/join.h"
#include "cluster/restore.h"
#include "store/store.h"

typedef struct {
    char *dir, *etc, *state, *database, *file;
} place;

static void remove_all(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *inner = g_build_filename(path, name, NULL);

        remove_all(inner);
    }
    g_remove(path);
}

static drv_store *open_own(place *p)
{
    g_autoptr(GError) error = NULL;
    drv_store *store = drv_store_open(p->database, &error);

    g_assert_no_error(error);
    return store;
}

static void put(drv_store *store, const char *bucket, const char *key, const char *json)
{
    g_autoptr(GError) error = NULL;

    drv_store_put(store, bucket, key, json, DRV_REVISION_ANY, NULL, &error);
    g_assert_no_error(error);
}

/* A founder with a history, and a backup of it. */
static void set_up(place *p, gconstpointer data)
{
    drv_init_options options = {.node = "h1", .address = "192.0.2.7"};
    g_autoptr(drv_identity) identity = NULL;
    g_autoptr(drv_store) store = NULL;
    g_autoptr(drv_cluster) cluster = NULL;
    g_autoptr(json_object) collected = NULL;
    g_autoptr(GError) error = NULL;
    gboolean with_identity = FALSE;

    p->dir = g_dir_make_tmp("drover-backup-XXXXXX", NULL);
    options.etc_dir = p->etc = g_build_filename(p->dir, "etc", NULL);
    options.state_dir = p->state = g_build_filename(p->dir, "state", NULL);
    p->database = g_build_filename(p->state, "drover.db", NULL);
    p->file = g_build_filename(p->dir, "backup", NULL);
    identity = drv_init(&options, &error);
    g_assert_no_error(error);
    store = open_own(p);
    put(store, "job", "h1-1", "{\"id\":\"h1-1\",\"ended\":true}");
    put(store, "job", "h1-2", "{\"id\":\"h1-2\",\"ended\":false}");
    put(store, "session", "0123", "{}");
    put(store, "policy", "gold", "{\"max_pause_ms\":50}");
    g_assert_cmpint(drv_store_next(store, "job", NULL), ==, 1);
    cluster = drv_cluster_new(identity, store, &error);
    g_assert_no_error(error);
    collected = drv_backup_collect(cluster, &error);
    g_assert_no_error(error);
    g_assert_null(strstr(json_object_to_json_string(collected), "PRIVATE KEY"));
    g_assert_true(drv_backup_write(collected, p->etc, p->file, &with_identity, &error));
    g_assert_true(with_identity);
    g_assert_false(drv_backup_write(collected, p->etc, p->file, &with_identity, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_CONFLICT);
}

static void tear_down(place *p, gconstpointer data)
{
    remove_all(p->dir);
    g_free(p->dir);
    g_free(p->etc);
    g_free(p->state);
    g_free(p->database);
    g_free(p->file);
}

static void assert_back(place *p, gint64 next)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_identity) identity = drv_identity_load(p->etc, &error);
    g_autoptr(drv_store) store = NULL;
    g_autoptr(drv_cluster) cluster = NULL;
    g_autoptr(drv_document) ended = NULL, runs = NULL, session = NULL, policy = NULL;

    g_assert_no_error(error);
    g_assert_cmpstr(identity->node, ==, "h1");
    g_assert_nonnull(identity->ca_key_pem);
    store = open_own(p);
    ended = drv_store_get(store, "job", "h1-1", NULL);
    runs = drv_store_get(store, "job", "h1-2", NULL);
    session = drv_store_get(store, "session", "0123", NULL);
    policy = drv_store_get(store, "policy", "gold", NULL);
    g_assert_nonnull(ended);
    g_assert_null(runs);
    g_assert_null(session);
    g_assert_cmpstr(policy->json, ==, "{\"max_pause_ms\":50}");
    g_assert_cmpint(drv_store_next(store, "job", NULL), ==, next);
    cluster = drv_cluster_new(identity, store, &error); /* it has its membership */
    g_assert_no_error(error);
    g_assert_true(drv_cluster_keeps(cluster));
}

static void test_lost_disk(place *p, gconstpointer data)
{
    g_autofree char *key = g_build_filename(p->etc, "ca.key", NULL);
    g_autoptr(GError) error = NULL;
    drv_restored what;
    struct stat st;

    remove_all(p->etc);
    remove_all(p->state);
    g_assert_true(drv_backup_restore(p->file, p->etc, p->state, &what, &error));
    g_assert_no_error(error);
    g_assert_true(what.identity);
    g_assert_false(what.shared_kept);
    g_assert_cmpstr(what.node, ==, "h1");
    g_free(what.node);
    g_assert_cmpint(stat(key, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 0777, ==, 0600);
    assert_back(p, 1002);
}

/* The node is as it was, only what it keeps is damaged or wrong. */
static void test_same_node(place *p, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    drv_restored what;

    remove_all(p->state);
    {
        g_autoptr(drv_store) store = NULL;

        g_mkdir_with_parents(p->state, 0700);
        store = open_own(p);
        put(store, "policy", "later", "{}");
    }
    g_assert_true(drv_backup_restore(p->file, p->etc, p->state, &what, &error));
    g_assert_no_error(error);
    g_assert_false(what.identity);
    g_free(what.node);
    {
        g_autoptr(drv_store) store = open_own(p);
        g_autoptr(drv_document) later = drv_store_get(store, "policy", "later", NULL);

        g_assert_null(later); /* the cluster is as it was then */
    }
    assert_back(p, 1002);
}

static void assert_refused(place *p, drv_error_code code, const char *says)
{
    g_autoptr(GError) error = NULL;
    drv_restored what;

    g_assert_false(drv_backup_restore(p->file, p->etc, p->state, &what, &error));
    g_assert_error(error, DRV_ERROR, (int)code);
    if (!strstr(error->message, says))
        g_error("\"%s\" does not say \"%s\"", error->message, says);
}

/* Cut off or changed anywhere: nothing at all is written. */
static void test_not_whole(place *p, gconstpointer data)
{
    g_autofree char *text = NULL;
    gsize size;

    g_assert_true(g_file_get_contents(p->file, &text, &size, NULL));
    remove_all(p->etc);
    remove_all(p->state);
    for (gsize cut = 0; cut < size; cut += 97) {
        g_assert_true(g_file_set_contents(p->file, text, (gssize)cut, NULL));
        assert_refused(p, DRV_ERROR_INVALID, "not a whole backup");
    }
    for (gsize at = 0; at < size; at += 211) {
        char was = text[at];

        text[at] = was == 'x' ? 'y' : 'x';
        g_assert_true(g_file_set_contents(p->file, text, (gssize)size, NULL));
        assert_refused(p, DRV_ERROR_INVALID, "not a whole backup");
        text[at] = was;
    }
    g_assert_false(g_file_test(p->etc, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(p->database, G_FILE_TEST_EXISTS));
}

static void test_running(place *p, gconstpointer data)
{
    g_autoptr(drv_store) droverd = open_own(p);

    g_assert_nonnull(droverd);
    assert_refused(p, DRV_ERROR_CONFLICT, "droverd running");
}

static void test_other_node(place *p, gconstpointer data)
{
    drv_init_options options = {.node = "h2", .address = "192.0.2.8", .etc_dir = p->etc, .state_dir = p->state};
    g_autoptr(drv_identity) other = NULL;

    remove_all(p->etc);
    other = drv_init(&options, NULL);
    g_assert_nonnull(other);
    assert_refused(p, DRV_ERROR_CONFLICT, "this host is node h2");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
#define ADD(name, func) g_test_add("/backup/" name, place, NULL, set_up, func, tear_down)
    ADD("lost-disk", test_lost_disk);
    ADD("same-node", test_same_node);
    ADD("not-whole", test_not_whole);
    ADD("running", test_running);
    ADD("other-node", test_other_node);
    return g_test_run();
}
