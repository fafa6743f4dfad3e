/* SPDX-License-Identifier: Apache-2.0 */
/* What the store promises about documents, in a file and in etcd: compare and swap, order, names, counters. */
#include <string.h>

#include "etcd-server.h"
#include "scratch.h"

static etcd_server etcd;

/* Each test has a prefix of its own, as each has a file of its own. */
static void etcd_set_up(scratch *s, gconstpointer data)
{
    static guint number;
    g_autofree char *prefix = g_strdup_printf("test/%u", ++number);

    s->directory = NULL;
    s->path = etcd_place(&etcd, prefix);
    s->store = scratch_open(s);
    etcd_wait_for(s->store);
}

static void etcd_tear_down(scratch *s, gconstpointer data)
{
    drv_store_close(s->store);
    g_free(s->path);
}

static void assert_json(drv_store *store, const char *bucket, const char *key, const char *json, gint64 revision)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_document) document = drv_store_get(store, bucket, key, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(document->key, ==, key);
    g_assert_cmpstr(document->json, ==, json);
    g_assert_cmpint(document->revision, ==, revision);
}

static void assert_missing(drv_store *store, const char *bucket, const char *key)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(drv_store_get(store, bucket, key, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND);
}

static gint64 put(drv_store *store, const char *bucket, const char *key, const char *json, gint64 expected)
{
    g_autoptr(GError) error = NULL;
    gint64 revision = 0;

    drv_store_put(store, bucket, key, json, expected, &revision, &error);
    g_assert_no_error(error);
    g_assert_cmpint(revision, >, 0);
    return revision;
}

static void refuse(drv_store *store, const char *bucket, const char *key, const char *json, gint64 expected,
                   drv_error_code code)
{
    g_autoptr(GError) error = NULL;
    gint64 revision = 77;

    g_assert_false(drv_store_put(store, bucket, key, json, expected, &revision, &error));
    g_assert_error(error, DRV_ERROR, (int)code);
    g_assert_cmpint(revision, ==, 77);
}

static void test_swap(scratch *s, gconstpointer data)
{
    gint64 first, second, third;

    assert_missing(s->store, "job", "h1-1");
    refuse(s->store, "job", "h1-1", "{}", 1, DRV_ERROR_CONFLICT);
    first = put(s->store, "job", "h1-1", "{\"a\":1}", DRV_REVISION_NEW);
    assert_json(s->store, "job", "h1-1", "{\"a\":1}", first);
    refuse(s->store, "job", "h1-1", "{\"a\":2}", DRV_REVISION_NEW, DRV_ERROR_CONFLICT);
    second = put(s->store, "job", "h1-1", "{\"a\":3}", first);
    g_assert_cmpint(second, >, first);
    refuse(s->store, "job", "h1-1", "{\"a\":4}", first, DRV_ERROR_CONFLICT);
    assert_json(s->store, "job", "h1-1", "{\"a\":3}", second);
    third = put(s->store, "job", "h1-1", "{\"a\":5}", DRV_REVISION_ANY);
    g_assert_cmpint(third, >, second);
    assert_missing(s->store, "jobs", "h1-1"); /* another bucket */
}

static void test_delete(scratch *s, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    gint64 first = put(s->store, "token", "t", "{}", DRV_REVISION_NEW);
    gint64 again;

    g_assert_false(drv_store_delete(s->store, "token", "t", first + 1, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_CONFLICT);
    g_clear_error(&error);
    g_assert_true(drv_store_delete(s->store, "token", "t", first, &error));
    g_assert_no_error(error);
    assert_missing(s->store, "token", "t");
    g_assert_false(drv_store_delete(s->store, "token", "t", DRV_REVISION_ANY, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND);
    g_clear_error(&error);
    /* Who still holds the first revision cannot change the second document. */
    again = put(s->store, "token", "t", "{}", DRV_REVISION_NEW);
    g_assert_cmpint(again, >, first);
    g_assert_false(drv_store_delete(s->store, "token", "t", first, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_CONFLICT);
}

typedef struct {
    drv_store *store;
    gint64 revision;
    gint *ready, *won;
} racer;

static gpointer race(gpointer data)
{
    racer *r = data;

    g_atomic_int_add(r->ready, -1);
    while (g_atomic_int_get(r->ready) > 0)
        g_thread_yield();
    if (drv_store_delete(r->store, "token", "single-use", r->revision, NULL))
        g_atomic_int_inc(r->won);
    return NULL;
}

static void test_single_use(scratch *s, gconstpointer data)
{
    for (int round = 0; round < 50; round++) {
        gint ready = 2, won = 0;
        racer r = {s->store, put(s->store, "token", "single-use", "{}", DRV_REVISION_NEW), &ready, &won};
        GThread *one = g_thread_new("one", race, &r);
        GThread *two = g_thread_new("two", race, &r);

        g_thread_join(one);
        g_thread_join(two);
        g_assert_cmpint(won, ==, 1);
    }
}

static gpointer count_up(gpointer data)
{
    drv_store *store = data;

    for (int i = 0; i < 25; i++) {
        gboolean done = FALSE;

        while (!done) {
            g_autoptr(GError) error = NULL;
            g_autoptr(drv_document) now = drv_store_get(store, "sum", "sum", &error);
            g_assert_no_error(error);
            g_autofree char *json = g_strdup_printf("%d", (int)g_ascii_strtoll(now->json, NULL, 10) + 1);

            done = drv_store_put(store, "sum", "sum", json, now->revision, NULL, &error);
            if (!done)
                g_assert_error(error, DRV_ERROR, DRV_ERROR_CONFLICT);
        }
        g_assert_cmpint(drv_store_next(store, "job", NULL), >, 0);
    }
    return NULL;
}

static void test_lost_updates(scratch *s, gconstpointer data)
{
    GThread *threads[4];
    g_autoptr(drv_document) sum = NULL;

    put(s->store, "sum", "sum", "0", DRV_REVISION_NEW);
    for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("count", count_up, s->store);
    for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    sum = drv_store_get(s->store, "sum", "sum", NULL);
    g_assert_cmpstr(sum->json, ==, "100");
    g_assert_cmpint(drv_store_next(s->store, "job", NULL), ==, 101);
}

static void assert_keys(drv_store *store, const char *bucket, guint limit, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) found = drv_store_list(store, bucket, limit, &error);
    g_autoptr(GString) keys = g_string_new(NULL);

    g_assert_no_error(error);
    for (guint i = 0; i < found->len; i++)
        g_string_append_printf(keys, "%s%s", i ? " " : "", ((drv_document *)g_ptr_array_index(found, i))->key);
    g_assert_cmpstr(keys->str, ==, expected);
}

static void test_list(scratch *s, gconstpointer data)
{
    const char *const keys[] = {"h1-1", "h1-9", "h2-1", "h1-10", "h1-2"};

    assert_keys(s->store, "job", 0, "");
    for (gsize i = 0; i < G_N_ELEMENTS(keys); i++)
        put(s->store, "job", keys[i], "{}", DRV_REVISION_NEW);
    put(s->store, "other", "h1-3", "{}", DRV_REVISION_NEW);
    assert_keys(s->store, "job", 0, "h1-1 h1-2 h1-9 h1-10 h2-1");
    /* The newest are those made last, whatever their names; a change does not make new. */
    put(s->store, "job", "h1-1", "{\"changed\":true}", DRV_REVISION_ANY);
    assert_keys(s->store, "job", 2, "h1-2 h1-10");
    assert_keys(s->store, "job", 99, "h1-1 h1-2 h1-9 h1-10 h2-1");
}

static void test_next(scratch *s, gconstpointer data)
{
    for (gint64 i = 1; i <= 12; i++)
        g_assert_cmpint(drv_store_next(s->store, "job", NULL), ==, i);
    g_assert_cmpint(drv_store_next(s->store, "plan", NULL), ==, 1);
    scratch_reopen(s);
    g_assert_cmpint(drv_store_next(s->store, "job", NULL), ==, 13);
}

static void test_reopen(scratch *s, gconstpointer data)
{
    gint64 revision = put(s->store, "node", "h1", "{\"name\":\"h\xc3\xb6st\"}", DRV_REVISION_NEW);

    scratch_reopen(s);
    assert_json(s->store, "node", "h1", "{\"name\":\"h\xc3\xb6st\"}", revision);
    g_assert_cmpint(put(s->store, "node", "h2", "{}", DRV_REVISION_NEW), >, revision);
}

static void test_bad_names(scratch *s, gconstpointer data)
{
    g_autofree char *longest = g_strnfill(128, 'k');
    g_autofree char *too_long = g_strnfill(129, 'k');
    const char *const bad[] = {"", "a/b", "a b", "a\n", "\xc3\xa9", "a*", too_long};
    g_autoptr(GError) error = NULL;

    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        refuse(s->store, "job", bad[i], "{}", DRV_REVISION_ANY, DRV_ERROR_INVALID);
        refuse(s->store, bad[i], "key", "{}", DRV_REVISION_ANY, DRV_ERROR_INVALID);
        g_assert_null(drv_store_get(s->store, "job", bad[i], &error));
        g_assert_error(error, DRV_ERROR, DRV_ERROR_INVALID);
        g_clear_error(&error);
        g_assert_cmpint(drv_store_next(s->store, bad[i], &error), ==, 0);
        g_assert_error(error, DRV_ERROR, DRV_ERROR_INVALID);
        g_clear_error(&error);
        g_assert_null(drv_store_list(s->store, bad[i], 0, &error));
        g_assert_error(error, DRV_ERROR, DRV_ERROR_INVALID);
        g_clear_error(&error);
    }
    put(s->store, "job", longest, "{}", DRV_REVISION_NEW);
    put(s->store, "job", "4f7bbe76-31f0-47d5-ad7f-00aa5c87401a", "{}", DRV_REVISION_NEW);
    refuse(s->store, "job", "a", "{}", -2, DRV_ERROR_INVALID);
}

static void test_bad_json(scratch *s, gconstpointer data)
{
    gsize most = 4u << 20;
    g_autofree char *large = g_strnfill(most + 1, ' ');

    memcpy(large, "[]", 2);
    refuse(s->store, "job", "a", large, DRV_REVISION_ANY, DRV_ERROR_INVALID);
    large[most] = '\0';
    put(s->store, "job", "a", large, DRV_REVISION_ANY);
    refuse(s->store, "job", "b", "", DRV_REVISION_ANY, DRV_ERROR_INVALID);
    refuse(s->store, "job", "b", "{\"a\":", DRV_REVISION_ANY, DRV_ERROR_INVALID);
    refuse(s->store, "job", "b", "{\"a\":NaN}", DRV_REVISION_ANY, DRV_ERROR_INVALID);
    refuse(s->store, "job", "b", "\"\xff\"", DRV_REVISION_ANY, DRV_ERROR_INVALID);
    assert_missing(s->store, "job", "b");
}

static void test_together(scratch *s, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    gint64 token = put(s->store, "token", "t", "{}", DRV_REVISION_NEW), revision = 0;
    const drv_store_change join[] = {
        {"token", "t", NULL, token},
        {"node", "h2", "{\"name\":\"h2\"}", DRV_REVISION_NEW},
        {"log", "last", "{}", DRV_REVISION_ANY},
    };
    const drv_store_change twice[] = {{"a", "b", "{}", DRV_REVISION_ANY}, {"a", "b", "[]", DRV_REVISION_ANY}};

    g_assert_true(drv_store_change_all(s->store, join, G_N_ELEMENTS(join), &revision, &error));
    g_assert_no_error(error);
    assert_missing(s->store, "token", "t");
    assert_json(s->store, "node", "h2", "{\"name\":\"h2\"}", revision);
    assert_json(s->store, "log", "last", "{}", revision);
    /* All or none: the token is not there any more, so the rest does not happen either. */
    put(s->store, "log", "last", "{\"n\":2}", DRV_REVISION_ANY);
    g_assert_false(drv_store_change_all(s->store, join, G_N_ELEMENTS(join), NULL, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND);
    g_assert_nonnull(strstr(error->message, "token/t"));
    g_clear_error(&error);
    g_assert_false(drv_store_change_all(s->store, join + 1, 2, NULL, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_CONFLICT);
    g_assert_nonnull(strstr(error->message, "node/h2"));
    g_clear_error(&error);
    g_assert_false(drv_store_change_all(s->store, twice, 2, NULL, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_INVALID);
}

static void test_inventory(scratch *s, gconstpointer data)
{
    g_autoptr(GPtrArray) buckets = NULL;
    g_autoptr(GPtrArray) counters = NULL;

    put(s->store, "node", "h1", "{}", DRV_REVISION_NEW);
    put(s->store, "node", "h2", "{}", DRV_REVISION_NEW);
    put(s->store, "job", "h1-1", "{}", DRV_REVISION_NEW);
    g_assert_cmpint(drv_store_next(s->store, "plan", NULL), ==, 1);
    g_assert_true(drv_store_raise(s->store, "job", 41, NULL));
    g_assert_true(drv_store_raise(s->store, "job", 40, NULL)); /* never down */
    g_assert_cmpint(drv_store_next(s->store, "job", NULL), ==, 42);
    buckets = drv_store_buckets(s->store, NULL);
    g_assert_cmpuint(buckets->len, ==, 2);
    g_assert_cmpstr(buckets->pdata[0], ==, "job");
    g_assert_cmpstr(buckets->pdata[1], ==, "node");
    counters = drv_store_counters(s->store, NULL);
    g_assert_cmpuint(counters->len, ==, 2);
    g_assert_cmpstr(((drv_document *)counters->pdata[0])->key, ==, "job");
    g_assert_cmpstr(((drv_document *)counters->pdata[0])->json, ==, "42");
}

typedef struct {
    drv_store *store;
    gint64 after;
    gint64 woken;
} waiter;

static gpointer wait_for_node(gpointer data)
{
    waiter *w = data;
    g_autoptr(GError) error = NULL;

    w->woken = drv_store_wait(w->store, "node", w->after, 20000, &error);
    g_assert_no_error(error);
    return NULL;
}

static void test_wait(scratch *s, gconstpointer data)
{
    waiter w = {s->store, drv_store_wait(s->store, "node", -1, 0, NULL), 0};
    gint64 begin = g_get_monotonic_time(), first, last;
    GThread *thread;

    g_assert_cmpint(w.after, >=, 0);
    /* Another bucket is none of its business: it waits out its time. */
    put(s->store, "job", "h1-1", "{}", DRV_REVISION_NEW);
    g_assert_cmpint(drv_store_wait(s->store, "node", w.after, 300, NULL), ==, w.after);
    g_assert_cmpint(g_get_monotonic_time() - begin, >=, 300000);
    thread = g_thread_new("wait", wait_for_node, &w);
    first = put(s->store, "node", "h1", "{}", DRV_REVISION_NEW);
    g_thread_join(thread);
    g_assert_cmpint(w.woken, >=, first);
    /* What happened before it was asked is told at once; so is a deletion. */
    w.after = w.woken;
    g_assert_true(drv_store_delete(s->store, "node", "h1", DRV_REVISION_ANY, NULL));
    last = drv_store_wait(s->store, "node", w.after, 20000, NULL);
    g_assert_cmpint(last, >, w.after);
    w.after = last;
    thread = g_thread_new("wait", wait_for_node, &w);
    drv_store_stop_waiting(s->store);
    g_thread_join(thread);
    g_assert_cmpint(w.woken, ==, w.after);
    g_assert_cmpint(g_get_monotonic_time() - begin, <, 20000000);
}

static void no_etcd(void)
{
    g_test_skip("there is no etcd here (Debian: etcd-server)");
}

int main(int argc, char **argv)
{
    int code;

    g_test_init(&argc, &argv, NULL);
#define ADD_IN(where, name, func)                                                                                      \
    g_test_add("/store/" where name, scratch, NULL, *where ? etcd_set_up : scratch_set_up, func,                       \
               *where ? etcd_tear_down : scratch_tear_down)
#define ADD_ALL(where)                                                                                                 \
    ADD_IN(where, "swap", test_swap);                                                                                  \
    ADD_IN(where, "delete", test_delete);                                                                              \
    ADD_IN(where, "single-use", test_single_use);                                                                      \
    ADD_IN(where, "lost-updates", test_lost_updates);                                                                  \
    ADD_IN(where, "list", test_list);                                                                                  \
    ADD_IN(where, "next", test_next);                                                                                  \
    ADD_IN(where, "reopen", test_reopen);                                                                              \
    ADD_IN(where, "bad-names", test_bad_names);                                                                        \
    ADD_IN(where, "bad-json", test_bad_json);                                                                          \
    ADD_IN(where, "together", test_together);                                                                          \
    ADD_IN(where, "inventory", test_inventory);                                                                        \
    ADD_IN(where, "wait", test_wait)
    ADD_ALL("");
    if (etcd_start(&etcd, 1)) {
        ADD_ALL("etcd/");
    } else {
        g_test_add_func("/store/etcd", no_etcd);
    }
    code = g_test_run();
    etcd_end(&etcd);
    return code;
}
