/* SPDX-License-Identifier: Apache-2.0 */
/* Progress: never falls, whatever libvirt's numbers do, and ends at 100. */
#include "move/progress.h"

#define MIB (G_GUINT64_CONSTANT(1) << 20)

static double percent_of(json_object *object)
{
    json_object *value = NULL;

    g_assert_true(json_object_object_get_ex(object, "percent", &value));
    return json_object_get_double(value);
}

static void test_never_falls(void)
{
    drv_progress progress = {.memory_bytes = 1024 * MIB};
    struct drv_relay_status relay = {0};
    g_autoptr(GRand) random = g_rand_new_with_seed(7);
    double last = 0;

    for (gint64 now_ms = 1; now_ms < 20000; now_ms += 50) {
        drv_job_stats stats = {.active = g_rand_boolean(random)};
        g_autoptr(json_object) object = NULL;

        stats.disk_total_bytes = 100 * MIB;
        stats.disk_remaining_bytes = (guint64)g_rand_int_range(random, 0, 100) * MIB;
        if (g_rand_boolean(random)) {
            stats.memory_total_bytes = 1024 * MIB;
            stats.memory_remaining_bytes = (guint64)g_rand_int_range(random, 0, 1100) * MIB;
        }
        stats.dirty_rate_bps = (guint64)g_rand_int_range(random, 0, 1000) * MIB;
        relay.channel[DRV_CHANNEL_RAM].local_in_bytes += (guint64)g_rand_int_range(random, 0, 9) * MIB;
        object = drv_progress_update(&progress, DRV_STATE_COPYING_MEMORY, &stats, &relay, now_ms);
        g_assert_cmpfloat(percent_of(object), >=, last);
        g_assert_cmpfloat(percent_of(object), <=, 99);
        last = percent_of(object);
    }
    g_assert_cmpfloat(last, >, 0);
}

static void test_ends_at_hundred(void)
{
    drv_progress progress = {.memory_bytes = 1024 * MIB};
    drv_job_stats stats = {0};
    struct drv_relay_status relay = {0};
    g_autoptr(json_object) object = drv_progress_update(&progress, DRV_STATE_DONE, &stats, &relay, 1);

    g_assert_cmpfloat(percent_of(object), ==, 100);
}

static void test_remaining_counts_dirtying(void)
{
    drv_progress progress = {.memory_bytes = 1024 * MIB};
    drv_job_stats stats = {.active = TRUE,
                           .memory_total_bytes = 1024 * MIB,
                           .memory_remaining_bytes = 500 * MIB,
                           .dirty_rate_bps = 50 * MIB};
    struct drv_relay_status relay = {0};
    g_autoptr(json_object) first = NULL, second = NULL, third = NULL;

    first = drv_progress_update(&progress, DRV_STATE_COPYING_MEMORY, &stats, &relay, 1000);
    relay.channel[DRV_CHANNEL_RAM].local_in_bytes = 100 * MIB;
    second = drv_progress_update(&progress, DRV_STATE_COPYING_MEMORY, &stats, &relay, 2000);
    g_assert_cmpint(drv_json_int(second, "rate_bps", 0), ==, 100 * MIB);
    g_assert_cmpint(drv_json_int(first, "remaining_ms", -1), ==, -1);
    g_assert_cmpint(drv_json_int(second, "remaining_ms", -1), ==, 10000);
    /* Dirtied as fast as it is sent: nobody knows. */
    stats.dirty_rate_bps = 200 * MIB;
    third = drv_progress_update(&progress, DRV_STATE_COPYING_MEMORY, &stats, &relay, 2001);
    g_assert_cmpint(drv_json_int(third, "remaining_ms", -1), ==, -1);
}

/* With a prediction: steady as the copy is, the end stays where it is; and slower when the link is. */
static void test_fitted(void)
{
    /* clang-format off */
    const drv_estimate_input expected = {.memory_bytes = 1024 * MIB, .running = TRUE, .sampled = TRUE,
                                         .first_ratio = 0.5, .again_ratio = 0.5, .link_bps = 50 * MIB,
                                         .windows = {{1, 0}}, .window_count = 1, .fixed_ms = 1000};
    /* clang-format on */
    drv_progress progress = {.memory_bytes = 1024 * MIB, .expected = &expected};
    struct drv_relay_status relay = {0};
    drv_job_stats stats = {.active = TRUE, .memory_total_bytes = 1024 * MIB, .rounds = 1};
    gint64 before = G_MAXINT64;

    for (guint s = 1; s <= 9; s++) {
        g_autoptr(json_object) object = NULL;
        gint64 left;

        stats.memory_remaining_bytes = (1024 - s * 100) * MIB;
        relay.channel[DRV_CHANNEL_RAM].local_in_bytes = s * 100 * MIB;
        relay.channel[DRV_CHANNEL_RAM].coded_bytes = s * 50 * MIB;
        object = drv_progress_update(&progress, DRV_STATE_COPYING_MEMORY, &stats, &relay, s * 1000);
        left = drv_json_int(object, "remaining_ms", -1);
        g_assert_cmpint(ABS(left - (gint64)((1024 - s * 100) * 10 + 400)), <, 300);
        g_assert_cmpint(left, <, before);
        before = left;
    }
    for (guint i = 0; i < 20; i++) {
        g_autoptr(json_object) object = NULL;

        relay.link_bps = 5 * MIB;
        stats.memory_remaining_bytes = (119 - 5 * i) * MIB; /* in half a second */
        relay.channel[DRV_CHANNEL_RAM].local_in_bytes += 5 * MIB;
        relay.channel[DRV_CHANNEL_RAM].coded_bytes += 5 * MIB / 2;
        object = drv_progress_update(&progress, DRV_STATE_COPYING_MEMORY, &stats, &relay, 9500 + 500 * i);
        before = drv_json_int(object, "remaining_ms", -1);
    }
    g_assert_cmpint(ABS(before - 2800), <, 400); /* 24 MiB, half of it on the wire, at 5 MiB/s, and the end */
}

static void test_a_stalled_link_has_no_end(void)
{
    drv_progress progress = {.memory_bytes = 1024 * MIB};
    drv_job_stats stats = {.active = TRUE, .memory_total_bytes = 1024 * MIB, .memory_remaining_bytes = 500 * MIB};
    struct drv_relay_status relay = {0};
    gint64 left_ms = 0;

    for (gint64 now_ms = 1000; now_ms < 60000; now_ms += 200) {
        g_autoptr(json_object) object = NULL;

        if (now_ms < 5000)
            relay.channel[DRV_CHANNEL_RAM].local_in_bytes += 10 * MIB;
        object = drv_progress_update(&progress, DRV_STATE_COPYING_MEMORY, &stats, &relay, now_ms);
        left_ms = drv_json_int(object, "remaining_ms", -1);
        if (now_ms > 2000 && now_ms < 5000)
            g_assert_cmpint(left_ms, >, 0);
    }
    g_assert_cmpint(left_ms, ==, -1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/progress/fitted", test_fitted);
    g_test_add_func("/progress/never-falls", test_never_falls);
    g_test_add_func("/progress/ends-at-hundred", test_ends_at_hundred);
    g_test_add_func("/progress/remaining-counts-dirtying", test_remaining_counts_dirtying);
    g_test_add_func("/progress/a-stalled-link-has-no-end", test_a_stalled_link_has_no_end);
    return g_test_run();
}
