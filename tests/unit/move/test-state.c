/* SPDX-License-Identifier: Apache-2.0 */
/* The table of states: complete, and every state has a way to an end. */
#include "move/state.h"

static void test_complete(void)
{
    for (guint state = 0; state < DRV_STATES; state++) {
        const drv_state_info *info = drv_state_get(state);

        g_assert_nonnull(info->name);
        g_assert_nonnull(info->phase);
        g_assert_nonnull(info->invariant);
        g_assert_nonnull(info->recovery);
        g_assert_cmpint(drv_state_from_name(info->name), ==, state);
        /* Nothing follows an end but what needs attention, and that only by settling it anew. */
        if (state == DRV_STATE_NEEDS_ATTENTION)
            g_assert_cmpuint(info->next, ==, 1u << DRV_STATE_FINISHING);
        else
            g_assert_true(info->ended == (info->next == 0));
        g_assert_false(info->ended && info->cancellable);
    }
    g_assert_cmpint(drv_state_from_name("nonsense"), ==, DRV_STATES);
}

static void test_every_state_reaches_done_or_rolled_back(void)
{
    guint good = 1u << DRV_STATE_DONE | 1u << DRV_STATE_ROLLED_BACK;
    gboolean grown = TRUE;

    while (grown) {
        grown = FALSE;
        for (guint state = 0; state < DRV_STATES; state++)
            if (!(good & 1u << state) && drv_state_get(state)->next & good) {
                good |= 1u << state;
                grown = TRUE;
            }
    }
    for (guint state = 0; state < DRV_STATES; state++)
        if (!drv_state_get(state)->ended)
            g_assert_true(good & 1u << state);
}

static void test_every_copying_state_may_roll_back(void)
{
    for (guint state = 0; state < DRV_STATES; state++) {
        /* Once it was handed over by post-copy neither end has all of it. */
        gboolean split = state == DRV_STATE_POST_COPY || state == DRV_STATE_RECOVERING;

        if (!drv_state_get(state)->ended)
            g_assert_true(drv_state_allows(state, DRV_STATE_ROLLED_BACK) == !split);
        if (split)
            g_assert_false(drv_state_get(state)->cancellable);
    }
    g_assert_false(drv_state_allows(DRV_STATE_COPYING_MEMORY, DRV_STATE_DONE));
    g_assert_false(drv_state_allows(DRV_STATE_DONE, DRV_STATE_ROLLED_BACK));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/state/complete", test_complete);
    g_test_add_func("/state/reaches-an-end", test_every_state_reaches_done_or_rolled_back);
    g_test_add_func("/state/may-roll-back", test_every_copying_state_may_roll_back);
    return g_test_run();
}
