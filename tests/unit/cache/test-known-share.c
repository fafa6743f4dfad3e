/* SPDX-License-Identifier: Apache-2.0 */
/* What a target has of a VM's memory already: which content counts, for which nodes, and how it ages. */
#include <glib.h>

#include "model/json.h"
#include "cache/known-share.h"

#define MIB (G_GUINT64_CONSTANT(1) << 20)
#define NOW_MS 100000

/* 32 MiB, of which half are filled; @dirty_bps in turn. */
static drv_estimate_input guest(guint64 dirty_bps)
{
    return (drv_estimate_input){.memory_bytes = 32 * MIB,
                                .running = TRUE,
                                .sampled = TRUE,
                                .zero_share = 0.5,
                                .window_count = 1,
                                .windows = {{1, dirty_bps}}};
}

static json_object *parse(const char *text)
{
    json_object *object = drv_json_parse(text, "a test", NULL);

    g_assert_nonnull(object);
    return object;
}

static void test_what_counts(void)
{
    g_autoptr(json_object) kept =
        parse("{\"contents\": [{\"kind\": \"memory\", \"uuid\": \"a\", \"bytes\": 4194304, \"created_ms\": 90000},"
              " {\"kind\": \"memory\", \"uuid\": \"a\", \"bytes\": 4194304, \"created_ms\": 100000},"
              " {\"kind\": \"memory\", \"uuid\": \"b\", \"bytes\": 1048576, \"created_ms\": 100000},"
              " {\"kind\": \"disk\", \"uuid\": \"a\", \"bytes\": 8388608, \"created_ms\": 100000}]}");
    json_object *contents = drv_json_array(kept, "contents");
    drv_estimate_input in = guest(0);

    /* Both packs of its memory, and neither its disk nor another's memory. */
    g_assert_cmpfloat(drv_recycled_share(contents, "a", &in, NOW_MS), ==, 0.5);
    g_assert_cmpfloat(drv_recycled_share(contents, "c", &in, NOW_MS), ==, 0);
    g_assert_cmpfloat(drv_recycled_share(NULL, "a", &in, NOW_MS), ==, 0);
    in.sampled = FALSE;
    g_assert_cmpfloat(drv_recycled_share(contents, "a", &in, NOW_MS), ==, 0);
}

/* What was changed since the newest of it is no longer known. */
static void test_it_ages(void)
{
    g_autoptr(json_object) kept =
        parse("{\"contents\": [{\"kind\": \"memory\", \"uuid\": \"a\", \"bytes\": 16777216, \"created_ms\": 96000}]}");
    json_object *contents = drv_json_array(kept, "contents");
    drv_estimate_input in = guest(MIB);

    g_assert_cmpfloat(drv_recycled_share(contents, "a", &in, 96000), ==, 1);
    g_assert_cmpfloat(drv_recycled_share(contents, "a", &in, NOW_MS), <, 0.85);
    g_assert_cmpfloat(drv_recycled_share(contents, "a", &in, NOW_MS), >, 0.6);
    g_assert_cmpfloat(drv_recycled_share(contents, "a", &in, NOW_MS + 3600000), ==, 0);
}

static void test_where(void)
{
    g_autoptr(json_object) all =
        parse("{\"contents\": [{\"kind\": \"memory\", \"uuid\": \"a\", \"bytes\": 16777216, \"created_ms\": 100000}],"
              " \"moves\": [{\"source\": \"h1\", \"target\": \"h2\"}, {\"source\": \"h3\", \"target\": \"h1\"},"
              " {\"source\": \"h4\", \"target\": \"h3\"}]}");
    json_object *contents = drv_json_array(all, "contents"), *moves = drv_json_array(all, "moves");
    drv_estimate_input in = guest(0);
    g_autoptr(json_object) shares = drv_recycled_json("h1", contents, "a", moves, &in, NOW_MS);

    g_assert_cmpint(json_object_object_length(shares), ==, 2);
    g_assert_cmpfloat(json_object_get_double(json_object_object_get(shares, "h2")), ==, 1);
    g_assert_cmpfloat(json_object_get_double(json_object_object_get(shares, "h3")), ==, 1);
    g_assert_true(drv_recycled_is_at("h1", moves, "h3"));
    g_assert_false(drv_recycled_is_at("h1", moves, "h4"));
    g_assert_false(drv_recycled_is_at("h1", NULL, "h2"));
    g_assert_null(drv_recycled_json("h1", contents, "b", moves, &in, NOW_MS));
    g_assert_null(drv_recycled_json("h1", contents, "a", NULL, &in, NOW_MS));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/recycled/what-counts", test_what_counts);
    g_test_add_func("/recycled/ages", test_it_ages);
    g_test_add_func("/recycled/where", test_where);
    return g_test_run();
}
