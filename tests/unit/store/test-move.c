/* SPDX-License-Identifier: Apache-2.0 */
/* The store goes from a file to etcd and back while it is used: nothing that was acknowledged is lost. */
#include <string.h>

#include "etcd-server.h"
#include "scratch.h"
#include "store/copy.h"
#include "store/gate.h"

#define WRITERS 3
#define EACH 60

static etcd_server etcd;

typedef struct {
    scratch file;
    drv_store *gate;
} fixture;

static drv_store *open_etcd(const char *prefix)
{
    g_autofree char *place = etcd_place(&etcd, prefix);
    drv_store *store = drv_store_open(place, NULL);

    g_assert_nonnull(store);
    etcd_wait_for(store);
    return store;
}

static void set_up(fixture *f, gconstpointer data)
{
    scratch_set_up(&f->file, NULL);
    f->gate = drv_gate_new();
    drv_gate_set(f->gate, f->file.store, TRUE);
}

static void tear_down(fixture *f, gconstpointer data)
{
    drv_store_close(f->gate);
    scratch_tear_down(&f->file, NULL);
}

typedef struct {
    drv_store *gate;
    guint number;
    GPtrArray *acknowledged;
} writer;

static gpointer write_on(gpointer data)
{
    writer *w = data;

    for (guint i = 0; i < EACH; i++) {
        g_autofree char *key = g_strdup_printf("w%u-%u", w->number, i);
        g_autoptr(GError) error = NULL;

        drv_store_put(w->gate, "policy", key, "{}", DRV_REVISION_NEW, NULL, &error);
        g_assert_no_error(error);
        g_ptr_array_add(w->acknowledged, g_steal_pointer(&key));
        g_assert_cmpint(drv_store_next(w->gate, "operation", NULL), >, 0);
    }
    return NULL;
}

static void move(drv_store *gate, drv_store *to, gboolean borrowed)
{
    g_autoptr(GError) error = NULL;
    guint documents = 0;

    drv_store_move(gate, to, borrowed, "h1", NULL, NULL, &documents, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(documents, >, 0);
}

static void test_in_use(fixture *f, gconstpointer data)
{
    writer writers[WRITERS];
    GThread *threads[WRITERS];
    const char *old;

    drv_store_put(f->gate, "node", "h1", "{\"name\":\"h1\"}", DRV_REVISION_NEW, NULL, NULL);
    drv_store_put(f->file.store, "job", "h1-1", "{}", DRV_REVISION_NEW, NULL, NULL);
    for (guint i = 0; i < WRITERS; i++) {
        writers[i] = (writer){f->gate, i, g_ptr_array_new_with_free_func(g_free)};
        threads[i] = g_thread_new("writer", write_on, &writers[i]);
    }
    old = drv_store_place(f->gate);
    move(f->gate, open_etcd("in-use"), FALSE);
    g_assert_true(drv_store_is_shared(f->gate));
    g_assert_true(g_str_has_suffix(drv_store_place(f->gate), "/in-use"));
    g_assert_cmpstr(old, ==, f->file.path); /* whoever borrowed it still can use it */
    move(f->gate, f->file.store, TRUE);
    for (guint i = 0; i < WRITERS; i++) {
        g_thread_join(threads[i]);
        g_assert_cmpuint(writers[i].acknowledged->len, ==, EACH);
        for (guint n = 0; n < EACH; n++) {
            g_autoptr(drv_document) there = drv_store_get(f->gate, "policy", writers[i].acknowledged->pdata[n], NULL);

            g_assert_nonnull(there);
        }
        g_ptr_array_unref(writers[i].acknowledged);
    }
    /* No number was given twice, and none is. */
    g_assert_cmpint(drv_store_next(f->gate, "operation", NULL), ==, WRITERS * EACH + 1);
}

/* What each node keeps for itself stays there. */
static void test_own_stays(fixture *f, gconstpointer data)
{
    g_autoptr(GPtrArray) jobs = NULL;
    g_autoptr(drv_document) left = NULL;
    g_autoptr(drv_document) measured = NULL;

    drv_store_put(f->gate, "node", "h1", "{}", DRV_REVISION_NEW, NULL, NULL);
    drv_store_put(f->file.store, "job", "h1-1", "{}", DRV_REVISION_NEW, NULL, NULL);
    drv_store_put(f->file.store, "measured-here", "a", "{}", DRV_REVISION_NEW, NULL, NULL);
    move(f->gate, open_etcd("own"), FALSE);
    g_assert_true(drv_store_clear_cluster(f->file.store, NULL));
    jobs = drv_store_list(f->gate, "job", 0, NULL);
    g_assert_cmpuint(jobs->len, ==, 0);
    g_ptr_array_unref(jobs);
    jobs = drv_store_list(f->file.store, "job", 0, NULL);
    g_assert_cmpuint(jobs->len, ==, 1);
    measured = drv_store_get(f->file.store, "measured-here", "a", NULL);
    g_assert_nonnull(measured);
    left = drv_store_get(f->file.store, DRV_LEFT_BUCKET, DRV_LEFT_KEY, NULL);
    g_assert_nonnull(left);
    g_assert_nonnull(strstr(left->json, "own"));
}

static gboolean keep_fails(gpointer data, GError **error)
{
    g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "no room in /etc");
    return FALSE;
}

/* If anything fails, all is where it was, and the next try finds nothing in its way. */
static void test_fails(fixture *f, gconstpointer data)
{
    drv_store *to = open_etcd("fails");
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_document) left = NULL;
    guint documents;

    drv_store_put(f->gate, "node", "h1", "{}", DRV_REVISION_NEW, NULL, NULL);
    g_assert_false(drv_store_move(f->gate, to, FALSE, "h1", keep_fails, NULL, &documents, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_FAILED);
    g_assert_false(drv_store_is_shared(f->gate));
    left = drv_store_get(f->file.store, DRV_LEFT_BUCKET, DRV_LEFT_KEY, NULL);
    g_assert_null(left);
    g_assert_true(drv_store_put(f->gate, "node", "h2", "{}", DRV_REVISION_NEW, NULL, NULL));
    move(f->gate, to, FALSE);
}

static void test_not_empty(fixture *f, gconstpointer data)
{
    g_autoptr(drv_store) to = open_etcd("taken");
    g_autoptr(GError) error = NULL;
    guint documents;

    drv_store_put(to, "node", "other", "{}", DRV_REVISION_NEW, NULL, NULL);
    drv_store_put(f->gate, "node", "h1", "{}", DRV_REVISION_NEW, NULL, NULL);
    g_assert_false(drv_store_move(f->gate, to, FALSE, "h1", NULL, NULL, &documents, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_CONFLICT);
    g_assert_nonnull(strstr(error->message, "another prefix"));
}

static void test_closed(void)
{
    g_autoptr(drv_store) gate = drv_gate_new();
    g_autoptr(GError) error = NULL;

    g_assert_false(drv_gate_is_open(gate));
    g_assert_null(drv_store_get(gate, "node", "h1", &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE);
    g_clear_error(&error);
    g_assert_false(drv_store_put(gate, "node", "h1", "{}", DRV_REVISION_ANY, NULL, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE);
}

static void no_etcd(void)
{
    g_test_skip("there is no etcd here (Debian: etcd-server)");
}

int main(int argc, char **argv)
{
    int code;

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store/move/closed", test_closed);
#define ADD(name, func) g_test_add("/store/move/" name, fixture, NULL, set_up, func, tear_down)
    if (etcd_start(&etcd, 1)) {
        ADD("in-use", test_in_use);
        ADD("own-stays", test_own_stays);
        ADD("fails", test_fails);
        ADD("not-empty", test_not_empty);
    } else {
        g_test_add_func("/store/move", no_etcd);
    }
    code = g_test_run();
    etcd_end(&etcd);
    return code;
}
