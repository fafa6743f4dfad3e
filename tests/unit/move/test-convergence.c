/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The convergence ladder on simulated guests: which rungs it takes, in which order, and when it
 * leaves them alone. The simulation is QEMU's pre-copy, reduced to what matters: rounds, each of
 * which sends what the one before left dirty, and a switch when that fits the allowed pause.
 */
#include "move/convergence.h"

#include <string.h>

#define MIB (1u << 20)
#define SAMPLE_MS 200

typedef struct {
    guint64 memory_bytes;
    guint64 hot_bytes; /* the part that the guest rewrites again and again */
    double dirty_bps;  /* bytes a second written to it */
    double link_bps;
    gboolean throttled; /* QEMU throttles: 1 %, then 10 % more every second round */
    guint64 calms_ms;   /* after that it dirties nothing; 0: never */
} guest_model;

typedef struct {
    drv_rung rungs[200]; /* in order, each only once in a row */
    guint count;
    gint64 ms[DRV_RUNGS], last_ms[DRV_RUNGS];
    guint allowed_ms;
    gboolean switched;
    gint64 end_ms;
    char why[240];
} course_log;

static void note(course_log *course, drv_rung rung, gint64 now_ms, const drv_ladder *ladder)
{
    if (!course->ms[rung])
        course->ms[rung] = now_ms;
    course->last_ms[rung] = now_ms;
    /* Getting near is no rung to speak of. */
    if (rung != DRV_RUNG_NEAR && rung != DRV_RUNG_ALLOW && (!course->count || course->rungs[course->count - 1] != rung))
        course->rungs[course->count++] = rung;
    g_assert_cmpuint(course->count, <, G_N_ELEMENTS(course->rungs));
    g_assert_cmpuint(ladder->allowed_ms, >=, course->allowed_ms);
    g_assert_cmpuint(strlen(ladder->why), >, 10);
    /* QEMU may use the pause only once it is paced. */
    if (!ladder->near || rung == DRV_RUNG_NEAR)
        g_assert_cmpuint(ladder->set_ms, ==, DRV_LADDER_AFAR_MS);
    else if (rung == DRV_RUNG_ALLOW || rung == DRV_RUNG_PAUSE)
        g_assert_cmpuint(ladder->set_ms, >=, ladder->allowed_ms);
    g_assert_cmpuint(ladder->set_ms, <=, MAX(ladder->goals.max_pause_ms, DRV_LADDER_AFAR_MS));
    g_strlcpy(course->why, ladder->why, sizeof course->why);
    course->allowed_ms = ladder->allowed_ms;
}

/* Until it switches, or the ladder says what ends the pass. */
static course_log run(const guest_model *guest, drv_ladder *ladder, gint64 now_ms, gint64 most_ms)
{
    course_log course = {.allowed_ms = ladder->allowed_ms};
    drv_job_stats stats = {.active = TRUE,
                           .outgoing = TRUE,
                           .rounds = 1,
                           .memory_total_bytes = guest->memory_bytes,
                           .memory_bps = (guint64)guest->link_bps,
                           .dirty_rate_bps = (guint64)guest->dirty_bps};
    double left = (double)guest->memory_bytes, dirty = 0;
    gint64 end_ms = now_ms + most_ms;
    guint high_rounds = 0;

    for (; now_ms < end_ms; now_ms += SAMPLE_MS) {
        double share = 1.0 - stats.throttle_percent / 100.0;
        drv_rung rung;

        stats.memory_remaining_bytes = (guint64)left;
        rung = drv_ladder_next(ladder, &stats, now_ms);
        if (rung) {
            note(&course, rung, now_ms, ladder);
            if (rung == DRV_RUNG_RESTART || rung == DRV_RUNG_HANDOVER || rung == DRV_RUNG_END)
                break;
        }
        if (!guest->calms_ms || now_ms < (gint64)guest->calms_ms)
            dirty = MIN((double)guest->hot_bytes, dirty + guest->dirty_bps * share * SAMPLE_MS / 1000);
        left -= guest->link_bps * SAMPLE_MS / 1000;
        if (left > 0)
            continue;
        if (!ladder->post_copy && dirty <= guest->link_bps * ladder->set_ms / 1000) {
            course.switched = TRUE;
            break;
        }
        left = dirty;
        dirty = 0;
        stats.rounds++;
        if (guest->throttled && left > guest->link_bps * SAMPLE_MS / 1000 / 2 && ++high_rounds % 2 == 0)
            stats.throttle_percent = stats.throttle_percent ? MIN(stats.throttle_percent + 10, 99) : 1;
    }
    course.end_ms = now_ms;
    return course;
}

static const drv_ladder_goals plain_goals = {.max_pause_ms = 300};

static course_log run_plain(const guest_model *guest, const drv_ladder_goals *goals)
{
    drv_ladder ladder;

    drv_ladder_begin(&ladder, goals, 0, 0);
    return run(guest, &ladder, 0, 600000);
}

static void test_idle_guest_keeps_the_first_pause(void)
{
    guest_model idle = {.memory_bytes = 512 * MIB, .hot_bytes = 4 * MIB, .dirty_bps = MIB / 2, .link_bps = 100 * MIB};
    course_log course = run_plain(&idle, &plain_goals);

    g_assert_true(course.switched);
    g_assert_cmpuint(course.count, ==, 0);
    g_assert_cmpuint(course.allowed_ms, ==, DRV_LADDER_START_MS);
}

static void test_limit_below_the_first_pause(void)
{
    drv_ladder ladder;

    drv_ladder_begin(&ladder, &(drv_ladder_goals){.max_pause_ms = 5}, 0, 0);
    g_assert_cmpuint(ladder.allowed_ms, ==, 5);
    g_assert_cmpuint(ladder.set_ms, ==, DRV_LADDER_AFAR_MS);
    drv_ladder_begin(&ladder, &plain_goals, 0, 0);
    g_assert_cmpuint(ladder.allowed_ms, ==, DRV_LADDER_START_MS);
}

static drv_rung look(drv_ladder *ladder, guint64 round, guint64 remaining_bytes, gint64 now_ms)
{
    drv_job_stats stats = {.active = TRUE,
                           .rounds = round,
                           .memory_total_bytes = 256 * MIB,
                           .memory_remaining_bytes = remaining_bytes,
                           .memory_bps = 200 * MIB};

    return drv_ladder_next(ladder, &stats, now_ms);
}

/* What QEMU says of the link is not believed when the relay knows better. */
static void test_near_by_what_fresh_pages_take(void)
{
    drv_ladder ladder;

    drv_ladder_begin(&ladder, &plain_goals, 0, 0);
    g_assert_cmpint(look(&ladder, 1, 250 * MIB, 1000), ==, DRV_RUNG_NONE);
    ladder.fresh_bps = 10 * MIB;
    g_assert_cmpint(look(&ladder, 2, 100 * MIB, 2000), ==, DRV_RUNG_NONE);
    g_assert_cmpint(look(&ladder, 2, MIB, 2200), ==, DRV_RUNG_NONE);
    g_assert_cmpint(look(&ladder, 3, 11 * MIB, 3000), ==, DRV_RUNG_NONE);
    g_assert_cmpint(look(&ladder, 4, 8 * MIB, 4000), ==, DRV_RUNG_NEAR);
    g_assert_cmpuint(ladder.set_ms, ==, DRV_LADDER_AFAR_MS);
    g_assert_cmpint(look(&ladder, 4, 6 * MIB, 4200), ==, DRV_RUNG_NONE);
    g_assert_cmpint(look(&ladder, 5, 5 * MIB, 4400), ==, DRV_RUNG_ALLOW);
    g_assert_cmpuint(ladder.set_ms, ==, DRV_LADDER_START_MS);
    /* Widened only after a round with it. */
    g_assert_cmpint(look(&ladder, 5, 4 * MIB, 4800), ==, DRV_RUNG_NONE);
    g_assert_cmpint(look(&ladder, 6, 4 * MIB, 5000), ==, DRV_RUNG_PAUSE);
    g_assert_cmpuint(ladder.set_ms, ==, ladder.allowed_ms);
}

/* QEMU, which hardly sends in short rounds, takes the link for slower than it is: it is allowed more. */
static void test_qemu_reckons_too_low(void)
{
    drv_ladder_goals goals = {.max_pause_ms = 70};
    drv_job_stats stats = {.active = TRUE,
                           .rounds = 6,
                           .memory_total_bytes = 256 * MIB,
                           .memory_remaining_bytes = MIB,
                           .memory_bps = 40 * MIB};
    drv_ladder ladder;

    drv_ladder_begin(&ladder, &goals, 0, 0);
    ladder.fresh_bps = 80 * MIB; /* 1.6 MiB in 20 ms */
    g_assert_cmpint(look(&ladder, 3, 10 * MIB, 1000), ==, DRV_RUNG_NEAR);
    g_assert_cmpint(look(&ladder, 4, 4 * MIB, 1400), ==, DRV_RUNG_ALLOW);
    /* More than goes in the pause: QEMU is right not to switch. */
    g_assert_cmpint(look(&ladder, 5, 3 * MIB, 1500), ==, DRV_RUNG_NONE);
    g_assert_cmpint(drv_ladder_next(&ladder, &stats, 1600), ==, DRV_RUNG_ALLOW);
    g_assert_cmpuint(ladder.set_ms, ==, 40);
    g_assert_cmpuint(ladder.allowed_ms, ==, DRV_LADDER_START_MS);
    /* Never more than may be. */
    stats.memory_bps = 8 * MIB;
    g_assert_cmpint(drv_ladder_next(&ladder, &stats, 1700), ==, DRV_RUNG_ALLOW);
    g_assert_cmpuint(ladder.set_ms, ==, 70);
    g_assert_cmpint(drv_ladder_next(&ladder, &stats, 1750), ==, DRV_RUNG_NONE);
    stats.rounds++;
    g_assert_cmpint(drv_ladder_next(&ladder, &stats, 2000), ==, DRV_RUNG_PAUSE);
    g_assert_cmpuint(ladder.set_ms, ==, 70);
    g_assert_cmpuint(ladder.allowed_ms, ==, 30);
}

/* The relay says nothing where the link is never full: then what is known of the link counts, as far as it was seen. */
static void test_qemu_reckons_too_low_on_a_known_link(void)
{
    drv_ladder_goals goals = {.max_pause_ms = 300};
    drv_job_stats stats = {.active = TRUE,
                           .rounds = 2,
                           .memory_total_bytes = 256 * MIB,
                           .memory_remaining_bytes = 100 * MIB,
                           .memory_bps = 60 * MIB};
    drv_ladder ladder;

    drv_ladder_begin(&ladder, &goals, 0, 0);
    ladder.link_bps = 25 * MIB;
    g_assert_cmpint(drv_ladder_next(&ladder, &stats, 500), ==, DRV_RUNG_NONE);
    g_assert_cmpint(look(&ladder, 3, 4 * MIB, 1000), ==, DRV_RUNG_NEAR);
    g_assert_cmpint(look(&ladder, 4, 2 * MIB, 1400), ==, DRV_RUNG_ALLOW);
    stats.rounds = 5;
    stats.memory_remaining_bytes = MIB / 4;
    stats.memory_bps = 10 * MIB;
    g_assert_cmpint(drv_ladder_next(&ladder, &stats, 1500), ==, DRV_RUNG_ALLOW);
    g_assert_cmpuint(ladder.set_ms, ==, 50);

    /* So much has not gone in this move: something else is the limit. */
    drv_ladder_begin(&ladder, &goals, 0, 0);
    ladder.link_bps = 1000 * MIB;
    stats = (drv_job_stats){.active = TRUE,
                            .rounds = 2,
                            .memory_total_bytes = 256 * MIB,
                            .memory_remaining_bytes = 100 * MIB,
                            .memory_bps = 20 * MIB};
    g_assert_cmpint(drv_ladder_next(&ladder, &stats, 500), ==, DRV_RUNG_NONE);
    ladder.near = TRUE;
    ladder.set_ms = ladder.allowed_ms;
    stats.rounds = 3;
    stats.memory_remaining_bytes = MIB / 8;
    stats.memory_bps = 10 * MIB;
    g_assert_cmpint(drv_ladder_next(&ladder, &stats, 600), ==, DRV_RUNG_ALLOW);
    g_assert_cmpuint(ladder.set_ms, ==, 40);
}

/* As long as rounds shrink, and are long, the pause stays as it is. */
static void test_not_widened_from_afar(void)
{
    drv_ladder ladder;

    drv_ladder_begin(&ladder, &plain_goals, 0, 0);
    ladder.fresh_bps = 100 * MIB;
    g_assert_cmpint(look(&ladder, 2, 100 * MIB, 2000), ==, DRV_RUNG_NEAR);
    g_assert_cmpint(look(&ladder, 2, 90 * MIB, 2400), ==, DRV_RUNG_ALLOW);
    ladder.fresh_bps = 10 * MIB; /* 3 MiB in 300 ms */
    g_assert_cmpint(look(&ladder, 3, 50 * MIB, 9000), ==, DRV_RUNG_NONE);
    g_assert_cmpint(look(&ladder, 4, 25 * MIB, 14000), ==, DRV_RUNG_NONE);
    g_assert_cmpint(look(&ladder, 5, 5 * MIB, 17000), ==, DRV_RUNG_PAUSE);
    g_assert_cmpuint(ladder.allowed_ms, ==, 30);
    /* It does not shrink any more. */
    g_assert_cmpint(look(&ladder, 6, 20 * MIB, 19000), ==, DRV_RUNG_PAUSE);
    g_assert_cmpuint(ladder.allowed_ms, ==, 300);
}

/* A guest whose rounds do not shrink is as near as it will get. */
static void test_near_when_nothing_shrinks(void)
{
    drv_ladder ladder;

    drv_ladder_begin(&ladder, &plain_goals, 0, 0);
    ladder.fresh_bps = 10 * MIB;
    g_assert_cmpint(look(&ladder, 2, 100 * MIB, 2000), ==, DRV_RUNG_NONE);
    g_assert_cmpint(look(&ladder, 3, 50 * MIB, 9000), ==, DRV_RUNG_NONE);
    g_assert_cmpint(look(&ladder, 4, 48 * MIB, 13000), ==, DRV_RUNG_NEAR);
}

/* What it needs is allowed, not all that may be. */
static void test_pause_is_widened_as_needed(void)
{
    guest_model steady = {
        .memory_bytes = 256 * MIB, .hot_bytes = 8 * MIB, .dirty_bps = 200.0 * MIB, .link_bps = 100 * MIB};
    course_log course = run_plain(&steady, &plain_goals);

    g_assert_true(course.switched);
    g_assert_cmpuint(course.count, ==, 1);
    g_assert_cmpint(course.rungs[0], ==, DRV_RUNG_PAUSE);
    g_assert_cmpuint(course.allowed_ms, >=, 80);
    g_assert_cmpuint(course.allowed_ms, <, 150);
}

static void test_throttle_comes_after_the_pause(void)
{
    guest_model busy = {.memory_bytes = 256 * MIB,
                        .hot_bytes = 128 * MIB,
                        .dirty_bps = 120.0 * MIB,
                        .link_bps = 100 * MIB,
                        .throttled = TRUE};
    course_log course = run_plain(&busy, &plain_goals);

    g_assert_true(course.switched);
    g_assert_cmpuint(course.allowed_ms, ==, 300);
    g_assert_cmpint(course.ms[DRV_RUNG_PAUSE], <, course.last_ms[DRV_RUNG_THROTTLE]);
}

static void test_post_copy_only_where_allowed(void)
{
    guest_model wild = {
        .memory_bytes = 256 * MIB, .hot_bytes = 128 * MIB, .dirty_bps = 300.0 * MIB, .link_bps = 25 * MIB};
    drv_ladder_goals goals = {.max_pause_ms = 300, .may_post_copy = TRUE};
    drv_ladder ladder;
    course_log first, second;

    drv_ladder_begin(&ladder, &goals, 0, 0);
    first = run(&wild, &ladder, 0, 600000);
    g_assert_false(first.switched);
    g_assert_cmpint(first.rungs[first.count - 1], ==, DRV_RUNG_RESTART);
    g_assert_cmpuint(first.allowed_ms, ==, 300);

    drv_ladder_again(&ladder, first.end_ms);
    second = run(&wild, &ladder, first.end_ms, 600000);
    g_assert_cmpuint(second.count, ==, 1);
    g_assert_cmpint(second.rungs[0], ==, DRV_RUNG_HANDOVER);

    goals.may_post_copy = FALSE;
    first = run_plain(&wild, &goals);
    g_assert_cmpint(first.rungs[first.count - 1], ==, DRV_RUNG_END);
    g_assert_nonnull(strstr(first.why, "has not fallen below"));
    /* It was given its 40 s, and not much more. */
    g_assert_cmpint(first.end_ms, >, 40000);
    g_assert_cmpint(first.end_ms, <, 90000);
}

/* While throttling makes each round shorter nothing else is done. */
static void test_patient_while_it_falls(void)
{
    guest_model slow = {.memory_bytes = 256 * MIB,
                        .hot_bytes = 200 * MIB,
                        .dirty_bps = 60.0 * MIB,
                        .link_bps = 30 * MIB,
                        .throttled = TRUE};
    course_log course = run_plain(&slow, &plain_goals);

    g_assert_true(course.switched);
    for (guint i = 0; i < course.count; i++)
        g_assert_true(course.rungs[i] == DRV_RUNG_PAUSE || course.rungs[i] == DRV_RUNG_THROTTLE);
}

static void test_time_limit(void)
{
    guest_model wild = {
        .memory_bytes = 256 * MIB, .hot_bytes = 128 * MIB, .dirty_bps = 300.0 * MIB, .link_bps = 25 * MIB};
    drv_ladder_goals goals = {.max_pause_ms = 300, .max_time_ms = 20000};
    course_log course = run_plain(&wild, &goals);

    g_assert_cmpint(course.rungs[course.count - 1], ==, DRV_RUNG_END);
    g_assert_cmpint(course.end_ms, ==, 20000);
    g_assert_nonnull(strstr(course.why, "20.0 s allowed"));

    /* Half of it is kept for the pass with post-copy. */
    goals.may_post_copy = TRUE;
    course = run_plain(&wild, &goals);
    g_assert_cmpint(course.rungs[course.count - 1], ==, DRV_RUNG_RESTART);
    g_assert_cmpint(course.end_ms, <=, 10000);
}

static void test_hand_over_in_time(void)
{
    guest_model wild = {
        .memory_bytes = 4096ull * MIB, .hot_bytes = 128 * MIB, .dirty_bps = 300.0 * MIB, .link_bps = 25 * MIB};
    drv_ladder_goals goals = {.max_pause_ms = 300, .max_time_ms = 20000, .method = DRV_METHOD_HYBRID};
    course_log course = run_plain(&wild, &goals);

    g_assert_cmpint(course.rungs[0], ==, DRV_RUNG_HANDOVER);
    g_assert_cmpint(course.end_ms, ==, 20000);
}

static void test_methods(void)
{
    guest_model calm = {.memory_bytes = 256 * MIB, .hot_bytes = MIB, .dirty_bps = MIB, .link_bps = 25 * MIB};
    drv_ladder_goals goals = plain_goals;
    course_log course;

    goals.method = DRV_METHOD_POST_COPY;
    course = run_plain(&calm, &goals);
    g_assert_cmpint(course.rungs[0], ==, DRV_RUNG_HANDOVER);
    g_assert_cmpint(course.end_ms, ==, 0);

    /* One pass of pre-copy, and not an end of its own. */
    goals.method = DRV_METHOD_HYBRID;
    course = run_plain(&calm, &goals);
    g_assert_false(course.switched);
    g_assert_cmpint(course.rungs[0], ==, DRV_RUNG_HANDOVER);
    g_assert_cmpint(course.end_ms, >, 9000);
    g_assert_cmpint(course.end_ms, <, 13000);

    goals.method = DRV_METHOD_PRE_COPY;
    g_assert_true(run_plain(&calm, &goals).switched);

    g_assert_cmpint(drv_method_from_name("hybrid"), ==, DRV_METHOD_HYBRID);
    g_assert_cmpint(drv_method_from_name("offline"), ==, DRV_METHODS);
    g_assert_cmpint(drv_method_from_name(NULL), ==, DRV_METHODS);
}

static void test_says_it_once_and_again_on_request(void)
{
    drv_ladder_goals goals = {.max_pause_ms = 300, .method = DRV_METHOD_POST_COPY};
    drv_job_stats stats = {.active = TRUE, .memory_total_bytes = MIB, .rounds = 1};
    drv_ladder ladder;

    drv_ladder_begin(&ladder, &goals, 0, 0);
    g_assert_cmpint(drv_ladder_next(&ladder, &stats, 0), ==, DRV_RUNG_HANDOVER);
    g_assert_cmpint(drv_ladder_next(&ladder, &stats, 200), ==, DRV_RUNG_NONE);
    drv_ladder_retry(&ladder);
    g_assert_cmpint(drv_ladder_next(&ladder, &stats, 400), ==, DRV_RUNG_HANDOVER);
    drv_ladder_retry(&ladder);
    stats.post_copy = TRUE;
    g_assert_cmpint(drv_ladder_next(&ladder, &stats, 600), ==, DRV_RUNG_NONE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ladder/idle", test_idle_guest_keeps_the_first_pause);
    g_test_add_func("/ladder/low-limit", test_limit_below_the_first_pause);
    g_test_add_func("/ladder/near", test_near_by_what_fresh_pages_take);
    g_test_add_func("/ladder/reckons-too-low", test_qemu_reckons_too_low);
    g_test_add_func("/ladder/reckons-too-low-on-a-known-link", test_qemu_reckons_too_low_on_a_known_link);
    g_test_add_func("/ladder/from-afar", test_not_widened_from_afar);
    g_test_add_func("/ladder/near-at-last", test_near_when_nothing_shrinks);
    g_test_add_func("/ladder/as-needed", test_pause_is_widened_as_needed);
    g_test_add_func("/ladder/throttle", test_throttle_comes_after_the_pause);
    g_test_add_func("/ladder/post-copy", test_post_copy_only_where_allowed);
    g_test_add_func("/ladder/patient", test_patient_while_it_falls);
    g_test_add_func("/ladder/time-limit", test_time_limit);
    g_test_add_func("/ladder/hand-over-in-time", test_hand_over_in_time);
    g_test_add_func("/ladder/methods", test_methods);
    g_test_add_func("/ladder/once", test_says_it_once_and_again_on_request);
    return g_test_run();
}
