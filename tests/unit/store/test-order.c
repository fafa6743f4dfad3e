/* SPDX-License-Identifier: Apache-2.0 */
/* Keys are ordered as people count. */
#include <glib.h>

#include "store/ops.h"
#include "store/order.h"

static void test_total(void)
{
    /* In order; each is compared with each. */
    /* clang-format off */
    const char *const keys[] = {
        "", "a", "a-1", "a-2", "a-10", "a-10b", "a-11", "a-99999999999999999999999",
        "a-100000000000000000000000", "a1", "h1", "h1-02", "h1-2", "h1-3", "h1-10", "h1-10-2",
        "h1-10-10", "h2-1", "h10-1", "web",
    };
    /* clang-format on */

    for (gsize i = 0; i < G_N_ELEMENTS(keys); i++)
        for (gsize j = 0; j < G_N_ELEMENTS(keys); j++) {
            int order = drv_key_compare(keys[i], keys[j]);

            if (CLAMP(order, -1, 1) != (i < j ? -1 : i > j))
                g_error("\"%s\" against \"%s\" gives %d", keys[i], keys[j], order);
        }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store/order/total", test_total);
    return g_test_run();
}
