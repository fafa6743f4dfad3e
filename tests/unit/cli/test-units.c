/* SPDX-License-Identifier: Apache-2.0 */
/* Durations, rates and sizes: what is understood, what is refused, what is written. */
#include <glib.h>

#include "cli/units.h"
#include "hyper/gerror.h"

static void test_duration(void)
{
    static const struct {
        const char *text;
        guint64 ms;
    } good[] = {{"200ms", 200},  {"1.5s", 1500},    {"5m", 300000},  {"5min", 300000},
                {"1h", 3600000}, {"2d", 172800000}, {"30 S", 30000}, {"1ms", 1}};
    static const char *const bad[] = {"",      "200",   "ms",  "-5s",   "0s",  "5 parsecs", "nan",
                                      "1e99s", "0.1ms", "inf", "0x10s", " 5s", "1.2.3s",    "1e3ms"};
    guint64 ms;

    for (gsize i = 0; i < G_N_ELEMENTS(good); i++) {
        g_assert_true(drv_units_parse_duration(good[i].text, &ms, NULL));
        g_assert_cmpuint(ms, ==, good[i].ms);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        g_test_message("%s", bad[i]);
        g_assert_false(drv_units_parse_duration(bad[i], &ms, &error));
        g_assert_error(error, DRV_ERROR, DRV_ERROR_INVALID);
    }
}

static void test_rate(void)
{
    static const struct {
        const char *text;
        guint64 bps;
    } good[] = {{"500mbit", 62500000},
                {"1gbit", 125000000},
                {"1Gbit/s", 125000000},
                {"80MB/s", 80000000},
                {"1GiB/s", 1073741824},
                {"8 kbit", 1000},
                {"1B", 1}};
    static const char *const bad[] = {"", "500", "500m", "1s", "0mbit", "-1mbit", "1 gbit/h"};
    guint64 bps;

    for (gsize i = 0; i < G_N_ELEMENTS(good); i++) {
        g_assert_true(drv_units_parse_rate(good[i].text, &bps, NULL));
        g_assert_cmpuint(bps, ==, good[i].bps);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        g_test_message("%s", bad[i]);
        g_assert_false(drv_units_parse_rate(bad[i], &bps, &error));
        g_assert_error(error, DRV_ERROR, DRV_ERROR_INVALID);
    }
}

static void check(char *text, const char *wanted)
{
    g_assert_cmpstr(text, ==, wanted);
    g_free(text);
}

static void test_format(void)
{
    check(drv_units_duration(0), "0 ms");
    check(drv_units_duration(999), "999 ms");
    check(drv_units_duration(12345), "12.3 s");
    check(drv_units_duration(59940), "59.9 s");
    check(drv_units_duration(59960), "1 min 0 s");
    check(drv_units_duration(303000), "5 min 3 s");
    check(drv_units_duration(3599600), "1 h 0 min");
    check(drv_units_duration(2 * 86400000LL + 3 * 3600000), "2 d 3 h");
    check(drv_units_bytes(0), "0 B");
    check(drv_units_bytes(1023), "1023 B");
    check(drv_units_bytes(1024), "1.0 KiB");
    check(drv_units_bytes(1048575), "1.0 MiB");
    check(drv_units_bytes(705 * 1048576LL), "705 MiB");
    check(drv_units_bytes(G_MAXUINT64), "16384 PiB");
    check(drv_units_rate(112 * 1048576LL), "112 MiB/s");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/units/duration", test_duration);
    g_test_add_func("/cli/units/rate", test_rate);
    g_test_add_func("/cli/units/format", test_format);
    return g_test_run();
}
