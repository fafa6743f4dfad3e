/* SPDX-License-Identifier: Apache-2.0 */
/* The store in etcd on bad days: members killed, no room, other certificates, newer, foreign, gone. */
#include "etcd-server.h"

#include "store/etcd-json.h"
#include "store/etcd-schema.h"
#include "store/etcd-state.h"
#include "store/etcd.h"

static etcd_server trio; /* three members; each test leaves all of them running */

typedef struct {
    drv_store *store;
    char *place;
} fixture;

static drv_store *open_at(const char *place, const char *cluster, gboolean make)
{
    const drv_store_options options = {.where = place, .cluster = cluster, .make = make};
    g_autoptr(GError) error = NULL;
    drv_store *store = drv_store_open_with(&options, &error);

    g_assert_no_error(error);
    return store;
}

static void set_up(fixture *f, gconstpointer data)
{
    static guint number;
    g_autofree char *prefix = g_strdup_printf("bad-day-%u", ++number);

    f->place = etcd_place(&trio, prefix);
    f->store = open_at(f->place, NULL, TRUE);
    etcd_wait_for(f->store);
}

static void tear_down(fixture *f, gconstpointer data)
{
    drv_store_close(f->store);
    g_free(f->place);
}

static void assert_says(const GError *error, drv_error_code code, const char *says)
{
    g_assert_error(error, DRV_ERROR, (int)code);
    if (!strstr(error->message, says))
        g_error("\"%s\" does not say \"%s\"", error->message, says);
}

static gint64 put(drv_store *store, const char *key)
{
    g_autoptr(GError) error = NULL;
    gint64 revision = 0;

    drv_store_put(store, "node", key, "{}", DRV_REVISION_ANY, &revision, &error);
    g_assert_no_error(error);
    return revision;
}

/* Whichever it is: nobody notices. The one that leads among them is one of the three. */
static void test_one_killed(fixture *f, gconstpointer data)
{
    for (guint i = 0; i < trio.members; i++) {
        etcd_kill_member(&trio, i);
        for (guint n = 0; n < 20; n++) {
            g_autofree char *key = g_strdup_printf("h%u-%u", i, n);
            g_autoptr(GError) error = NULL;
            gint64 revision = put(f->store, key);

            drv_store_put(f->store, "node", key, "{\"n\":1}", revision, NULL, &error);
            g_assert_no_error(error);
            g_assert_cmpint(drv_store_next(f->store, "job", &error), ==, i * 20 + n + 1);
            g_assert_no_error(error);
        }
        etcd_start_member(&trio, i);
        etcd_wait_for(f->store);
    }
}

static void test_two_killed(fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    put(f->store, "before");
    etcd_kill_member(&trio, 0);
    etcd_kill_member(&trio, 1);
    g_assert_null(drv_store_get(f->store, "node", "before", &error));
    assert_says(error, DRV_ERROR_UNREACHABLE, "more than half of etcd's members");
    assert_says(error, DRV_ERROR_UNREACHABLE, "running moves go on");
    g_clear_error(&error);
    g_assert_false(drv_store_put(f->store, "node", "x", "{}", DRV_REVISION_NEW, NULL, &error));
    assert_says(error, DRV_ERROR_UNREACHABLE, f->place);
    g_clear_error(&error);
    g_assert_cmpint(drv_store_next(f->store, "job", &error), ==, 0);
    g_assert_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE);
    g_clear_error(&error);
    etcd_start_member(&trio, 0);
    etcd_start_member(&trio, 1);
    etcd_wait_for(f->store);
    put(f->store, "after");
}

/* ---- what is held ---- */

static void test_claim(fixture *f, gconstpointer data)
{
    g_autoptr(drv_store) other = open_at(f->place, NULL, FALSE);
    gint64 lease = 0, other_lease = 0, before;
    g_autofree char *holder = NULL;

    g_assert_cmpint(drv_store_claim(f->store, "leader", "h1", 30, &lease, &holder, NULL), ==, DRV_CLAIM_HELD);
    g_assert_cmpstr(holder, ==, "h1");
    g_clear_pointer(&holder, g_free);
    g_assert_cmpint(drv_store_claim(other, "leader", "h2", 30, &other_lease, &holder, NULL), ==, DRV_CLAIM_OTHER);
    g_assert_cmpstr(holder, ==, "h1");
    g_assert_cmpint(other_lease, ==, 0);
    g_clear_pointer(&holder, g_free);
    before = lease;
    g_assert_cmpint(drv_store_claim(f->store, "leader", "h1", 30, &lease, &holder, NULL), ==, DRV_CLAIM_HELD);
    g_assert_cmpint(lease, ==, before);
    g_clear_pointer(&holder, g_free);
    drv_store_release(f->store, lease);
    g_assert_cmpint(drv_store_claim(other, "leader", "h2", 30, &other_lease, &holder, NULL), ==, DRV_CLAIM_HELD);
    g_clear_pointer(&holder, g_free);
    /* Who was away for too long learns that it is another's now. */
    g_assert_cmpint(drv_store_claim(f->store, "leader", "h1", 30, &lease, &holder, NULL), ==, DRV_CLAIM_OTHER);
    g_assert_cmpstr(holder, ==, "h2");
}

/* The holder dies without a word: the next one has it when its lease has run out, by etcd's clock. */
static void test_claim_runs_out(fixture *f, gconstpointer data)
{
    g_autoptr(drv_store) other = open_at(f->place, NULL, FALSE);
    gint64 lease = 0, other_lease = 0, revision, since;
    drv_claim result = DRV_CLAIM_OTHER;
    g_autofree char *holder = NULL;

    revision = drv_store_wait(other, DRV_CLAIM_BUCKET, -1, 0, NULL);
    g_assert_cmpint(drv_store_claim(f->store, "leader", "h1", 2, &lease, &holder, NULL), ==, DRV_CLAIM_HELD);
    since = g_get_monotonic_time();
    while (result != DRV_CLAIM_HELD && g_get_monotonic_time() - since < 20 * G_USEC_PER_SEC) {
        g_autoptr(GError) error = NULL;

        g_clear_pointer(&holder, g_free);
        revision = drv_store_wait(other, DRV_CLAIM_BUCKET, revision, 20000, &error);
        g_assert_no_error(error);
        result = drv_store_claim(other, "leader", "h2", 2, &other_lease, &holder, &error);
        g_assert_no_error(error);
    }
    g_assert_cmpint(result, ==, DRV_CLAIM_HELD);
    g_assert_cmpstr(holder, ==, "h2");
    g_assert_cmpint(g_get_monotonic_time() - since, >=, 1 * G_USEC_PER_SEC); /* not before */
}

/* ---- what is in it ---- */

static void assert_refused(drv_store *store, drv_error_code code, const char *says)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(drv_store_list(store, "node", 0, &error));
    assert_says(error, code, says);
    g_clear_error(&error);
    g_assert_false(drv_store_put(store, "node", "x", "{}", DRV_REVISION_ANY, NULL, &error));
    assert_says(error, code, says);
}

static void write_raw(fixture *f, const char *text)
{
    drv_etcd *s = (drv_etcd *)f->store;
    g_autofree char *key = drv_etcd_key(s, "schema", NULL, NULL);
    g_autofree char *value = drv_etcd_value(text);
    g_autoptr(json_object) body = drv_etcd_object("key", key, "value", value, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) answer = drv_etcd_call(s->http, "kv/put", body, TRUE, NULL, &error);

    g_assert_no_error(error);
    g_assert_nonnull(answer);
}

/* It is upgraded by a newer Drover while this one runs: from then on this one keeps its hands off. */
static void test_newer(fixture *f, gconstpointer data)
{
    put(f->store, "h1");
    write_raw(f, "{\"version\":99,\"cluster\":\"\",\"state\":\"here\",\"to\":\"\"}");
    assert_refused(f->store, DRV_ERROR_FAILED, "newer Drover");
}

static void test_foreign(fixture *f, gconstpointer data)
{
    write_raw(f, "{\"hello\":\"world\"}");
    assert_refused(f->store, DRV_ERROR_FAILED, "not Drover's");
}

static void test_other_cluster(fixture *f, gconstpointer data)
{
    g_autofree char *place = g_strconcat(f->place, "-own", NULL);
    g_autoptr(drv_store) ours = open_at(place, "a-cluster", TRUE);
    g_autoptr(drv_store) theirs = open_at(place, "another", TRUE);

    put(ours, "h1");
    assert_refused(theirs, DRV_ERROR_CONFLICT, "another cluster");
}

/* All data lost: that is not the same as a new cluster, and must not become one. */
static void test_emptied(fixture *f, gconstpointer data)
{
    g_autofree char *place = g_strconcat(f->place, "-lost", NULL);
    g_autoptr(drv_store) store = open_at(place, NULL, FALSE);

    assert_refused(store, DRV_ERROR_FAILED, "was etcd made anew");
}

static void test_moved_away(fixture *f, gconstpointer data)
{
    g_autoptr(drv_store) other = open_at(f->place, NULL, FALSE);
    g_autoptr(GError) error = NULL;
    gint64 lease = 0, late = 0;

    put(other, "h1");
    g_assert_true(drv_etcd_fence(f->store, "h1", &lease, &error));
    assert_refused(other, DRV_ERROR_UNREACHABLE, "being moved");
    put(f->store, "h2");                /* who moves it can */
    drv_store_release(f->store, lease); /* it died: the others go on */
    put(other, "h3");
    g_assert_false(drv_etcd_leave(f->store, "h1's file", lease, &error));
    assert_says(error, DRV_ERROR_CONFLICT, "took too long");
    g_clear_error(&error);
    g_assert_true(drv_etcd_fence(f->store, "h1", &late, &error));
    g_assert_true(drv_etcd_leave(f->store, "h1's file", late, &error));
    assert_refused(other, DRV_ERROR_UNREACHABLE, "was moved to h1's file");
    drv_store_release(f->store, late);
    assert_refused(other, DRV_ERROR_UNREACHABLE, "was moved to h1's file");
}

/* ---- servers of their own ---- */

/* Writes what does not compress until etcd refuses. Return: how many were acknowledged. */
static guint fill(drv_store *store, GError **error)
{
    for (guint i = 0; i < 200; i++) {
        g_autofree guchar *noise = g_malloc(300000);
        g_autofree char *text = NULL;
        g_autofree char *json = NULL;
        g_autofree char *key = g_strdup_printf("k-%u", i);

        for (gsize n = 0; n < 300000; n++)
            noise[n] = (guchar)g_random_int();
        text = g_base64_encode(noise, 300000);
        json = g_strdup_printf("\"%s\"", text);
        if (!drv_store_put(store, "full", key, json, DRV_REVISION_NEW, NULL, error))
            return i;
    }
    return 200;
}

static void test_no_room(void)
{
    etcd_server small = {.more = {"--quota-backend-bytes", "4194304"}};
    g_autofree char *place = NULL;
    g_autoptr(drv_store) store = NULL;
    g_autoptr(GPtrArray) found = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *holder = NULL;
    gint64 lease = 0;
    guint done;

    if (!etcd_start(&small, 1)) {
        g_test_skip("there is no etcd here");
        return;
    }
    place = etcd_place(&small, "d");
    store = open_at(place, NULL, TRUE);
    etcd_wait_for(store);
    g_assert_cmpint(drv_store_claim(store, "leader", "h1", 30, &lease, &holder, NULL), ==, DRV_CLAIM_HELD);
    done = fill(store, &error);
    assert_says(error, DRV_ERROR_FAILED, "no room left in etcd");
    assert_says(error, DRV_ERROR_FAILED, "alarm disarm");
    g_assert_cmpuint(done, >, 0);
    found = drv_store_list(store, "full", 0, NULL); /* reading goes on, and so does who leads */
    g_assert_cmpuint(found->len, ==, done);
    g_clear_pointer(&holder, g_free);
    g_assert_cmpint(drv_store_claim(store, "leader", "h1", 30, &lease, &holder, NULL), ==, DRV_CLAIM_HELD);
    etcd_end(&small);
}

static void run_tool(const char *directory, const char *command)
{
    g_autofree char *whole = g_strdup_printf("sh -c 'cd %s && %s'", directory, command);
    g_autofree char *out = NULL, *err = NULL;
    int status = -1;

    g_assert_true(g_spawn_command_line_sync(whole, &out, &err, &status, NULL));
    if (status != 0)
        g_error("%s: %s", command, err);
}

#define KEY "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x "

/* With certificates on both sides, as docs/store.rst recommends. */
static void test_tls(void)
{
    etcd_server safe = {.tls = TRUE};
    g_autofree char *here = g_dir_make_tmp("drv-tls-XXXXXX", NULL);
    g_autofree char *ca = g_build_filename(here, "ca.crt", NULL);
    g_autofree char *cert = g_build_filename(here, "all.crt", NULL);
    g_autofree char *key = g_build_filename(here, "all.key", NULL);
    g_autofree char *cert_arg = g_strconcat("--cert-file=", cert, NULL);
    g_autofree char *key_arg = g_strconcat("--key-file=", key, NULL);
    g_autofree char *ca_arg = g_strconcat("--trusted-ca-file=", ca, NULL);
    g_autofree char *openssl = g_find_program_in_path("openssl");
    drv_store_options options = {.ca_file = ca, .cert_file = cert, .key_file = key, .make = TRUE};
    g_autoptr(drv_store) store = NULL, stranger = NULL, distrusting = NULL;
    g_autofree char *place = NULL;

    if (openssl) {
        run_tool(here, KEY "-x509 -days 2 -keyout ca.key -out ca.crt");
        run_tool(here, KEY "-keyout all.key -out all.csr && printf subjectAltName=IP:127.0.0.1 > ext && "
                           "openssl x509 -req -in all.csr -CA ca.crt -CAkey ca.key -CAcreateserial "
                           "-days 2 -extfile ext -out all.crt");
        safe.more[0] = cert_arg;
        safe.more[1] = key_arg;
        safe.more[2] = ca_arg;
        safe.more[3] = "--client-cert-auth";
    }
    if (!openssl || !etcd_start(&safe, 1)) {
        g_test_skip("there is no etcd or no openssl here");
        etcd_remove(here);
        return;
    }
    place = etcd_place(&safe, "d");
    options.where = place;
    store = drv_store_open_with(&options, NULL);
    etcd_wait_for(store);
    put(store, "h1");
    options.cert_file = options.key_file = NULL;
    stranger = drv_store_open_with(&options, NULL);
    assert_refused(stranger, DRV_ERROR_UNREACHABLE, "does not answer");
    distrusting = open_at(place, NULL, TRUE); /* signed by nobody whom this host knows */
    assert_refused(distrusting, DRV_ERROR_UNREACHABLE, "certificate");
    etcd_end(&safe);
    etcd_remove(here);
}

static void test_urls(void)
{
    const struct {
        const char *text, *canonical;
    } good[] = {
        {"etcd://h1", "etcd://h1:2379/drover"},
        {"etcd://h1:1,10.0.0.2/", "etcd://h1:1,10.0.0.2:2379/drover"},
        {"etcds://[fd00::1]:4,[::1]/a/b", "etcds://[fd00::1]:4,[::1]:2379/a/b"},
    };
    /* clang-format off */
    const char *const bad[] = {"etcd://", "etcd:///p", "etcd://h1:0", "etcd://h1:x", "etcd://h1,,h2",
                               "etcd://me:secret@h1", "etcd://h1/a b", "etcd://h1//x",
                               "etcd://h1/x/", "etcd://h/1/2/../é", "etcd://[::1", "etcd://h1:65536",
                               "etcd://a,b,c,d,e,f,g,h,i,j"};
    /* clang-format on */

    for (gsize i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(drv_store) store = drv_store_open(good[i].text, NULL);

        g_assert_nonnull(store);
        g_assert_cmpstr(drv_store_place(store), ==, good[i].canonical);
        g_assert_true(drv_store_is_shared(store));
    }
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        if (drv_store_open(bad[i], &error))
            g_error("%s was taken", bad[i]);
        g_assert_error(error, DRV_ERROR, DRV_ERROR_INVALID);
    }
}

static void test_nobody_there(void)
{
    g_autofree char *place = g_strdup_printf("etcd://127.0.0.1:%u", etcd_free_port());
    g_autoptr(drv_store) store = open_at(place, NULL, TRUE);

    assert_refused(store, DRV_ERROR_UNREACHABLE, "running moves go on");
}

int main(int argc, char **argv)
{
    int code;

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store/etcd/urls", test_urls);
    g_test_add_func("/store/etcd/nobody-there", test_nobody_there);
    g_test_add_func("/store/etcd/no-room", test_no_room);
    g_test_add_func("/store/etcd/tls", test_tls);
#define ADD(name, func) g_test_add("/store/etcd/" name, fixture, NULL, set_up, func, tear_down)
    if (etcd_start(&trio, 3)) {
        ADD("one-killed", test_one_killed);
        ADD("two-killed", test_two_killed);
        ADD("claim", test_claim);
        ADD("claim-runs-out", test_claim_runs_out);
        ADD("newer", test_newer);
        ADD("foreign", test_foreign);
        ADD("other-cluster", test_other_cluster);
        ADD("emptied", test_emptied);
        ADD("moved-away", test_moved_away);
    }
    code = g_test_run();
    etcd_end(&trio);
    return code;
}
