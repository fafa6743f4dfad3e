/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The estimator: the curve against guests that really write, the rounds against a copy that is
 * gone through page by page, and what must hold whatever the input is.
 */
#include <math.h>
#include <string.h>

#include "plan/estimate.h"
#include "plan/rounds.h"

#define PAGE 4096.0
#define MIB 1048576.0

/* A guest that writes pages of a set, at random or in turn. */
typedef struct {
    guint pages;
    double per_s;
    gboolean in_turn;
    double *written_s; /* when last; -1: never */
    double due;
    guint next;
    GRand *rand;
} guest;

static guest *guest_new(guint pages, double per_s, gboolean in_turn)
{
    guest *it = g_new0(guest, 1);

    *it = (guest){.pages = pages, .per_s = per_s, .in_turn = in_turn, .rand = g_rand_new_with_seed(7)};
    it->written_s = g_new(double, pages);
    for (guint i = 0; i < pages; i++)
        it->written_s[i] = -1;
    return it;
}

static void guest_free(guest *it)
{
    g_rand_free(it->rand);
    g_free(it->written_s);
    g_free(it);
}

static void guest_run(guest *it, double from_s, double to_s)
{
    while (it->due < to_s) {
        guint page = it->in_turn ? it->next++ % it->pages : (guint)g_rand_int_range(it->rand, 0, (gint)it->pages);

        if (it->due >= from_s)
            it->written_s[page] = it->due;
        it->due += 1 / it->per_s;
    }
}

static guint written_since(const guest *it, double since_s)
{
    guint count = 0;

    for (guint i = 0; i < it->pages; i++)
        count += it->written_s[i] >= since_s;
    return count;
}

static void assert_near(double value, double expected, double share)
{
    if (fabs(value - expected) > share * expected)
        g_error("%g is not within %g %% of %g", value, 100 * share, expected);
}

static void test_curve(gconstpointer data)
{
    gboolean in_turn = GPOINTER_TO_INT(data);
    static const double at_s[] = {0.5, 1, 2, 4};
    guest *it = guest_new(4000, 1500, in_turn);
    drv_dirty_window windows[G_N_ELEMENTS(at_s)];
    drv_dirty_curve curve;
    double before = 0;

    for (guint i = 0; i < G_N_ELEMENTS(at_s); i++) {
        guest_run(it, before, at_s[i]);
        before = at_s[i];
        windows[i] = (drv_dirty_window){at_s[i], (guint64)(written_since(it, 0) * PAGE)};
    }
    curve = drv_dirty_curve_fit(windows, G_N_ELEMENTS(windows), (guint64)(65536 * PAGE));
    for (double s = 0.25; s < 10; s += 0.75) {
        guest_run(it, before, s);
        before = MAX(s, before);
        if (s > 4) /* in turn nothing is seen of the set's end before it is reached */
            assert_near(drv_dirty_curve_bytes(&curve, s), written_since(it, 0) * PAGE, in_turn ? 4 : 0.08);
        else
            g_assert_cmpfloat(drv_dirty_curve_bytes(&curve, s), >, 0);
    }
    g_assert_true(curve.in_turn == in_turn);
    guest_free(it);
}

static void test_curve_edges(void)
{
    drv_dirty_window none[] = {{0, 100}, {1, 0}, {2, 0}};
    drv_dirty_window one[] = {{1, 1 << 20}};
    drv_dirty_curve curve = drv_dirty_curve_fit(NULL, 0, 1 << 30);

    g_assert_cmpfloat(drv_dirty_curve_bytes(&curve, 10), ==, 0);
    curve = drv_dirty_curve_fit(none, G_N_ELEMENTS(none), 1 << 30);
    g_assert_cmpfloat(drv_dirty_curve_bytes(&curve, 10), ==, 0);
    curve = drv_dirty_curve_fit(one, 1, 0); /* more than the memory that it has */
    assert_near(drv_dirty_curve_bytes(&curve, 1), 1 << 20, 0.05);
    g_assert_cmpfloat(drv_dirty_curve_bytes(&curve, 1e9), <=, 1 << 20);
}

/* The mean is the mean: of D, in small steps. */
static void test_curve_mean(void)
{
    for (int in_turn = 0; in_turn < 2; in_turn++) {
        drv_dirty_curve curve = {.rate_bps = 8e6, .set_bytes = 3e7, .in_turn = in_turn};

        for (double s = 0.5; s < 20; s *= 2) {
            double sum = 0;

            for (int i = 0; i < 1000; i++)
                sum += drv_dirty_curve_bytes(&curve, s * (i + 0.5) / 1000);
            assert_near(drv_dirty_curve_mean(&curve, s), sum / 1000, 0.01);
        }
    }
}

/*
 * A copy page by page: rounds as QEMU makes them, pages that have not changed since they were sent cost
 * nothing on the wire. It ends when what is dirty goes within the pause, after at least three rounds.
 */
static double copy(guest *it, guint all, double page_s, double pause_s, guint rounds, double *wire)
{
    double *sent_s = g_new0(double, it->pages);
    gboolean *dirty = g_new(gboolean, it->pages);
    double now = all * page_s;
    double began = 0;

    for (guint i = 0; i < it->pages; i++)
        sent_s[i] = (i + 0.5) * page_s * all / it->pages;
    guest_run(it, 0, now);
    *wire = all;
    for (guint round = 1; round < rounds; round++) {
        double since = began;
        guint count = 0;

        for (guint i = 0; i < it->pages; i++)
            count += dirty[i] = it->written_s[i] >= since;
        began = now;
        if (count * page_s <= pause_s && round >= 3)
            break;
        for (guint i = 0; i < it->pages; i++) {
            if (!dirty[i])
                continue;
            if (it->written_s[i] >= sent_s[i]) {
                *wire += 1;
                guest_run(it, now, now + page_s);
                now += page_s;
            }
            sent_s[i] = now;
        }
    }
    g_free(dirty);
    g_free(sent_s);
    return now;
}

static void test_rounds(void)
{
    static const struct {
        guint pages;
        double per_s;
        gboolean in_turn;
    } cases[] = {{8000, 800, FALSE},   {8000, 800, TRUE},   {2000, 2000, FALSE},
                 {16000, 1600, FALSE}, {16000, 100, FALSE}, {1, 0.001, FALSE}};
    const guint all = 20000;
    const double page_s = PAGE / 25e6;

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        guest *it = guest_new(cases[i].pages, cases[i].per_s, cases[i].in_turn);
        /* clang-format off */
        drv_rounds_input in = {.memory_bytes = all * PAGE, .filled_bytes = all * PAGE,
                               .first_wire = all * PAGE, .again_ratio = 1, .link_bps = 25e6,
                               .qemu_bps = 1e9, .scan_bps = 1e10, .max_pause_s = 0.3,
                               .dirty = {.rate_bps = cases[i].per_s * PAGE,
                                         .set_bytes = cases[i].pages * PAGE,
                                         .in_turn = cases[i].in_turn}};
        /* clang-format on */
        drv_rounds out;
        double wire, seconds;

        drv_rounds_simulate(&in, &out);
        g_assert_cmpint(out.end, ==, DRV_ROUNDS_END);
        seconds = copy(it, all, page_s, 0.3, out.rounds, &wire);
        assert_near(out.seconds, seconds, 0.15);
        assert_near(out.wire_bytes, wire * PAGE, 0.15);
        g_assert_cmpfloat(out.pause_s, <=, 0.3);
        guest_free(it);
    }
}

static drv_estimate_input usual(void)
{
    return (drv_estimate_input){.memory_bytes = G_GUINT64_CONSTANT(1) << 30,
                                .vcpus = 1,
                                .running = TRUE,
                                .sampled = TRUE,
                                .zero_share = 0.5,
                                .first_ratio = 0.25,
                                .again_ratio = 0.3,
                                .windows = {{1, 4 << 20}, {4, 8 << 20}},
                                .window_count = 2,
                                .link_bps = 12500000,
                                .max_pause_ms = 300};
}

static void test_usual(void)
{
    drv_estimate_input in = usual();
    drv_estimate out;

    in.fixed_ms = 1000;
    drv_plan_estimate(&in, &out);
    g_assert_cmpint(out.verdict, ==, DRV_VERDICT_CONVERGES);
    g_assert_cmpint(out.basis, ==, DRV_BASIS_MODEL);
    assert_near((double)out.wire_bytes.p50, 0.25 * MIB * 1024, 0.1);
    assert_near((double)out.time_ms.p50, 1000 + 0.25 * MIB * 1024 / 12500, 0.1);
    g_assert_cmpuint(out.time_ms.p90, >, out.time_ms.p50);
    g_assert_cmpuint(out.pause_ms.p50, <, 300);
}

static void test_verdicts(void)
{
    drv_estimate_input in = usual();
    drv_estimate out;

    /* 200 MiB of work, all of it again each second: not over 100 Mbit/s. */
    in.windows[0] = (drv_dirty_window){1, 190 << 20};
    in.windows[1] = (drv_dirty_window){4, 200 << 20};
    in.max_time_ms = 60000;
    drv_plan_estimate(&in, &out);
    g_assert_cmpint(out.verdict, ==, DRV_VERDICT_REFUSE);
    g_assert_nonnull(strstr(out.why, "post-copy"));
    in.may_post_copy = TRUE;
    drv_plan_estimate(&in, &out);
    g_assert_cmpint(out.verdict, ==, DRV_VERDICT_POST_COPY);
    in.post_copy = TRUE;
    drv_plan_estimate(&in, &out);
    g_assert_cmpint(out.verdict, ==, DRV_VERDICT_POST_COPY);
    g_assert_cmpuint(out.rounds, ==, 1);

    /* Over 1 Gbit/s it converges. */
    in = usual();
    in.link_bps = 125000000;
    in.windows[0] = (drv_dirty_window){1, 40 << 20};
    in.windows[1] = (drv_dirty_window){4, 60 << 20};
    drv_plan_estimate(&in, &out);
    g_assert_cmpint(out.verdict, ==, DRV_VERDICT_CONVERGES);
    in = usual();
    in.offline = TRUE;
    in.disk_bytes = 125000000;
    in.disk_ratio = 1;
    drv_plan_estimate(&in, &out);
    assert_near((double)out.time_ms.p50, (double)out.fixed_ms + 10000, 0.01);
    g_assert_cmpuint(out.pause_ms.p50, ==, 0);
}

/* What the target has of disks in an older state is hardly sent. */
static void test_older_disks(void)
{
    drv_estimate_input in = {.offline = TRUE, .disk_bytes = 1000000000, .link_bps = 12500000};
    drv_estimate none, half, all;

    drv_plan_estimate(&in, &none);
    in.disk_older_bytes = in.disk_bytes / 2;
    drv_plan_estimate(&in, &half);
    in.disk_older_bytes = in.disk_bytes;
    drv_plan_estimate(&in, &all);
    g_assert_cmpfloat(all.model_wire_bytes, <, 0.1 * none.model_wire_bytes);
    assert_near(half.model_wire_bytes, (all.model_wire_bytes + none.model_wire_bytes) / 2, 0.001);
    g_assert_cmpuint(all.time_ms.p50, <, none.time_ms.p50 / 4);
    in.disk_older_bytes = 2 * in.disk_bytes; /* nonsense */
    drv_plan_estimate(&in, &half);
    g_assert_cmpfloat(half.model_wire_bytes, ==, all.model_wire_bytes);
}

static void test_history(void)
{
    drv_estimate_input in = usual();
    drv_estimate plain, pair, vm;

    drv_plan_estimate(&in, &plain);
    in.pair = (drv_estimate_history){.moves = 50, .link_moves = 50, .time = 1.5, .wire = 1.2, .pause = 2};
    drv_plan_estimate(&in, &pair);
    g_assert_cmpint(pair.basis, ==, DRV_BASIS_PAIR_HISTORY);
    g_assert_cmpuint(pair.wire_bytes.p50, >, plain.wire_bytes.p50);
    g_assert_cmpuint(pair.time_ms.p50, >, plain.time_ms.p50);
    in.vm = (drv_estimate_history){.moves = 50, .link_moves = 50, .time = 0.8, .wire = 0.9, .pause = 1};
    drv_plan_estimate(&in, &vm);
    g_assert_cmpint(vm.basis, ==, DRV_BASIS_VM_HISTORY);
    assert_near((double)vm.wire_bytes.p50, 0.9 * (double)plain.wire_bytes.p50, 0.02);
    /* What the correction is made of does not depend on the correction. */
    g_assert_cmpfloat(vm.model_wire_bytes, ==, plain.model_wire_bytes);
    g_assert_cmpfloat(vm.model_copy_ms, ==, plain.model_copy_ms);
}

/* Nothing known, or nonsense: still figures that can be shown. */
static void test_anything(void)
{
    GRand *rand = g_rand_new_with_seed(3);
    drv_estimate_input in = {0};
    drv_estimate out;

    drv_plan_estimate(&in, &out);
    for (guint i = 0; i < 20000; i++) {
        g_autoptr(json_object) json = NULL;

        in = (drv_estimate_input){.memory_bytes = (guint64)pow(2, g_rand_double_range(rand, 0, 44)),
                                  .running = g_rand_boolean(rand),
                                  .offline = g_rand_int_range(rand, 0, 9) == 0,
                                  .sampled = g_rand_boolean(rand),
                                  .zero_share = g_rand_double(rand),
                                  .first_ratio = g_rand_double(rand),
                                  .again_ratio = g_rand_double(rand),
                                  .recycled_share = g_rand_double(rand),
                                  .window_count = (guint)g_rand_int_range(rand, 0, 9),
                                  .disk_bytes = (guint64)g_rand_int(rand),
                                  .link_bps = g_rand_int(rand) >> g_rand_int_range(rand, 0, 31),
                                  .bandwidth_bps = g_rand_boolean(rand) ? g_rand_int(rand) : 0,
                                  .rtt_us = (guint64)g_rand_int_range(rand, 0, 1000000),
                                  .max_pause_ms = (guint64)g_rand_int_range(rand, 0, 2000),
                                  .max_time_ms = (guint64)g_rand_int_range(rand, 0, 2) * 60000,
                                  .may_post_copy = g_rand_boolean(rand),
                                  .post_copy = g_rand_int_range(rand, 0, 5) == 0,
                                  .vm = {.moves = (guint)g_rand_int_range(rand, 0, 3), .time = g_rand_double(rand)}};
        for (guint w = 0; w < DRV_ESTIMATE_WINDOWS; w++)
            in.windows[w] = (drv_dirty_window){g_rand_double_range(rand, 0, 60), g_rand_int(rand)};
        drv_plan_estimate(&in, &out);
        g_assert_cmpint(out.verdict, <, DRV_VERDICTS);
        g_assert_true(isfinite(out.model_copy_ms) && isfinite(out.model_pause_ms));
        g_assert_cmpuint(out.time_ms.p50, <=, out.time_ms.p90);
        g_assert_cmpuint(out.time_ms.p90, <, G_MAXINT64);
        g_assert_cmpuint(out.wire_bytes.p90, <, G_MAXINT64);
        g_assert_cmpuint(out.pause_ms.p50, <=, out.pause_ms.p90);
        g_assert_cmpstr(out.why, !=, "");
        json = drv_estimate_json(&out);
        g_assert_nonnull(drv_json_object(json, "time_ms"));
    }
    g_rand_free(rand);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/estimate/curve/at-random", GINT_TO_POINTER(FALSE), test_curve);
    g_test_add_data_func("/estimate/curve/in-turn", GINT_TO_POINTER(TRUE), test_curve);
    g_test_add_func("/estimate/curve/edges", test_curve_edges);
    g_test_add_func("/estimate/curve/mean", test_curve_mean);
    g_test_add_func("/estimate/rounds", test_rounds);
    g_test_add_func("/estimate/usual", test_usual);
    g_test_add_func("/estimate/verdicts", test_verdicts);
    g_test_add_func("/estimate/history", test_history);
    g_test_add_func("/estimate/older-disks", test_older_disks);
    g_test_add_func("/estimate/anything", test_anything);
    return g_test_run();
}
