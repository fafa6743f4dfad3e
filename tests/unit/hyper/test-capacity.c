/* SPDX-License-Identifier: Apache-2.0 */
/* What hosts say of themselves: features out of an expanded <cpu>, rates out of counters, and what is remembered. */
#include "hyper/capacity.h"
#include "hyper/load.h"

#define SECOND_US G_USEC_PER_SEC
#define SECOND_NS (SECOND_US * G_GUINT64_CONSTANT(1000))

static void test_features(void)
{
    g_autoptr(GPtrArray) names = drv_cpu_features(
        "<cpu mode='custom'><model>x</model><feature policy='require' name='sse4.2'/>"
        "<feature policy='disable' name='svm'/><feature name='aes'/><feature policy='forbid' name='vmx'/>"
        "<topology/></cpu>");
    g_autoptr(GPtrArray) none = drv_cpu_features("<cpu/>");

    g_assert_cmpuint(names->len, ==, 2);
    g_assert_cmpstr(names->pdata[0], ==, "aes");
    g_assert_cmpstr(names->pdata[1], ==, "sse4.2");
    g_assert_cmpuint(none->len, ==, 0);
    g_assert_null(drv_cpu_features("<domain/>"));
    g_assert_null(drv_cpu_features("no XML"));
}

static void test_rates(void)
{
    drv_load *load = drv_load_new();

    g_assert_cmpfloat(drv_load_rate(load, "", 5 * SECOND_NS, 10 * SECOND_US), <, 0);
    /* Too soon to say anything. */
    g_assert_cmpfloat(drv_load_rate(load, "", 6 * SECOND_NS, 11 * SECOND_US), <, 0);
    g_assert_cmpfloat_with_epsilon(drv_load_rate(load, "", 11 * SECOND_NS, 14 * SECOND_US), 1.5, 1e-9);
    /* And so what was found before holds. */
    g_assert_cmpfloat_with_epsilon(drv_load_rate(load, "", 99 * SECOND_NS, 15 * SECOND_US), 1.5, 1e-9);
    /* Another one has its own, and one that begins anew is not known. */
    g_assert_cmpfloat(drv_load_rate(load, "vm", 0, 15 * SECOND_US), <, 0);
    g_assert_cmpfloat(drv_load_rate(load, "", SECOND_NS, 18 * SECOND_US), <, 0);
    g_assert_cmpfloat_with_epsilon(drv_load_rate(load, "", 5 * SECOND_NS, 20 * SECOND_US), 2, 1e-9);
    drv_load_free(load);
}

static void test_remembered(void)
{
    drv_load *load = drv_load_new();
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) found = NULL;

    g_ptr_array_add(names, g_strdup("aes"));
    g_assert_false(drv_load_remembered(load, "vm", 0, &found));
    drv_load_remember(load, "vm", 5, names);
    g_assert_false(drv_load_remembered(load, "vm", 6, &found));
    g_assert_true(drv_load_remembered(load, "vm", 5, &found));
    g_assert_cmpstr(found->pdata[0], ==, "aes");
    /* That nothing is known is remembered, too. */
    g_clear_pointer(&found, g_ptr_array_unref);
    drv_load_remember(load, "vm", 7, NULL);
    g_assert_true(drv_load_remembered(load, "vm", 5, &found));
    g_assert_null(found);
    drv_load_free(load);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/capacity/features", test_features);
    g_test_add_func("/capacity/rates", test_rates);
    g_test_add_func("/capacity/remembered", test_remembered);
    return g_test_run();
}
