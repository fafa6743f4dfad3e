/* SPDX-License-Identifier: Apache-2.0 */
/* The allowed pause: low first, widened by rounds that do not end in a switch, never above the limit. */
#include "run/steer.h"

static void test_starts_low(void)
{
    drv_steer steer;

    g_assert_cmpuint(drv_steer_begin(&steer, 300, 0), ==, DRV_STEER_START_MS);
    g_assert_cmpuint(drv_steer_begin(&steer, 5, 0), ==, 5);
}

static void test_widens_to_the_limit(void)
{
    drv_steer steer;
    drv_job_stats stats = {0};
    guint allowed = drv_steer_begin(&steer, 300, 0);

    for (guint round = 1; round < 40; round++) {
        guint next;

        stats.rounds = round;
        next = drv_steer_next(&steer, &stats, 1000 * round);
        if (round < 3)
            g_assert_cmpuint(next, ==, 0);
        if (next) {
            g_assert_cmpuint(next, >, allowed);
            g_assert_cmpuint(next, <=, 300);
            allowed = next;
        }
    }
    g_assert_cmpuint(allowed, ==, 300);
}

static void test_waits_for_a_round_and_for_time(void)
{
    drv_steer steer;
    drv_job_stats stats = {.rounds = 5};

    drv_steer_begin(&steer, 300, 0);
    g_assert_cmpuint(drv_steer_next(&steer, &stats, 299), ==, 0);
    g_assert_cmpuint(drv_steer_next(&steer, &stats, 300), ==, 30);
    g_assert_cmpuint(drv_steer_next(&steer, &stats, 5000), ==, 0);
    stats.rounds = 6;
    g_assert_cmpuint(drv_steer_next(&steer, &stats, 5000), ==, 45);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/steer/starts-low", test_starts_low);
    g_test_add_func("/steer/widens-to-the-limit", test_widens_to_the_limit);
    g_test_add_func("/steer/waits", test_waits_for_a_round_and_for_time);
    return g_test_run();
}
