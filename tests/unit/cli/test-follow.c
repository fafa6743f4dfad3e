/* SPDX-License-Identifier: Apache-2.0 */
/* Following a job: to its end, over a droverd that goes away, and with Ctrl-C pressed once and
 * twice. */
#include "cli/follow.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/display.h"
#include "hyper/gerror.h"
#include "script.h"

#define RUNNING(revision)                                                                                              \
    "{'id':'h1-7','vm':'web1','source':'h1','target':'h2','revision':" #revision                                       \
    ",'state':'copying-memory','ended':false,'progress':{'phase':'copying memory','percent':42}}"
#define ENDED(state)                                                                                                   \
    "{'id':'h1-7','vm':'web1','source':'h1','target':'h2','revision':99,'state':'" state                               \
    "','ended':true,'progress':{'phase':'done','percent':100}}"

typedef struct {
    drv_follow_end end;
    json_object *job;
    GError *error;
    char *shown;
} result;

static result follow(script *s, gboolean cancels)
{
    size_t size = 0;
    result r = {0};
    FILE *out = open_memstream(&r.shown, &size);
    drv_display *display = drv_display_new(out, DRV_DISPLAY_PLAIN, FALSE, NULL, NULL);
    drv_follow_options options = {.api = &s->base,
                                  .job = "h1-7",
                                  .display = display,
                                  .cancels = cancels,
                                  .wait_ms = 20000,
                                  .retry_ms = 1,
                                  .patience_ms = 50};

    r.end = drv_follow(&options, &r.job, &r.error);
    drv_display_free(display);
    fclose(out);
    return r;
}

static void finish(script *s, result *r)
{
    drv_cli_api_unref(&s->base);
    script_done(s);
    json_object_put(r->job);
    g_clear_error(&r->error);
    free(r->shown);
}

static json_object *three_looks(script *s, guint nth, const char *method, const char *path, json_object *body,
                                GError **error)
{
    g_assert_cmpstr(path, ==,
                    nth == 1   ? "/v1/jobs/h1-7"
                    : nth == 2 ? "/v1/jobs/h1-7?after=5&wait_ms=20000"
                               : "/v1/jobs/h1-7?after=6&wait_ms=20000");
    return script_json(nth == 1 ? RUNNING(5) : nth == 2 ? RUNNING(6) : ENDED("done"));
}

static void test_to_the_end(void)
{
    script *s = script_new(three_looks, NULL);
    result r = follow(s, TRUE);

    g_assert_cmpint(r.end, ==, DRV_FOLLOW_ENDED);
    g_assert_no_error(r.error);
    g_assert_cmpstr(drv_json_string(r.job, "state", NULL), ==, "done");
    g_assert_nonnull(strstr(r.shown, "copying memory, 42 %"));
    finish(s, &r);
}

/* droverd restarts: three calls fail, then it is there again and the move is at its end. */
static json_object *away_and_back(script *s, guint nth, const char *method, const char *path, json_object *body,
                                  GError **error)
{
    if (nth == 1)
        return script_json(RUNNING(5));
    if (nth <= 4)
        return script_fail(error, DRV_ERROR_UNREACHABLE, "connection refused");
    return script_json(ENDED("done"));
}

static void test_reconnect(void)
{
    script *s = script_new(away_and_back, NULL);
    result r = follow(s, TRUE);
    char *first;

    g_assert_cmpint(r.end, ==, DRV_FOLLOW_ENDED);
    first = strstr(r.shown, "connection refused");
    g_assert_nonnull(first);
    g_assert_null(strstr(first + 1, "connection refused")); /* said once, not at each try */
    g_assert_nonnull(strstr(first, "answers again"));
    finish(s, &r);
}

static json_object *gone(script *s, guint nth, const char *method, const char *path, json_object *body, GError **error)
{
    return nth == 1 ? script_json(RUNNING(5)) : script_fail(error, DRV_ERROR_UNREACHABLE, "connection refused");
}

static void test_lost(void)
{
    script *s = script_new(gone, NULL);
    result r = follow(s, TRUE);

    g_assert_cmpint(r.end, ==, DRV_FOLLOW_LOST);
    g_assert_error(r.error, DRV_ERROR, DRV_ERROR_UNREACHABLE);
    g_assert_nonnull(strstr(r.error->message, "drover job h1-7"));
    g_assert_nonnull(r.job); /* as last seen */
    g_assert_cmpuint(s->calls, >, 2);
    finish(s, &r);
}

static json_object *unknown(script *s, guint nth, const char *method, const char *path, json_object *body,
                            GError **error)
{
    return script_fail(error, DRV_ERROR_NOT_FOUND, "no job h1-7");
}

static void test_unknown(void)
{
    script *s = script_new(unknown, NULL);
    result r = follow(s, TRUE);

    g_assert_cmpint(r.end, ==, DRV_FOLLOW_ERROR);
    g_assert_error(r.error, DRV_ERROR, DRV_ERROR_NOT_FOUND);
    g_assert_null(r.job);
    g_assert_cmpuint(s->calls, ==, 1);
    finish(s, &r);
}

/* Ctrl-C while a long poll hangs: it is cancelled at once, and the end is waited for. */
static json_object *one_press(script *s, guint nth, const char *method, const char *path, json_object *body,
                              GError **error)
{
    if (g_str_equal(method, "POST")) {
        g_assert_cmpstr(path, ==, "/v1/jobs/h1-7/cancel");
        script_mark(s, 1);
        return script_json(RUNNING(6));
    }
    if (nth == 1)
        return script_json(RUNNING(5));
    kill(getpid(), SIGINT);
    script_wait(s, 1);
    return script_json(ENDED("rolled-back"));
}

static void test_one_press(void)
{
    script *s = script_new(one_press, NULL);
    result r = follow(s, TRUE);

    g_assert_cmpint(r.end, ==, DRV_FOLLOW_ENDED);
    g_assert_cmpstr(drv_json_string(r.job, "state", NULL), ==, "rolled-back");
    g_assert_nonnull(strstr(r.shown, "to be cancelled"));
    finish(s, &r);
}

static json_object *two_presses(script *s, guint nth, const char *method, const char *path, json_object *body,
                                GError **error)
{
    if (g_str_equal(method, "POST")) {
        kill(getpid(), SIGINT);
        return script_json(RUNNING(6));
    }
    if (nth == 1)
        return script_json(RUNNING(5));
    kill(getpid(), SIGINT);
    script_wait(s, 1); /* hangs until drv_follow() has returned: it must not wait for this */
    return script_json(ENDED("done"));
}

static void test_two_presses(void)
{
    script *s = script_new(two_presses, NULL);
    result r = follow(s, TRUE);

    g_assert_cmpint(r.end, ==, DRV_FOLLOW_LEFT);
    g_assert_no_error(r.error);
    g_assert_nonnull(strstr(r.shown, "job h1-7 goes on"));
    g_assert_nonnull(strstr(r.shown, "drover job h1-7 --follow"));
    script_mark(s, 1);
    finish(s, &r);
}

/* Who only looks on (`job --follow`) cancels nothing. */
static json_object *onlooker(script *s, guint nth, const char *method, const char *path, json_object *body,
                             GError **error)
{
    g_assert_cmpstr(method, ==, "GET");
    if (nth == 1)
        return script_json(RUNNING(5));
    kill(getpid(), SIGINT);
    script_wait(s, 1);
    return script_json(RUNNING(6));
}

static void test_onlooker(void)
{
    script *s = script_new(onlooker, NULL);
    result r = follow(s, FALSE);

    g_assert_cmpint(r.end, ==, DRV_FOLLOW_LEFT);
    script_mark(s, 1);
    finish(s, &r);
}

/* Too late to cancel: that is said, and the end is waited for. */
static json_object *too_late(script *s, guint nth, const char *method, const char *path, json_object *body,
                             GError **error)
{
    g_autofree char *job = g_strdup_printf("{'id':'h1-7','revision':%u,'ended':false}", nth);

    if (g_str_equal(method, "POST")) {
        script_mark(s, 1);
        return script_fail(error, DRV_ERROR_CONFLICT, "the VM is being switched over");
    }
    if (nth == 1) {
        kill(getpid(), SIGINT);
        return script_json(job);
    }
    script_wait(s, 1);
    return script_json(ENDED("done"));
}

static void test_too_late(void)
{
    script *s = script_new(too_late, NULL);
    result r = follow(s, TRUE);

    g_assert_cmpint(r.end, ==, DRV_FOLLOW_ENDED);
    g_assert_cmpstr(drv_json_string(r.job, "state", NULL), ==, "done");
    finish(s, &r);
}

/*
 * A cancel that did not get through to a droverd that is away is asked for again when it
 * is back. Each look answers with a greater revision, so that the next follows at once.
 */
static json_object *cancel_later(script *s, guint nth, const char *method, const char *path, json_object *body,
                                 GError **error)
{
    gboolean got_through;
    g_autofree char *job = g_strdup_printf("{'id':'h1-7','revision':%u,'ended':false}", nth);

    if (g_str_equal(method, "POST")) {
        /* Only one of these runs at a time: the second begins when the first has failed. */
        if (!s->data) {
            s->data = s;
            return script_fail(error, DRV_ERROR_UNREACHABLE, "connection refused");
        }
        script_mark(s, 1);
        return script_json(RUNNING(8));
    }
    if (nth == 1)
        kill(getpid(), SIGINT);
    g_thread_yield();
    g_mutex_lock(&s->lock);
    got_through = s->mark == 1;
    g_mutex_unlock(&s->lock);
    return script_json(got_through ? ENDED("rolled-back") : job);
}

static void test_cancel_later(void)
{
    script *s = script_new(cancel_later, NULL);
    result r = follow(s, TRUE);

    g_assert_cmpint(r.end, ==, DRV_FOLLOW_ENDED);
    g_assert_cmpuint(s->mark, ==, 1);
    finish(s, &r);
}

/* The signals are as before when it returns. */
static void test_signals_restored(void)
{
    script *s = script_new(three_looks, NULL);
    sigset_t before, after;
    result r;

    pthread_sigmask(SIG_SETMASK, NULL, &before);
    r = follow(s, TRUE);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    g_assert_cmpint(sigismember(&before, SIGINT), ==, sigismember(&after, SIGINT));
    g_assert_cmpint(sigismember(&after, SIGINT), ==, 0);
    finish(s, &r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN); /* as the programs do */
    g_test_add_func("/cli/follow/end", test_to_the_end);
    g_test_add_func("/cli/follow/reconnect", test_reconnect);
    g_test_add_func("/cli/follow/lost", test_lost);
    g_test_add_func("/cli/follow/unknown", test_unknown);
    g_test_add_func("/cli/follow/one-press", test_one_press);
    g_test_add_func("/cli/follow/two-presses", test_two_presses);
    g_test_add_func("/cli/follow/onlooker", test_onlooker);
    g_test_add_func("/cli/follow/too-late", test_too_late);
    g_test_add_func("/cli/follow/cancel-later", test_cancel_later);
    g_test_add_func("/cli/follow/signals", test_signals_restored);
    return g_test_run();
}
