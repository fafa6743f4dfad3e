/* SPDX-License-Identifier: Apache-2.0 */
/* Predicted beside actual: which moves count, and how the figures are made. */
#include <math.h>

#include "plan/accuracy.h"

static void add_job(json_object *jobs, const char *outcome, gboolean seen, gint64 actual, gint64 p50, gint64 p90)
{
    g_autofree char *text =
        g_strdup_printf("{\"report\":{\"outcome\":\"%s\",\"seen_before\":%s,\"total_ms\":%" G_GINT64_FORMAT
                        ",\"wire_bytes\":100,\"pause_ms\":null,\"predicted\":{\"time_ms\":{\"p50\":%" G_GINT64_FORMAT
                        ",\"p90\":%" G_GINT64_FORMAT "},\"wire_bytes\":{\"p50\":100,\"p90\":120}}}}",
                        outcome, seen ? "true" : "false", actual, p50, p90);

    json_object_array_add(jobs, drv_json_parse(text, "a job", NULL));
}

static double get(json_object *object, const char *group, const char *figure, const char *key)
{
    json_object *value = json_object_object_get(drv_json_object(drv_json_object(object, group), figure), key);

    return value ? json_object_get_double(value) : NAN;
}

static void test_figures(void)
{
    g_autoptr(json_object) jobs = json_object_new_array();
    g_autoptr(json_object) accuracy = NULL;

    for (int i = 1; i <= 10; i++) /* 1 % to 10 % too low, of which those above 5 % exceed p90 */
        add_job(jobs, "done", i % 2, 1000, 1000 - 10 * i, 1000 - 10 * i + 50);
    add_job(jobs, "rolled-back", TRUE, 1000, 1, 1);
    json_object_array_add(jobs,
                          drv_json_parse("{\"report\":{\"outcome\":\"done\",\"predicted\":null}}", "a job", NULL));
    json_object_array_add(jobs, drv_json_parse("{\"report\":null}", "a job", NULL));
    accuracy = drv_plan_accuracy(jobs);
    g_assert_cmpint(drv_json_int(drv_json_object(accuracy, "all"), "moves", 0), ==, 10);
    g_assert_cmpint(drv_json_int(drv_json_object(accuracy, "never_seen"), "moves", 0), ==, 5);
    g_assert_cmpfloat_with_epsilon(get(accuracy, "all", "time_ms", "median_error"), 0.05, 1e-9);
    g_assert_cmpfloat_with_epsilon(get(accuracy, "all", "time_ms", "p90_error"), 0.09, 1e-9);
    g_assert_cmpfloat_with_epsilon(get(accuracy, "all", "time_ms", "over_p90"), 0.5, 1e-9);
    g_assert_cmpfloat_with_epsilon(get(accuracy, "all", "wire_bytes", "p90_error"), 0, 1e-9);
    g_assert_true(isnan(get(accuracy, "all", "pause_ms", "p90_error")));
    g_assert_cmpfloat_with_epsilon(get(accuracy, "seen_before", "time_ms", "p90_error"), 0.09, 1e-9);
}

static void test_nothing(void)
{
    g_autoptr(json_object) accuracy = drv_plan_accuracy(NULL);

    g_assert_cmpint(drv_json_int(drv_json_object(accuracy, "all"), "moves", -1), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/accuracy/figures", test_figures);
    g_test_add_func("/accuracy/nothing", test_nothing);
    return g_test_run();
}
