/* SPDX-License-Identifier: Apache-2.0 */
/* Which link is measured next: new ones first, old ones by age, and none waits for one that is away. */
#include <glib.h>

#include "facts/link-due.h"

#define NOW_MS 1000000
#define OLD_MS 600000

static gint due(const drv_link_seen *seen, guint count, gboolean *is_new)
{
    return drv_link_due(seen, count, NOW_MS, OLD_MS, is_new);
}

static void test_order(void)
{
    const drv_link_seen seen[] = {{300000, 0}, {200000, 0}, {0, 0}, {900000, 0}};
    gboolean is_new;

    g_assert_cmpint(due(seen, 4, &is_new), ==, 2);
    g_assert_true(is_new);
    g_assert_cmpint(due(seen, 2, &is_new), ==, 1);
    g_assert_false(is_new);
    g_assert_cmpint(due(seen + 3, 1, &is_new), ==, -1);
    g_assert_false(is_new);
    g_assert_cmpint(due(seen, 0, &is_new), ==, -1);
}

static void test_one_that_is_away(void)
{
    const drv_link_seen seen[] = {{0, 999000}, {0, 0}, {300000, 0}, {900000, 0}};
    gboolean is_new;

    g_assert_cmpint(due(seen, 4, &is_new), ==, 1);
    g_assert_cmpint(due((const drv_link_seen[]){seen[0], seen[2]}, 2, &is_new), ==, 1);
    /* When nothing else is due it is tried again, and is not new. */
    g_assert_cmpint(due((const drv_link_seen[]){seen[0], seen[3]}, 2, &is_new), ==, 0);
    g_assert_false(is_new);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/link-due/order", test_order);
    g_test_add_func("/link-due/one-that-is-away", test_one_that_is_away);
    return g_test_run();
}
