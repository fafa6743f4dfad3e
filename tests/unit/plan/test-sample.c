/* SPDX-License-Identifier: Apache-2.0 */
/* Samples of a memory that is known: what is said of it must be near what it is. */
#include <math.h>
#include <string.h>

#include "plan/estimate-json.h"
#include "plan/history.h"
#include "plan/remaining.h"
#include "plan/sample.h"

#define PAGE 4096u
#define CHUNK 65536u
#define CHUNKS 64u
#define TOTAL 640u

static guint8 *memory_new(void)
{
    guint8 *memory = g_malloc0((gsize)TOTAL * CHUNK);
    GRand *rand = g_rand_new_with_seed(11);

    /* Of sixteen pages four are noise, four half noise and half a pattern, eight are zero. */
    for (gsize page = 0; page < TOTAL * 16; page++)
        for (guint at = 0; page % 16 < 8 && at < PAGE; at++)
            memory[page * PAGE + at] =
                page % 16 < 4 || at < PAGE / 2 ? (guint8)g_rand_int_range(rand, 0, 256) : (guint8)(at % 7);
    g_rand_free(rand);
    return memory;
}

static void assert_near(double value, double expected, double within)
{
    if (fabs(value - expected) > within)
        g_error("%g is not within %g of %g", value, within, expected);
}

static void see_all(drv_sample *sample, guint sweep, const guint *chunks, const guint8 *memory, gint64 now_us)
{
    for (guint i = 0; i < CHUNKS; i++)
        drv_sample_see(sample, sweep, i, memory + (gsize)chunks[i] * CHUNK, now_us);
}

static void test_shares(void)
{
    g_autofree guint8 *memory = memory_new();
    g_autoptr(drv_sample) sample = drv_sample_new(CHUNKS, CHUNK, (guint64)TOTAL * CHUNK);
    GRand *rand = g_rand_new_with_seed(5);
    guint chunks[CHUNKS];
    drv_estimate_input in = {0};

    drv_sample_choose(chunks, CHUNKS, TOTAL, rand);
    for (guint i = 0; i < CHUNKS; i++) {
        g_assert_cmpuint(chunks[i], <, TOTAL);
        g_assert_true(!i || chunks[i] > chunks[i - 1]);
    }
    see_all(sample, 0, chunks, memory, 1000000);
    /* Of every chunk one page is overwritten with noise, of another a few bytes change. */
    for (gsize chunk = 0; chunk < TOTAL; chunk++) {
        for (guint at = 0; at < PAGE; at++)
            memory[chunk * CHUNK + at] = (guint8)g_rand_int_range(rand, 0, 256);
        memcpy(memory + chunk * CHUNK + 9 * PAGE + 100, "changed", 7);
    }
    see_all(sample, 1, chunks, memory, 3000000);
    drv_sample_fill(sample, &in);
    g_assert_true(in.sampled);
    assert_near(in.zero_share, 0.5, 1e-9);
    assert_near(in.first_ratio, 0.25 + 0.125, 0.02);
    assert_near(in.again_ratio, 0.5, 0.03); /* one is its own size, the other next to nothing */
    g_assert_cmpuint(in.window_count, ==, 1);
    assert_near(in.windows[0].seconds, 2, 1e-9);
    assert_near((double)in.windows[0].bytes, TOTAL * 2.0 * PAGE, 1);
    g_rand_free(rand);
}

static void test_nothing_seen(void)
{
    g_autoptr(drv_sample) sample = drv_sample_new(4, CHUNK, 1 << 20);
    g_autofree guint8 *bytes = g_malloc0(CHUNK);
    drv_estimate_input in = {0};

    drv_sample_see(sample, 1, 0, bytes, 5);  /* was never seen first */
    drv_sample_see(sample, 99, 0, bytes, 5); /* too often */
    drv_sample_see(sample, 0, 99, bytes, 5); /* not of this sample */
    drv_sample_fill(sample, &in);
    g_assert_false(in.sampled);
}

static void test_document(void)
{
    /* clang-format off */
    drv_estimate_input in = {.memory_bytes = G_GUINT64_CONSTANT(5) << 40, .vcpus = 3, .running = TRUE,
                             .sampled = TRUE, .zero_share = 0.25, .first_ratio = 0.125,
                             .windows = {{0.5, 100}, {2, 300}}, .window_count = 2, .link_bps = 12345,
                             .vm = {.moves = 3, .time = 1.5}, .pair = {.moves = 9, .wire = 0.5}};
    /* clang-format on */
    drv_estimate_input out = {0};
    g_autoptr(json_object) json = drv_estimate_input_json(&in);
    g_autoptr(json_object) text = drv_json_parse(json_object_to_json_string(json), "it", NULL);
    g_autoptr(json_object) odd =
        drv_json_parse("{\"memory_bytes\":-5,\"first_ratio\":\"x\",\"windows\":[7,{},{\"seconds\":-1,\"bytes\":-1}],"
                       "\"vm\":7,\"vcpus\":1e300}",
                       "it", NULL);

    drv_estimate_input_read(&out, text);
    g_assert_cmpuint(out.memory_bytes, ==, in.memory_bytes);
    g_assert_cmpuint(out.link_bps, ==, in.link_bps);
    g_assert_cmpuint(out.vcpus, ==, 3);
    g_assert_true(out.running && out.sampled && !out.offline);
    g_assert_cmpfloat(out.first_ratio, ==, 0.125);
    g_assert_cmpuint(out.window_count, ==, 2);
    g_assert_cmpuint(out.windows[1].bytes, ==, 300);
    g_assert_cmpuint(out.vm.moves, ==, 3);
    g_assert_cmpfloat(out.pair.wire, ==, 0.5);
    drv_estimate_input_read(&out, odd);
    drv_estimate_input_read(&out, NULL);
    g_assert_cmpuint(out.memory_bytes, ==, 0);
    g_assert_cmpuint(out.window_count, ==, 3);
    g_assert_cmpuint(out.windows[2].bytes, ==, 0);
}

static void test_history(void)
{
    g_autoptr(json_object) document = json_object_new_object();
    g_autoptr(json_object) model = drv_json_parse("{\"copy_ms\":1000,\"wire_bytes\":500,\"pause_ms\":10}", "it", NULL);
    g_autoptr(json_object) without = drv_json_parse("{\"copy_ms\":null}", "it", NULL);
    drv_estimate_history history;

    g_assert_null(drv_history_entry(without, model, 0));
    for (int i = 1; i <= 9; i++) { /* 5 … 9 are kept */
        g_autofree char *text = g_strdup_printf(
            "{\"copy_ms\":%d,\"total_ms\":%d,\"wire_bytes\":1000,\"link_bps\":1,\"pause_ms\":null,\"fixed_ms\":%d,"
            "\"seen_before\":%s,\"predicted\":{\"time_ms\":{\"p50\":1000}}}",
            1000 + 100 * i, 1000 + 10 * i, i, i % 2 ? "true" : "false");
        g_autoptr(json_object) report = drv_json_parse(text, "it", NULL);
        g_autoptr(json_object) entry = drv_history_entry(report, model, i);

        drv_history_add(document, entry, 5);
    }
    history = drv_history_of(drv_json_array(document, "moves"));
    g_assert_cmpuint(history.moves, ==, 5);
    assert_near(history.time, 1.75, 1e-9); /* of the newest four */
    assert_near(history.wire, 2, 1e-9);
    g_assert_cmpfloat(history.pause, ==, 0);
    g_assert_cmpuint(drv_history_fixed_ms(drv_json_array(document, "moves")), ==, 7);
    g_assert_cmpuint(history.seen.moves, ==, 3); /* the fifth, the seventh and the ninth move */
    assert_near(history.seen.time, log(1.09), 1e-9);
    assert_near(history.unseen.time, log(1.08), 1e-9);
    g_assert_cmpuint(drv_history_of(NULL).moves, ==, 0);
}

/* What is not sending in a pause is learnt by itself, and is never most of nothing. */
static void test_handover(void)
{
    static const struct {
        double model_ms, handover_ms;
        int actual_ms;
        guint64 learnt_ms;
    } rows[] = {{60, 40, 100, 80}, {60, 40, 50, 30}, {200, 40, 100, 30}};

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(json_object) document = json_object_new_object();
        g_autoptr(json_object) entry = NULL;
        g_autofree char *model = g_strdup_printf("{\"copy_ms\":1,\"pause_ms\":%g,\"handover_ms\":%g}", rows[i].model_ms,
                                                 rows[i].handover_ms);
        g_autofree char *report = g_strdup_printf("{\"copy_ms\":1,\"pause_ms\":%d}", rows[i].actual_ms);
        g_autoptr(json_object) said = drv_json_parse(model, "it", NULL);
        g_autoptr(json_object) came = drv_json_parse(report, "it", NULL);

        entry = drv_history_entry(came, said, 0);
        drv_history_add(document, entry, 5);
        g_assert_cmpuint(drv_history_handover_ms(drv_json_array(document, "moves")), ==, rows[i].learnt_ms);
    }
}

/* Gone through with a copy that does what was expected, the remaining time falls with the clock. */
static void test_remaining(void)
{
    /* clang-format off */
    drv_estimate_input in = {.memory_bytes = 200 << 20, .running = TRUE, .sampled = TRUE,
                             .zero_share = 0.5, .first_ratio = 0.5, .again_ratio = 0.5,
                             .link_bps = 10 << 20, .fixed_ms = 1000,
                             .windows = {{1, 0}}, .window_count = 1}; /* it changes nothing */
    /* clang-format on */
    drv_estimate estimate;
    gint64 whole;

    drv_plan_estimate(&in, &estimate);
    whole = (gint64)estimate.model_copy_ms;
    for (guint s = 1; s < 10; s++) {
        drv_estimate_now now = {.round_s = s,
                                .rounds = 1,
                                .memory_total_bytes = in.memory_bytes,
                                .left_bytes = in.memory_bytes - s * (20 << 20),
                                .wire_bytes = s * (10 << 20),
                                .timed_bytes = s * (10 << 20),
                                .timed_s = s};
        gint64 left = drv_plan_remaining_ms(&in, &now);

        assert_near((double)left, (double)whole - s * 1000 + 400, 250);
    }
    /* The link has half of what was thought: what is left takes twice as long. */
    {
        /* clang-format off */
        drv_estimate_now now = {.round_s = 10, .rounds = 1, .memory_total_bytes = in.memory_bytes,
                                .left_bytes = in.memory_bytes / 2, .wire_bytes = 50 << 20,
                                .timed_bytes = 50 << 20, .timed_s = 10, .link_bps = 5 << 20};
        /* clang-format on */

        assert_near((double)drv_plan_remaining_ms(&in, &now), 10400, 300);
    }
    /* A guest that dirties more than goes: there is no end. */
    in.window_count = 1;
    in.windows[0] = (drv_dirty_window){0.1, 150 << 20};
    {
        drv_estimate_now now = {.rounds = 1, .memory_total_bytes = in.memory_bytes, .left_bytes = in.memory_bytes};

        g_assert_cmpint(drv_plan_remaining_ms(&in, &now), ==, -1);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sample/shares", test_shares);
    g_test_add_func("/sample/nothing-seen", test_nothing_seen);
    g_test_add_func("/estimate/document", test_document);
    g_test_add_func("/estimate/history-of-moves", test_history);
    g_test_add_func("/estimate/handover", test_handover);
    g_test_add_func("/estimate/remaining", test_remaining);
    return g_test_run();
}
