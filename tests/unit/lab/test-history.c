/* SPDX-License-Identifier: Apache-2.0 */
/* What the witness's client makes of answers: gaps, reboots, and two copies running. */
#include <glib.h>

#include "history.h"

static const uint64_t MS = 1000000;
static struct witness_history h;

static void answer(uint64_t at_ms, uint64_t seq, uint64_t number, uint64_t nonce)
{
    struct witness_answer a = {seq, number, nonce, at_ms * MS, number};

    witness_history_answer(&h, at_ms * MS, &a);
}

static void test_gaps(void)
{
    witness_history_init(&h, 1000 * MS, 20 * MS);
    answer(1002, 0, 1, 7);
    answer(1004, 1, 2, 7);
    answer(1150, 9, 3, 7);
    answer(1152, 10, 4, 7);
    witness_history_end(&h, 1182 * MS);
    g_assert_cmpuint(h.answered, ==, 4);
    g_assert_cmpuint(h.longest.length_ns, ==, 146 * MS);
    g_assert_cmpuint(h.longest.at_ns, ==, 4 * MS);
    g_assert_cmpuint(h.gaps, ==, 2); /* the end is a gap, too */
    g_assert_cmpuint(h.gap[1].length_ns, ==, 30 * MS);
    g_assert_cmpuint(h.acknowledged, ==, 4);
    g_assert_false(witness_history_split(&h));
}

static void test_never_answered(void)
{
    witness_history_init(&h, 1000 * MS, 20 * MS);
    witness_history_end(&h, 3000 * MS);
    g_assert_cmpuint(h.longest.length_ns, ==, 2000 * MS);
    g_assert_cmpuint(h.boots, ==, 0);
}

static void test_reboot(void)
{
    witness_history_init(&h, 0, 20 * MS);
    answer(1, 0, 500, 7);
    answer(2, 1, 1, 8);
    answer(3, 2, 2, 8);
    g_assert_cmpuint(h.boots, ==, 2);
    g_assert_false(witness_history_split(&h));
}

static void test_network_duplicate(void)
{
    struct witness_answer a = {5, 9, 7, 100, 0};

    witness_history_init(&h, 0, 20 * MS);
    witness_history_answer(&h, 1 * MS, &a);
    witness_history_answer(&h, 2 * MS, &a);
    g_assert_cmpuint(h.answered, ==, 1);
    g_assert_cmpuint(h.network_duplicates, ==, 1);
    g_assert_false(witness_history_split(&h));
}

static void test_backwards(void)
{
    witness_history_init(&h, 0, 20 * MS);
    answer(1, 0, 10, 7);
    answer(2, 1, 11, 7);
    answer(3, 2, 11, 7);
    g_assert_cmpuint(h.backwards, ==, 1);
    g_assert_true(witness_history_split(&h));
}

static void answer_at(uint64_t seq, uint64_t number, uint64_t clock_ns)
{
    struct witness_answer a = {seq, number, 7, clock_ns, 0};

    witness_history_answer(&h, (seq + 1) * MS, &a);
}

/* The network may change the order of answers; nothing else may. */
static void test_overtaken(void)
{
    witness_history_init(&h, 0, 20 * MS);
    answer_at(0, 10, 100);
    answer_at(2, 12, 120);
    answer_at(1, 11, 110);
    answer_at(3, 13, 130);
    g_assert_cmpuint(h.overtaken, ==, 1);
    g_assert_false(witness_history_split(&h));
    answer_at(4, 11, 115); /* a number for the second time */
    g_assert_cmpuint(h.backwards, ==, 1);
}

static void test_number_behind_a_later_clock(void)
{
    witness_history_init(&h, 0, 20 * MS);
    answer_at(0, 10, 100);
    answer_at(1, 14, 140);
    answer_at(2, 12, 150);
    g_assert_cmpuint(h.backwards, ==, 1);
    g_assert_true(witness_history_split(&h));
}

static void test_far_behind(void)
{
    witness_history_init(&h, 0, 20 * MS);
    answer_at(0, 1000, 1000);
    answer_at(1, 1000 - WITNESS_OVERTAKEN - 1, 900);
    g_assert_cmpuint(h.backwards, ==, 1);
}

/* An old memory image goes on: its running number could be ahead, its clock is not. */
static void test_clock_backwards(void)
{
    uint64_t clock_ns = 5 * WITNESS_CLOCK_SLACK_NS;

    witness_history_init(&h, 0, 20 * MS);
    answer_at(0, 10, clock_ns);
    answer_at(1, 11, clock_ns - WITNESS_CLOCK_SLACK_NS - 1);
    g_assert_true(witness_history_split(&h));
}

/* A guest that stood still sets its clock back a little; often, and it would be another one. */
static void test_clock_set_back_a_little(void)
{
    uint64_t clock_ns = 5 * WITNESS_CLOCK_SLACK_NS;

    witness_history_init(&h, 0, 20 * MS);
    answer_at(0, 10, clock_ns);
    answer_at(1, 11, clock_ns - WITNESS_CLOCK_SLACK_NS / 2);
    answer_at(2, 12, clock_ns - WITNESS_CLOCK_SLACK_NS / 2);
    g_assert_false(witness_history_split(&h));
    answer_at(3, 13, clock_ns - WITNESS_CLOCK_SLACK_NS - 1);
    g_assert_true(witness_history_split(&h));
}

static void test_answered_twice(void)
{
    witness_history_init(&h, 0, 20 * MS);
    answer(1, 0, 10, 7);
    answer(2, 0, 11, 7);
    g_assert_cmpuint(h.answered_twice, ==, 1);
    g_assert_true(witness_history_split(&h));
}

static void test_old_boot_returns(void)
{
    witness_history_init(&h, 0, 20 * MS);
    answer(1, 0, 10, 7);
    answer(2, 1, 1, 8);
    answer(3, 2, 11, 7);
    g_assert_cmpuint(h.boots_returned, ==, 1);
    g_assert_true(witness_history_split(&h));
}

static void test_many_gaps(void)
{
    witness_history_init(&h, 0, 20 * MS);
    for (uint64_t i = 0; i < WITNESS_MAX_GAPS + 10; i++)
        answer(100 * (i + 1), i, i + 1, 7);
    g_assert_cmpuint(h.gaps, ==, WITNESS_MAX_GAPS);
    g_assert_cmpuint(h.gaps_left_out, ==, 10);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/lab/history/gaps", test_gaps);
    g_test_add_func("/lab/history/never-answered", test_never_answered);
    g_test_add_func("/lab/history/reboot", test_reboot);
    g_test_add_func("/lab/history/network-duplicate", test_network_duplicate);
    g_test_add_func("/lab/history/backwards", test_backwards);
    g_test_add_func("/lab/history/clock-backwards", test_clock_backwards);
    g_test_add_func("/lab/history/overtaken", test_overtaken);
    g_test_add_func("/lab/history/clock-set-back-a-little", test_clock_set_back_a_little);
    g_test_add_func("/lab/history/number-behind-a-later-clock", test_number_behind_a_later_clock);
    g_test_add_func("/lab/history/far-behind", test_far_behind);
    g_test_add_func("/lab/history/answered-twice", test_answered_twice);
    g_test_add_func("/lab/history/old-boot-returns", test_old_boot_returns);
    g_test_add_func("/lab/history/many-gaps", test_many_gaps);
    return g_test_run();
}
