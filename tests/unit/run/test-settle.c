/* SPDX-License-Identifier: Apache-2.0 */
/* What a migration has come to: the rules that must hold for every combination of facts. */
#include "hyper/hyper.h"
#include "run/settle.h"

typedef void (*check_func)(const drv_settle_facts *facts, drv_verdict verdict);

static void for_all(check_func check)
{
    for (guint source = 0; source <= DRV_PRESENCE_UNKNOWN; source++)
        for (guint target = 0; target <= DRV_PRESENCE_UNKNOWN; target++)
            for (guint bits = 0; bits < 8; bits++) {
                drv_settle_facts facts = {.source = source,
                                          .target = target,
                                          .was_running = bits & 1,
                                          .resumed = (bits & 2) != 0,
                                          .finish_ok = (bits & 4) != 0};

                check(&facts, drv_settle_decide(&facts));
            }
}

static void check_never_two(const drv_settle_facts *facts, drv_verdict verdict)
{
    /* Rolling back lets the source run: not while the copy runs or has run. */
    if (verdict == DRV_VERDICT_ROLL_BACK) {
        g_assert_cmpint(facts->target, !=, DRV_PRESENCE_RUNNING);
        g_assert_cmpint(facts->target, !=, DRV_PRESENCE_UNKNOWN);
        if (facts->target == DRV_PRESENCE_PAUSED && facts->was_running)
            g_assert_false(facts->resumed);
    }
    /* Done lets the target run: not while the source runs or could. */
    if (verdict == DRV_VERDICT_DONE)
        g_assert_true(facts->source == DRV_PRESENCE_ABSENT || facts->source == DRV_PRESENCE_OFF);
}

static void check_never_none(const drv_settle_facts *facts, drv_verdict verdict)
{
    /* Done needs a copy at the target; rolling back destroys the target's, so the source needs one. */
    if (verdict == DRV_VERDICT_DONE)
        g_assert_true(facts->target == DRV_PRESENCE_PAUSED ||
                      facts->target == DRV_PRESENCE_RUNNING);
    if (verdict == DRV_VERDICT_ROLL_BACK)
        g_assert_true(facts->source != DRV_PRESENCE_ABSENT);
}

static void check_unknown_waits(const drv_settle_facts *facts, drv_verdict verdict)
{
    if (facts->source == DRV_PRESENCE_UNKNOWN || facts->target == DRV_PRESENCE_UNKNOWN)
        g_assert_cmpint(verdict, ==, DRV_VERDICT_WAIT);
}

static void test_never_two(void)
{
    for_all(check_never_two);
}

static void test_never_none(void)
{
    for_all(check_never_none);
}

static void test_unknown_waits(void)
{
    for_all(check_unknown_waits);
}

static void test_rows(void)
{
    static const struct {
        drv_settle_facts facts;
        drv_verdict verdict;
    } rows[] = {
        {{DRV_PRESENCE_ABSENT, DRV_PRESENCE_RUNNING, TRUE, TRUE, TRUE}, DRV_VERDICT_DONE},
        {{DRV_PRESENCE_ABSENT, DRV_PRESENCE_PAUSED, TRUE, FALSE, FALSE}, DRV_VERDICT_DONE},
        {{DRV_PRESENCE_ABSENT, DRV_PRESENCE_ABSENT, TRUE, FALSE, FALSE}, DRV_VERDICT_ATTENTION},
        {{DRV_PRESENCE_RUNNING, DRV_PRESENCE_ABSENT, TRUE, FALSE, FALSE}, DRV_VERDICT_ROLL_BACK},
        {{DRV_PRESENCE_RUNNING, DRV_PRESENCE_PAUSED, TRUE, FALSE, FALSE}, DRV_VERDICT_ROLL_BACK},
        {{DRV_PRESENCE_RUNNING, DRV_PRESENCE_RUNNING, TRUE, TRUE, TRUE}, DRV_VERDICT_ATTENTION},
        {{DRV_PRESENCE_PAUSED, DRV_PRESENCE_PAUSED, TRUE, FALSE, FALSE}, DRV_VERDICT_ROLL_BACK},
        {{DRV_PRESENCE_PAUSED, DRV_PRESENCE_PAUSED, TRUE, FALSE, TRUE}, DRV_VERDICT_WAIT},
        {{DRV_PRESENCE_PAUSED, DRV_PRESENCE_RUNNING, TRUE, TRUE, TRUE}, DRV_VERDICT_WAIT},
        {{DRV_PRESENCE_OFF, DRV_PRESENCE_PAUSED, TRUE, FALSE, FALSE}, DRV_VERDICT_ROLL_BACK},
        {{DRV_PRESENCE_OFF, DRV_PRESENCE_PAUSED, TRUE, FALSE, TRUE}, DRV_VERDICT_DONE},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        g_assert_cmpint(drv_settle_decide(&rows[i].facts), ==, rows[i].verdict);
}

static void test_names(void)
{
    g_assert_cmpint(drv_presence_from_state("shut off"), ==, DRV_PRESENCE_OFF);
    /* The names are hyper's. */
    g_assert_cmpint(drv_presence_from_state(drv_domain_state_name(DRV_DOMAIN_SHUT_OFF)), ==,
                    DRV_PRESENCE_OFF);
    g_assert_cmpint(drv_presence_from_state(drv_domain_state_name(DRV_DOMAIN_CRASHED)), ==,
                    DRV_PRESENCE_OFF);
    g_assert_cmpint(drv_presence_from_state(drv_domain_state_name(DRV_DOMAIN_RUNNING)), ==,
                    DRV_PRESENCE_RUNNING);
    g_assert_cmpint(drv_presence_from_state(drv_domain_state_name(DRV_DOMAIN_PAUSED)), ==,
                    DRV_PRESENCE_PAUSED);
    g_assert_cmpint(drv_presence_from_state("absent"), ==, DRV_PRESENCE_ABSENT);
    g_assert_cmpint(drv_presence_from_state("in shutdown"), ==, DRV_PRESENCE_UNKNOWN);
    g_assert_cmpstr(drv_presence_name(DRV_PRESENCE_PAUSED), ==, "paused");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/settle/never-two", test_never_two);
    g_test_add_func("/settle/never-none", test_never_none);
    g_test_add_func("/settle/unknown-waits", test_unknown_waits);
    g_test_add_func("/settle/rows", test_rows);
    g_test_add_func("/settle/names", test_names);
    return g_test_run();
}
