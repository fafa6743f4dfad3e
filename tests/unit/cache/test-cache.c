/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The known-content store without relays: two of them agree on what both have, what a relay would have
 * written is taken over, and what is broken, too old, or too much goes.
 */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "cache/administration.h"
#include "cache/cache.h"
#include "cache/retained.h"
#include "cache/store.h"
#include "disk-log.h"
#include "hyper/connection.h"
#include "hyper/gerror.h"
#include "model/json.h"
#include "pack/brief.h"
#include "pack/keyring.h"
#include "pack/pack.h"

#define MIB 3u /* segments that a session leaves */

typedef struct {
    char *dir;
    drv_store *store;
    drv_content *content;
} node;

static void node_open(node *it, guint64 most_bytes, guint64 age_s)
{
    g_autofree char *content = g_build_filename(it->dir, "content", NULL);
    drv_content_config config = {content, most_bytes, age_s, it->store, NULL};

    it->content = drv_content_open(&config);
}

static void node_init(node *it)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;

    it->dir = g_dir_make_tmp("drover-content-XXXXXX", &error);
    g_assert_no_error(error);
    path = g_build_filename(it->dir, "drover.db", NULL);
    it->store = drv_store_open(path, &error);
    g_assert_no_error(error);
    node_open(it, 1 << 30, 0);
}

static void remove_tree(const char *path)
{
    g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
    const char *name;

    while (directory && (name = g_dir_read_name(directory))) {
        g_autofree char *inside = g_build_filename(path, name, NULL);

        remove_tree(inside);
    }
    g_remove(path);
}

static void node_done(node *it)
{
    g_autofree char *id = g_build_filename(it->dir, "content", "id", NULL);
    g_autofree char *text = NULL;

    drv_content_close(it->content);
    drv_store_close(it->store);
    if (g_file_get_contents(id, &text, NULL, NULL)) {
        g_autofree char *key = g_strconcat("drover:content:", text, NULL);

        drv_keyring_forget(key);
    }
    remove_tree(it->dir);
    g_free(it->dir);
}

static gint64 count(node *it)
{
    g_autoptr(json_object) list = drv_content_list(it->content);

    return (gint64)drv_json_length(drv_json_array(list, "contents"));
}

/* Until the store has heard that files were closed. */
static void wait_count(node *it, gint64 wanted)
{
    gint64 until = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;

    while (count(it) != wanted) {
        g_assert_cmpint(g_get_monotonic_time(), <, until);
        g_usleep(2000);
    }
}

/* Until what went wrong is listed. */
static void wait_problem(node *it)
{
    gint64 until = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;

    for (;;) {
        g_autoptr(json_object) list = drv_content_list(it->content);

        if (drv_json_object(list, "problem"))
            return;
        g_assert_cmpint(g_get_monotonic_time(), <, until);
        g_usleep(2000);
    }
}

static guint missing; /* segments for which the next parts had no room */

/* What a relay does: MIB segments that the session's number makes, and that the first pack served. */
static void write_part(const struct drv_relay_config *config, guint8 number, guint damaged)
{
    g_autofree guint8 *pages = g_malloc(DRV_SEGMENT_BYTES);
    guint64 addresses[DRV_SEGMENT_PAGES] = {0};
    struct drv_pack_manifest manifest = {.use = {{4096, damaged}}, .missing = missing};
    struct drv_brief brief = {0};
    struct drv_error err;

    g_assert_cmpint(drv_brief_read(config->content_fd, &brief, &err), ==, 0);
    g_assert_cmpuint(config->content_file_count, ==, brief.packs + 1);
    g_assert_cmpuint(brief.most_segments, >=, MIB);
    manifest.uses = brief.packs;
    manifest.segment = calloc(MIB, sizeof *manifest.segment);
    for (guint i = 0; i < MIB; i++) {
        memset(pages, (int)(number * 16 + i), DRV_SEGMENT_BYTES);
        g_assert_cmpint(drv_pack_save(config->content_files[0], &brief.key, i, pages, addresses, DRV_SEGMENT_PAGES,
                                      &manifest.segment[manifest.count++], &err),
                        ==, 0);
    }
    g_assert_cmpint(drv_pack_finish(config->content_files[0], &brief.key, &manifest, &err), ==, 0);
    drv_pack_manifest_done(&manifest);
    drv_brief_done(&brief);
}

/* Reads what the brief names, as a relay does. Return: segments; all of them must open. */
static guint read_all(const struct drv_relay_config *config)
{
    g_autofree guint8 *pages = g_malloc(DRV_SEGMENT_BYTES);
    guint64 addresses[DRV_SEGMENT_PAGES];
    struct drv_brief brief = {0};
    struct drv_error err;
    guint all;

    g_assert_cmpint(drv_brief_read(config->content_fd, &brief, &err), ==, 0);
    for (guint i = 0; i < brief.count; i++)
        g_assert_cmpint(drv_pack_load(config->content_files[1 + brief.segment[i].pack],
                                      &brief.pack_key[brief.segment[i].pack], brief.segment[i].index,
                                      &brief.segment[i].segment, pages, addresses, &err),
                        ==, 0);
    all = brief.count;
    drv_brief_done(&brief);
    return all;
}

static char *session_id(guint8 number)
{
    return g_strdup_printf("%032x", number);
}

/* A whole session. Return: segments that both had; their lists are the same. */
static guint session(node *source, node *target, guint8 number, const char *uuid, const char *owner, guint damaged)
{
    g_autofree char *id = session_id(number);
    g_autoptr(drv_content_session) here = drv_content_begin(source->content, id, uuid, "web", owner);
    g_autoptr(drv_content_session) there = NULL;
    g_autoptr(json_object) offer = drv_content_offer(here);
    g_autoptr(json_object) answer = NULL;
    struct drv_relay_config one = {0}, other = {0};
    struct drv_brief briefs[2] = {{{{0}}}};
    guint8 roots[2][DRV_DIGEST_BYTES];
    struct drv_error err;
    guint known;

    there = drv_content_begin(target->content, id, uuid, "web", drv_json_string(offer, "owner", ""));
    answer = drv_content_answer(there, offer);
    g_assert_nonnull(answer);
    g_assert_true(drv_content_accept(here, answer));
    drv_content_hand(here, &one);
    drv_content_hand(there, &other);
    known = read_all(&one);
    g_assert_cmpuint(read_all(&other), ==, known);
    g_assert_cmpint(drv_brief_read(one.content_fd, &briefs[0], &err), ==, 0);
    g_assert_cmpint(drv_brief_read(other.content_fd, &briefs[1], &err), ==, 0);
    for (guint i = 0; i < 2; i++) {
        g_assert_cmpint(drv_brief_root(&briefs[i], roots[i], &err), ==, 0);
        drv_brief_done(&briefs[i]);
    }
    g_assert_cmpmem(roots[0], sizeof roots[0], roots[1], sizeof roots[1]);
    write_part(&one, number, damaged);
    write_part(&other, number, 0);
    return known;
}

static void two_hosts_agree(void)
{
    node h1, h2;

    node_init(&h1);
    node_init(&h2);
    g_assert_cmpuint(session(&h1, &h2, 1, "u1", NULL, 0), ==, 0);
    wait_count(&h1, 1);
    wait_count(&h2, 1);
    g_assert_cmpuint(session(&h2, &h1, 2, "u1", NULL, 0), ==, MIB);
    wait_count(&h1, 2);
    wait_count(&h2, 2);
    /* A sibling gets it, another owner's VM does not. */
    g_assert_cmpuint(session(&h1, &h2, 3, "u2", NULL, 0), ==, 2 * MIB);
    wait_count(&h1, 3);
    wait_count(&h2, 3);
    g_assert_cmpuint(session(&h1, &h2, 4, "u1", "shop", 0), ==, 0);
    wait_count(&h1, 4);
    wait_count(&h2, 4);
    g_assert_cmpuint(session(&h1, &h2, 5, "u3", "shop", 0), ==, MIB);
    node_done(&h1);
    node_done(&h2);
}

struct relay {
    int part;
    struct drv_brief brief;
    struct drv_pack_manifest manifest;
};

static void write_segment(struct relay *relay)
{
    g_autofree guint8 *pages = g_malloc(DRV_SEGMENT_BYTES);
    guint64 addresses[DRV_SEGMENT_PAGES] = {0};
    struct drv_error err;

    memset(pages, 17 + (int)relay->manifest.count, DRV_SEGMENT_BYTES);
    g_assert_cmpint(drv_pack_save(relay->part, &relay->brief.key, relay->manifest.count, pages, addresses,
                                  DRV_SEGMENT_PAGES, &relay->manifest.segment[relay->manifest.count], &err),
                    ==, 0);
    relay->manifest.count++;
}

static gpointer write_the_rest(gpointer data)
{
    struct relay *relay = data;
    struct drv_error err;

    while (relay->manifest.count < MIB)
        write_segment(relay);
    g_assert_cmpint(drv_pack_finish(relay->part, &relay->brief.key, &relay->manifest, &err), ==, 0);
    close(relay->part);
    return NULL;
}

/* A sibling that comes right behind waits for what is just being written, and has it. */
static void siblings_wait(void)
{
    g_autofree char *first = session_id(1), *second = session_id(2);
    g_autoptr(drv_content_session) here = NULL, sibling = NULL;
    g_autoptr(json_object) offer = NULL;
    struct drv_relay_config config = {0};
    struct relay relay = {0};
    struct drv_error err;
    GThread *thread;
    gsize size;
    node h1;

    node_init(&h1);
    here = drv_content_begin(h1.content, first, "u1", "web", "cluster");
    drv_content_hand(here, &config);
    relay.part = dup(config.content_files[0]);
    relay.manifest.segment = calloc(MIB, sizeof *relay.manifest.segment);
    g_assert_cmpint(drv_brief_read(config.content_fd, &relay.brief, &err), ==, 0);
    g_clear_pointer(&here, drv_content_end);
    write_segment(&relay);
    thread = g_thread_new("relay", write_the_rest, &relay);
    sibling = drv_content_begin(h1.content, second, "u2", "web2", "cluster");
    offer = drv_content_offer(sibling);
    g_free(g_base64_decode(drv_json_string(offer, "segments", ""), &size));
    g_assert_cmpuint(size, ==, MIB * 8);
    g_thread_join(thread);
    drv_pack_manifest_done(&relay.manifest);
    drv_brief_done(&relay.brief);
    node_done(&h1);
}

static void restart_keeps_it(void)
{
    g_autofree char *path = NULL, *junk = NULL;
    node h1, h2;

    node_init(&h1);
    node_init(&h2);
    session(&h1, &h2, 1, "u1", NULL, 0);
    wait_count(&h1, 1);
    session(&h1, &h2, 2, "u1", NULL, 0);
    wait_count(&h1, 2);
    drv_content_close(h1.content);
    /* Half a part, a pack that is none. */
    path = g_strdup_printf("%s/content/%032x.part", h1.dir, 9);
    junk = g_strdup_printf("%s/content/%032x.pack", h1.dir, 8);
    g_assert_true(g_file_set_contents(path, "half", 4, NULL));
    g_assert_true(g_file_set_contents(junk, "junk", 4, NULL));
    node_open(&h1, 1 << 30, 0);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(junk, G_FILE_TEST_EXISTS));
    {
        g_autoptr(json_object) list = drv_content_list(h1.content);

        if (!drv_json_bool(list, "key_kept")) {
            g_assert_cmpint(count(&h1), ==, 0);
            g_test_skip("the kernel keeps no keys here");
        } else {
            json_object *first = json_object_array_get_idx(drv_json_array(list, "contents"), 0);

            g_assert_cmpint(count(&h1), ==, 2);
            /* What it has saved is remembered. */
            g_assert_cmpint(drv_json_int(first, "saved_bytes", 0), ==, 4096);
            g_assert_cmpint(drv_json_int(list, "saved_bytes", 0), ==, 4096);
        }
    }
    node_done(&h1);
    node_done(&h2);
}

static json_object *problem(node *it)
{
    g_autoptr(json_object) list = drv_content_list(it->content);
    json_object *problem = drv_json_object(list, "problem");

    return problem ? json_object_get(problem) : NULL;
}

/* What its relay did not finish is listed, until content is kept again. */
static void failures_are_said(void)
{
    g_autoptr(json_object) before = NULL, said = NULL, after = NULL;
    g_autoptr(drv_content_session) here = NULL;
    struct drv_relay_config config = {0};
    g_autofree char *id = session_id(7);
    node h1, h2;

    node_init(&h1);
    node_init(&h2);
    here = drv_content_begin(h1.content, id, "u1", "shop", "cluster");
    drv_content_hand(here, &config);
    g_assert_null(before = problem(&h1));
    g_clear_pointer(&here, drv_content_end); /* nobody else has the part: its relay is dead */
    wait_problem(&h1);
    said = problem(&h1);
    g_assert_nonnull(strstr(drv_json_string(said, "message", ""), "content of shop: it is not kept"));
    g_assert_cmpint(drv_json_int(said, "at_ms", 0), >, 0);
    session(&h1, &h2, 8, "u1", NULL, 0);
    wait_count(&h1, 1);
    g_assert_null(after = problem(&h1));

    missing = 5;
    session(&h1, &h2, 9, "u2", NULL, 0);
    missing = 0;
    wait_count(&h1, 2);
    json_object_put(said);
    said = problem(&h1);
    g_assert_nonnull(strstr(drv_json_string(said, "message", ""), "5 MiB of 8 could not be written"));
    node_done(&h1);
    node_done(&h2);
}

static void damaged_goes(void)
{
    node h1, h2;

    node_init(&h1);
    node_init(&h2);
    session(&h1, &h2, 1, "u1", NULL, 0);
    wait_count(&h1, 1);
    wait_count(&h2, 1);
    /* The source's relay finds a segment of the first pack damaged: of two one is left. */
    session(&h1, &h2, 2, "u1", NULL, 1);
    wait_count(&h2, 2);
    wait_count(&h1, 1);
    node_done(&h1);
    node_done(&h2);
}

static void caps_hold(void)
{
    node h1, h2;

    node_init(&h1);
    node_init(&h2);
    drv_content_close(h1.content);
    node_open(&h1, 2 * (MIB + 1) * DRV_SLOT_BYTES, 0);
    for (guint8 i = 1; i <= 4; i++) {
        g_autofree char *uuid = g_strdup_printf("u%d", i);
        g_autofree char *owner = g_strdup_printf("o%d", i);

        session(&h1, &h2, i, uuid, owner, 0);
        wait_count(&h2, i);
        wait_count(&h1, MIN(i, 2));
    }
    node_done(&h1);
    node_done(&h2);
}

static void prune_and_off(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) nothing = json_object_new_object();
    g_autoptr(json_object) vm = drv_json_parse("{\"vm\":\"u1\"}", "a test", NULL);
    g_autoptr(json_object) web = drv_json_parse("{\"vm\":\"web\"}", "a test", NULL);
    g_autoptr(json_object) old = drv_json_parse("{\"vm\":\"u1\",\"older_than_s\":60}", "a test", NULL);
    g_autoptr(json_object) off = drv_json_parse("{\"on\":false}", "a test", NULL);
    g_autoptr(json_object) on = drv_json_parse("{\"on\":true}", "a test", NULL);
    node h1, h2;

    node_init(&h1);
    node_init(&h2);
    session(&h1, &h2, 1, "u1", NULL, 0);
    session(&h1, &h2, 2, "u2", NULL, 0);
    wait_count(&h1, 2);
    g_assert_null(drv_content_prune(h1.content, nothing, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_INVALID);
    g_clear_error(&error);
    json_object_put(drv_content_prune(h1.content, old, NULL));
    g_assert_cmpint(count(&h1), ==, 2);
    json_object_put(drv_content_prune(h1.content, vm, NULL));
    g_assert_cmpint(count(&h1), ==, 1);
    g_assert_null(drv_content_set(h1.content, nothing, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_INVALID);
    json_object_put(drv_content_set(h1.content, off, NULL));
    g_assert_cmpint(count(&h1), ==, 0);
    g_assert_null(drv_content_begin(h1.content, "00000000000000000000000000000007", "u1", "web", NULL));
    /* Still so after a restart. */
    drv_content_close(h1.content);
    node_open(&h1, 1 << 30, 0);
    g_assert_null(drv_content_begin(h1.content, "00000000000000000000000000000007", "u1", "web", NULL));
    json_object_put(drv_content_set(h1.content, on, NULL));
    session(&h1, &h2, 8, "u1", NULL, 0);
    wait_count(&h1, 1);
    /* One VM's name, and another one's UUID: it is not guessed which is meant. */
    session(&h1, &h2, 9, "web", NULL, 0);
    wait_count(&h1, 2);
    g_clear_error(&error);
    g_assert_null(drv_content_prune(h1.content, web, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_INVALID);
    g_assert_cmpint(count(&h1), ==, 2);
    node_done(&h1);
    node_done(&h2);
}

/* A peer that says what makes no sense: nothing is used, nothing breaks. */
static void peers_may_lie(void)
{
    static const char *const offers[] = {"{}", "{\"segments\":7}", "{\"segments\":\"!\"}", "{\"segments\":\"AAAA\"}"};
    g_autoptr(json_object) many = drv_json_parse("{\"use\":\"/////////////////////w==\"}", "a", NULL);
    node h1, h2;

    node_init(&h1);
    node_init(&h2);
    session(&h1, &h2, 1, "u1", NULL, 0);
    wait_count(&h1, 1);
    for (guint i = 0; i < G_N_ELEMENTS(offers); i++) {
        g_autofree char *id = session_id((guint8)(20 + i));
        g_autoptr(drv_content_session) there = drv_content_begin(h1.content, id, "u1", "web", "cluster");
        g_autoptr(json_object) offer = drv_json_parse(offers[i], "a test", NULL);
        g_autoptr(json_object) answer = drv_content_answer(there, offer);
        struct drv_relay_config config = {0};

        g_assert_cmpint(answer != NULL, ==, i >= 2);
        drv_content_hand(there, &config);
        g_assert_cmpuint(read_all(&config), ==, 0);
    }
    {
        /* All bits, also of what was never offered. */
        g_autofree char *id = session_id(30);
        g_autoptr(drv_content_session) here = drv_content_begin(h1.content, id, "u9", "web", "cluster");
        g_autoptr(json_object) offer = drv_content_offer(here);
        struct drv_relay_config config = {0};

        g_assert_nonnull(offer);
        g_assert_true(drv_content_accept(here, many));
        drv_content_hand(here, &config);
        g_assert_cmpuint(read_all(&config), ==, MIB);
    }
    node_done(&h1);
    node_done(&h2);
}

/* ---- images of disks ---- */

#define UUID "6f0ad8c6-2c1e-4e0d-9d0c-0f5b6a1f0001"

static char *make_image(const char *directory, const char *name, gsize bytes)
{
    char *path = g_build_filename(directory, name, NULL);
    g_autofree char *content = g_malloc(bytes);
    g_autoptr(GError) error = NULL;

    memset(content, 'x', bytes);
    g_file_set_contents(path, content, (gssize)bytes, &error);
    g_assert_no_error(error);
    return path;
}

static gboolean keep_image(node *it, drv_hyper *hyper, const char *disk, const char *path)
{
    const drv_kept_image image = {
        .vm = "web", .uuid = UUID, .owner = "shop", .disk = disk, .path = path, .format = "raw"};
    gboolean taken = drv_kept_take(it->content, hyper, &image);

    g_assert_cmpint(g_file_test(path, G_FILE_TEST_EXISTS), ==, !taken);
    return taken;
}

/* Where what is kept of a disk is; NULL: nothing is. */
static char *kept_at(node *it, const char *owner, const char *disk)
{
    g_autoptr(json_object) found = drv_kept_find(it->content, UUID, owner, disk);

    return found ? g_strdup(drv_json_string(found, "path", NULL)) : NULL;
}

/* Record, rename, directories; away: file, directory, record. A power loss never leaves an image without its record. */
static void image_and_record_in_order(void)
{
    g_autofree char *one = NULL, *order = NULL, *root = NULL;
    const char *record, *renamed, *kept, *left;
    drv_hyper *hyper;
    node it;

    if (geteuid() != 0) {
        g_test_skip("only root can keep images");
        return;
    }
    hyper = drv_hyper_new("test:///default");
    node_init(&it);
    one = make_image(it.dir, "one.raw", 1 << 20);
    root = g_strconcat("flush ", strrchr(it.dir, '/') + 1, NULL);
    disk_log_begin();
    g_assert_true(keep_image(&it, hyper, "vda", one));
    order = disk_log_end();
    record = strstr(order, "flush drover.db-wal");
    renamed = strstr(order, "rename one.raw " UUID "-vda.raw");
    kept = renamed ? strstr(renamed, "flush " DRV_KEPT_DIR) : NULL;
    left = kept ? strstr(kept, root) : NULL;
    if (!record || !renamed || record > renamed || !left)
        g_error("in this order: %s", order);
    g_free(order);
    disk_log_begin();
    drv_kept_forget(it.content, UUID, 0);
    order = disk_log_end();
    renamed = strstr(order, "unlink " UUID "-vda.raw");
    kept = renamed ? strstr(renamed, "flush " DRV_KEPT_DIR) : NULL;
    record = strstr(order, "flush drover.db-wal");
    if (!kept || !record || record < kept)
        g_error("in this order: %s", order);
    drv_hyper_free(hyper);
    node_done(&it);
}

static void images_are_kept(void)
{
    g_autofree char *one = NULL, *two = NULL, *large = NULL, *hidden = NULL, *at = NULL, *again = NULL;
    g_autoptr(json_object) what = json_object_new_object();
    g_autoptr(json_object) answer = NULL;
    drv_hyper *hyper;
    node it;

    if (geteuid() != 0) {
        g_test_skip("only root can keep images");
        return;
    }
    hyper = drv_hyper_new("test:///default");
    node_init(&it);
    drv_content_close(it.content);
    node_open(&it, 5 << 20, 0);
    hidden = g_build_filename(it.dir, DRV_KEPT_DIR, NULL);

    /* More than the cap is not kept; what is, is for the same VM, disk and owner. */
    large = make_image(it.dir, "large.raw", 6 << 20);
    g_assert_false(keep_image(&it, hyper, "vda", large));
    one = make_image(it.dir, "one.raw", 2 << 20);
    g_assert_true(keep_image(&it, hyper, "vda", one));
    at = kept_at(&it, "shop", "vda");
    g_assert_true(at && g_str_has_prefix(at, hidden) && g_file_test(at, G_FILE_TEST_IS_REGULAR));
    g_assert_null(kept_at(&it, "other", "vda"));
    g_assert_null(kept_at(&it, NULL, "vda"));
    g_assert_null(kept_at(&it, "shop", "vdb"));
    g_assert_cmpuint(drv_kept_room(it.content, it.dir), >=, 2 << 20);
    g_assert_cmpint(count(&it), ==, 1);
    /* After a restart as well. */
    drv_content_close(it.content);
    node_open(&it, 5 << 20, 0);
    g_assert_cmpint(count(&it), ==, 1);

    /* A second disk fits, a newer image replaces an older one; the third is too much: the oldest goes. */
    two = make_image(it.dir, "two.raw", 2 << 20);
    g_assert_true(keep_image(&it, hyper, "vdb", two));
    g_free(one);
    one = make_image(it.dir, "one.raw", 2 << 20);
    g_assert_true(keep_image(&it, hyper, "vda", one));
    g_assert_cmpint(count(&it), ==, 2);
    g_free(two);
    two = make_image(it.dir, "three.raw", 2 << 20);
    g_assert_true(keep_image(&it, hyper, "vdc", two));
    g_assert_cmpint(count(&it), ==, 2);
    g_assert_null(kept_at(&it, "shop", "vdb"));

    /* Somebody needs more room than there is at all: all go, and the directory with them. */
    drv_kept_make_room(it.content, it.dir, 1);
    g_assert_cmpint(count(&it), ==, 2);
    drv_kept_make_room(it.content, it.dir, G_MAXUINT64);
    g_assert_cmpint(count(&it), ==, 0);
    g_assert_false(g_file_test(hidden, G_FILE_TEST_EXISTS));
    g_assert_cmpuint(drv_kept_room(it.content, it.dir), ==, 0);

    /* Pruned, forgotten, gone by itself, switched off. */
    g_free(one);
    one = make_image(it.dir, "one.raw", 1 << 20);
    g_assert_true(keep_image(&it, hyper, "vda", one));
    drv_json_set_string(what, "owner", "other");
    json_object_put(drv_content_prune(it.content, what, NULL));
    g_assert_cmpint(count(&it), ==, 1);
    drv_json_set_string(what, "owner", "shop");
    json_object_put(drv_content_prune(it.content, what, NULL));
    g_assert_cmpint(count(&it), ==, 0);
    for (guint i = 0; i < 3; i++) {
        g_free(one);
        one = make_image(it.dir, "one.raw", 1 << 20);
        g_assert_true(keep_image(&it, hyper, "vda", one));
        again = kept_at(&it, "shop", "vda");
        if (i == 0) {
            drv_kept_forget(it.content, "6f0ad8c6-2c1e-4e0d-9d0c-0f5b6a1f0002", 0);
            g_assert_cmpint(count(&it), ==, 1);
            drv_kept_forget(it.content, UUID, 4096);
        } else if (i == 1) {
            g_unlink(again);
        } else {
            json_object_put(what);
            what = json_object_new_object();
            drv_json_set_bool(what, "on", FALSE);
            json_object_put(drv_content_set(it.content, what, NULL));
        }
        g_assert_cmpint(count(&it), ==, 0);
        g_assert_false(g_file_test(again, G_FILE_TEST_EXISTS));
        g_clear_pointer(&again, g_free);
    }
    g_free(one);
    one = make_image(it.dir, "one.raw", 1 << 20);
    g_assert_false(keep_image(&it, hyper, "vda", one));
    answer = drv_content_list(it.content);
    g_assert_cmpint(drv_json_int(answer, "saved_bytes", 0), ==, 4096);
    drv_hyper_free(hyper);
    node_done(&it);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/run/content/agree", two_hosts_agree);
    g_test_add_func("/run/content/siblings-wait", siblings_wait);
    g_test_add_func("/run/content/restart", restart_keeps_it);
    g_test_add_func("/run/content/failures", failures_are_said);
    g_test_add_func("/run/content/damaged", damaged_goes);
    g_test_add_func("/run/content/caps", caps_hold);
    g_test_add_func("/run/content/prune-and-off", prune_and_off);
    g_test_add_func("/run/content/lies", peers_may_lie);
    g_test_add_func("/content/images-are-kept", images_are_kept);
    g_test_add_func("/content/image-and-record-in-order", image_and_record_in_order);
    return g_test_run();
}
