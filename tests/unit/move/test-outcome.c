/* SPDX-License-Identifier: Apache-2.0 */
/* What a migration has come to: the rules that must hold for every combination of facts. */
#include "hyper/domain.h"
#include "hyper/hyper.h"
#include "move/outcome.h"

typedef void (*check_func)(const drv_settle_facts *facts, drv_verdict verdict);

static void for_all(check_func check)
{
    for (guint source = 0; source <= DRV_PRESENCE_UNKNOWN; source++)
        for (guint target = 0; target <= DRV_PRESENCE_UNKNOWN; target++)
            for (guint bits = 0; bits < 128; bits++) {
                drv_settle_facts facts = {.source = source,
                                          .target = target,
                                          .was_running = bits & 1,
                                          .resumed = (bits & 2) != 0,
                                          .finish_ok = (bits & 4) != 0,
                                          .steady = (bits & 8) != 0,
                                          .source_split = (bits & 16) != 0 && source == DRV_PRESENCE_PAUSED,
                                          .target_split = (bits & 64) != 0 && target == DRV_PRESENCE_RUNNING};

                facts.source_broken = facts.source_split && (bits & 32);

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
    /* Completing ends the source's copy: not one that runs, and only for a whole one at the target.
     */
    if (verdict == DRV_VERDICT_COMPLETE) {
        g_assert_true(facts->steady);
        g_assert_cmpint(facts->source, ==, DRV_PRESENCE_PAUSED);
        g_assert_true(facts->target == DRV_PRESENCE_RUNNING ||
                      (facts->target == DRV_PRESENCE_PAUSED && (facts->resumed || facts->finish_ok)));
    }
    if (verdict == DRV_VERDICT_ATTENTION)
        g_assert_true(facts->steady);
    /* Done lets the target run: not while the source runs or could. */
    if (verdict == DRV_VERDICT_DONE)
        g_assert_true(facts->source == DRV_PRESENCE_ABSENT || facts->source == DRV_PRESENCE_OFF);
}

static void check_never_none(const drv_settle_facts *facts, drv_verdict verdict)
{
    /* Done needs a copy at the target; rolling back destroys the target's, so the source needs one.
     */
    if (verdict == DRV_VERDICT_DONE)
        g_assert_true(facts->target == DRV_PRESENCE_PAUSED || facts->target == DRV_PRESENCE_RUNNING ||
                      (facts->target == DRV_PRESENCE_OFF && facts->resumed));
    if (verdict == DRV_VERDICT_ROLL_BACK)
        g_assert_true(facts->source != DRV_PRESENCE_ABSENT);
}

static void check_split(const drv_settle_facts *facts, drv_verdict verdict)
{
    /* What was handed over by post-copy is nowhere whole: neither half may be ended. */
    if (facts->source_split || facts->target_split) {
        g_assert_cmpint(verdict, !=, DRV_VERDICT_ROLL_BACK);
        g_assert_cmpint(verdict, !=, DRV_VERDICT_DONE);
    }
    if (facts->target_split)
        g_assert_cmpint(verdict, !=, DRV_VERDICT_COMPLETE);
    if (verdict == DRV_VERDICT_RECOVER)
        g_assert_true(facts->source_broken && (facts->target_split || facts->target == DRV_PRESENCE_PAUSED));
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

static void test_split(void)
{
    for_all(check_split);
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
#define ROW(source, target, resumed, finish_ok, steady, verdict)                                                       \
    {{DRV_PRESENCE_##source, DRV_PRESENCE_##target, TRUE, resumed, finish_ok, steady}, DRV_VERDICT_##verdict}
        ROW(ABSENT, RUNNING, TRUE, TRUE, FALSE, DONE),
        ROW(ABSENT, PAUSED, FALSE, FALSE, FALSE, DONE),
        ROW(ABSENT, OFF, TRUE, TRUE, FALSE, DONE),
        ROW(ABSENT, OFF, FALSE, TRUE, TRUE, ATTENTION),
        ROW(ABSENT, ABSENT, FALSE, FALSE, TRUE, ATTENTION),
        ROW(ABSENT, ABSENT, FALSE, FALSE, FALSE, WAIT),
        ROW(RUNNING, ABSENT, FALSE, FALSE, FALSE, ROLL_BACK),
        ROW(RUNNING, PAUSED, FALSE, FALSE, FALSE, ROLL_BACK),
        ROW(RUNNING, OFF, TRUE, TRUE, TRUE, ATTENTION),
        ROW(RUNNING, RUNNING, TRUE, TRUE, TRUE, ATTENTION),
        ROW(RUNNING, RUNNING, TRUE, TRUE, FALSE, WAIT),
        ROW(PAUSED, PAUSED, FALSE, FALSE, FALSE, ROLL_BACK),
        ROW(PAUSED, PAUSED, FALSE, TRUE, FALSE, WAIT),
        ROW(PAUSED, PAUSED, FALSE, TRUE, TRUE, COMPLETE),
        ROW(PAUSED, RUNNING, TRUE, TRUE, FALSE, WAIT),
        ROW(PAUSED, RUNNING, FALSE, FALSE, TRUE, COMPLETE),
        ROW(PAUSED, OFF, TRUE, TRUE, TRUE, ATTENTION),
        ROW(PAUSED, ABSENT, FALSE, TRUE, TRUE, ATTENTION),
        ROW(PAUSED, ABSENT, FALSE, FALSE, TRUE, ROLL_BACK),
        ROW(OFF, RUNNING, TRUE, FALSE, FALSE, DONE),
        ROW(OFF, PAUSED, FALSE, FALSE, FALSE, WAIT),
        ROW(OFF, PAUSED, FALSE, FALSE, TRUE, ATTENTION),
        ROW(OFF, PAUSED, FALSE, TRUE, FALSE, DONE),
        ROW(OFF, OFF, TRUE, FALSE, FALSE, DONE),
        ROW(OFF, ABSENT, TRUE, FALSE, TRUE, ATTENTION),
#undef ROW
        {{DRV_PRESENCE_PAUSED, DRV_PRESENCE_RUNNING, TRUE, TRUE, FALSE, FALSE, TRUE, TRUE, TRUE}, DRV_VERDICT_RECOVER},
        {{DRV_PRESENCE_PAUSED, DRV_PRESENCE_RUNNING, TRUE, TRUE, FALSE, TRUE, TRUE, FALSE, TRUE}, DRV_VERDICT_WAIT},
        {{DRV_PRESENCE_PAUSED, DRV_PRESENCE_RUNNING, TRUE, TRUE, FALSE, FALSE, TRUE, TRUE, FALSE}, DRV_VERDICT_WAIT},
        {{DRV_PRESENCE_PAUSED, DRV_PRESENCE_RUNNING, TRUE, TRUE, TRUE, TRUE, TRUE, FALSE, FALSE}, DRV_VERDICT_COMPLETE},
        {{DRV_PRESENCE_PAUSED, DRV_PRESENCE_ABSENT, TRUE, FALSE, FALSE, TRUE, TRUE, TRUE, FALSE},
         DRV_VERDICT_ATTENTION},
        {{DRV_PRESENCE_ABSENT, DRV_PRESENCE_RUNNING, TRUE, TRUE, FALSE, TRUE, FALSE, FALSE, TRUE},
         DRV_VERDICT_ATTENTION},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        g_assert_cmpint(drv_settle_decide(&rows[i].facts), ==, rows[i].verdict);
}

static void test_names(void)
{
    g_assert_cmpint(drv_presence_from_state("shut off"), ==, DRV_PRESENCE_OFF);
    /* The names are hyper's. */
    g_assert_cmpint(drv_presence_from_state(drv_domain_state_name(DRV_DOMAIN_SHUT_OFF)), ==, DRV_PRESENCE_OFF);
    g_assert_cmpint(drv_presence_from_state(drv_domain_state_name(DRV_DOMAIN_CRASHED)), ==, DRV_PRESENCE_OFF);
    g_assert_cmpint(drv_presence_from_state(drv_domain_state_name(DRV_DOMAIN_RUNNING)), ==, DRV_PRESENCE_RUNNING);
    g_assert_cmpint(drv_presence_from_state(drv_domain_state_name(DRV_DOMAIN_PAUSED)), ==, DRV_PRESENCE_PAUSED);
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
    g_test_add_func("/settle/split", test_split);
    g_test_add_func("/settle/rows", test_rows);
    g_test_add_func("/settle/names", test_names);
    return g_test_run();
}
