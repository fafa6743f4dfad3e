/* SPDX-License-Identifier: Apache-2.0 */
/* Following a job to its end: see follow.h. */
#include "cli/follow.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/display.h"
#include "hyper/gerror.h"

#define RETRY_MOST_MS 3000
/* A droverd that answers a long poll at once with nothing new is asked again after this. */
#define IDLE_MS 500

typedef enum { ANSWER_JOB, ANSWER_CANCEL } answer_kind;

typedef struct {
    answer_kind kind;
    json_object *object; /* NULL: error */
    GError *error;
} answer;

/* Shared by the threads; whoever leaves last frees it. */
typedef struct {
    int refs;
    drv_cli_api *api;
    char *job;
    guint wait_ms;
    GAsyncQueue *requests; /* of char*: paths to GET; "" ends the thread */
    GAsyncQueue *answers;
    int ready; /* eventfd: there are answers */
} shared;

typedef struct {
    const drv_follow_options *options;
    shared *with;
    guint64 revision;
    gint64 asked_ms; /* when the request that runs was made */
    gint64 retry_at; /* 0: a request runs */
    guint retry_ms;  /* the next pause */
    gint64 gone_ms;  /* since when droverd does not answer; 0: it does */
    gboolean stop;   /* Ctrl-C was pressed */
    gboolean resend; /* asking for the end did not get through */
    json_object *job;
    gboolean finished;
    drv_follow_end end;
    GError *error;
} follow;

static void answer_free(gpointer data)
{
    answer *a = data;

    json_object_put(a->object);
    g_clear_error(&a->error);
    g_free(a);
}

static void shared_unref(shared *with)
{
    if (!g_atomic_int_dec_and_test(&with->refs))
        return;
    drv_cli_api_unref(with->api);
    g_free(with->job);
    g_async_queue_unref(with->requests);
    g_async_queue_unref(with->answers);
    close(with->ready);
    g_free(with);
}

static void answered(shared *with, answer_kind kind, json_object *object, GError *error)
{
    answer *a = g_new0(answer, 1);

    a->kind = kind;
    a->object = object;
    a->error = error;
    g_async_queue_push(with->answers, a);
    /* Cannot fail: the counter would have to overflow. */
    eventfd_write(with->ready, 1);
}

static gpointer asking_thread(gpointer data)
{
    shared *with = data;

    for (;;) {
        g_autofree char *path = g_async_queue_pop(with->requests);
        GError *error = NULL;
        json_object *object;

        if (!*path)
            break;
        object = with->api->call(with->api, "GET", path, NULL, with->wait_ms + 10000, &error);
        answered(with, ANSWER_JOB, object, error);
    }
    shared_unref(with);
    return NULL;
}

static gpointer cancelling_thread(gpointer data)
{
    shared *with = data;
    g_autofree char *path = drv_cli_path("/v1/jobs/", with->job, "/cancel");
    GError *error = NULL;
    json_object *object = with->api->call(with->api, "POST", path, NULL, 0, &error);

    answered(with, ANSWER_CANCEL, object, error);
    shared_unref(with);
    return NULL;
}

static void start(shared *with, const char *name, GThreadFunc func)
{
    g_atomic_int_inc(&with->refs);
    g_thread_unref(g_thread_new(name, func, with));
}

static void finish(follow *f, drv_follow_end end)
{
    f->finished = TRUE;
    f->end = end;
}

static void ask(follow *f)
{
    g_autofree char *query =
        f->job ? g_strdup_printf("?after=%" G_GUINT64_FORMAT "&wait_ms=%u", f->revision, f->with->wait_ms)
               : g_strdup("");

    f->retry_at = 0;
    f->asked_ms = drv_clock_ms();
    g_async_queue_push(f->with->requests, drv_cli_path("/v1/jobs/", f->with->job, query));
}

static void take_job(follow *f, json_object *job)
{
    guint64 before = f->revision;
    gboolean first = !f->job;

    json_object_put(f->job);
    f->job = json_object_get(job);
    f->retry_ms = 0;
    if (f->gone_ms) {
        f->gone_ms = 0;
        drv_display_message(f->options->display, "droverd answers again");
    }
    if (f->resend) {
        f->resend = FALSE;
        start(f->with, "cancel", cancelling_thread);
    }
    drv_display_job(f->options->display, job);
    if (drv_json_bool(job, "ended")) {
        finish(f, DRV_FOLLOW_ENDED);
        return;
    }
    if (!drv_show_get_number(job, "revision", &f->revision))
        f->revision = before;
    if (first || f->revision > before || drv_clock_ms() - f->asked_ms >= f->with->wait_ms / 2)
        ask(f);
    else
        f->retry_at = drv_clock_ms() + IDLE_MS;
}

static gboolean worth_a_new_try(const GError *error)
{
    return error->domain != DRV_ERROR || error->code == DRV_ERROR_UNREACHABLE || error->code == DRV_ERROR_FAILED;
}

static void take_error(follow *f, const GError *error)
{
    gint64 now = drv_clock_ms();
    guint patience = f->options->patience_ms ? f->options->patience_ms : 180000;

    if (!worth_a_new_try(error)) {
        f->error = g_error_copy(error);
        finish(f, DRV_FOLLOW_ERROR);
        return;
    }
    if (!f->gone_ms) {
        f->gone_ms = now;
        drv_display_message(f->options->display, "droverd does not answer (%s); the move goes on, trying again",
                            error->message);
    } else if (now - f->gone_ms >= patience) {
        f->error = g_error_new(DRV_ERROR, DRV_ERROR_UNREACHABLE,
                               "droverd has not come back: %s. Job %s may go on without it; once "
                               "droverd runs, “drover job %s” tells",
                               error->message, f->options->job, f->options->job);
        finish(f, DRV_FOLLOW_LOST);
        return;
    }
    if (!f->retry_ms)
        f->retry_ms = f->options->retry_ms ? f->options->retry_ms : 200;
    f->retry_at = now + f->retry_ms;
    f->retry_ms = MIN(f->retry_ms * 2, RETRY_MOST_MS);
}

static void take_cancel(follow *f, const GError *error)
{
    if (!error)
        return;
    if (error->domain == DRV_ERROR && error->code == DRV_ERROR_UNREACHABLE) {
        f->resend = TRUE;
        return;
    }
    drv_display_message(f->options->display, "it cannot be cancelled: %s; waiting for its end", error->message);
}

static void take_answers(follow *f)
{
    eventfd_t count;
    answer *a;

    eventfd_read(f->with->ready, &count);
    while (!f->finished && (a = g_async_queue_try_pop(f->with->answers))) {
        if (a->kind == ANSWER_CANCEL)
            take_cancel(f, a->error);
        else if (a->object)
            take_job(f, a->object);
        else
            take_error(f, a->error);
        answer_free(a);
    }
}

static void take_signal(follow *f, guint32 number)
{
    const char *id = f->options->job;

    switch (number) {
    case SIGWINCH:
        drv_display_redraw(f->options->display);
        return;
    case SIGTSTP:
        drv_display_suspend(f->options->display);
        raise(SIGSTOP);
        drv_display_redraw(f->options->display);
        return;
    case SIGINT:
        if (f->options->cancels && !f->stop) {
            f->stop = TRUE;
            drv_display_message(f->options->display,
                                "asking for job %s to be cancelled, and waiting for its end "
                                "(Ctrl-C again: stop waiting)",
                                id);
            start(f->with, "cancel", cancelling_thread);
            return;
        }
        break;
    }
    drv_display_message(f->options->display, "no longer waiting; job %s goes on: “drover job %s --follow” shows it", id,
                        id);
    finish(f, DRV_FOLLOW_LEFT);
}

static void take_signals(follow *f, int fd)
{
    struct signalfd_siginfo info;

    while (!f->finished && read(fd, &info, sizeof(info)) == sizeof(info))
        take_signal(f, info.ssi_signo);
}

static void run(follow *f, int signals)
{
    ask(f);
    while (!f->finished) {
        struct pollfd fds[] = {{.fd = signals, .events = POLLIN}, {.fd = f->with->ready, .events = POLLIN}};
        gint64 wait = f->retry_at ? MAX(f->retry_at - drv_clock_ms(), 0) : -1;

        if (poll(fds, G_N_ELEMENTS(fds), (int)wait) < 0)
            continue; /* EINTR: nothing else is possible with these arguments */
        if (fds[0].revents)
            take_signals(f, signals);
        if (fds[1].revents && !f->finished)
            take_answers(f);
        if (!f->finished && f->retry_at && drv_clock_ms() >= f->retry_at)
            ask(f);
    }
}

drv_follow_end drv_follow(const drv_follow_options *options, json_object **job, GError **error)
{
    follow f = {.options = options};
    sigset_t taken, before;
    int signals;

    sigemptyset(&taken);
    sigaddset(&taken, SIGINT);
    sigaddset(&taken, SIGTERM);
    sigaddset(&taken, SIGHUP);
    sigaddset(&taken, SIGWINCH);
    sigaddset(&taken, SIGTSTP);
    /* Before the threads begin: they inherit it, and no signal goes past the descriptor. */
    pthread_sigmask(SIG_BLOCK, &taken, &before);
    signals = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
    f.with = g_new0(shared, 1);
    f.with->refs = 1;
    f.with->api = drv_cli_api_ref(options->api);
    f.with->job = g_strdup(options->job);
    f.with->wait_ms = options->wait_ms ? options->wait_ms : 25000;
    f.with->requests = g_async_queue_new_full(g_free);
    f.with->answers = g_async_queue_new_full(answer_free);
    f.with->ready = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (signals < 0 || f.with->ready < 0) {
        f.error = g_error_new(DRV_ERROR, DRV_ERROR_FAILED, "waiting for job %s: %s", options->job, g_strerror(errno));
        f.end = DRV_FOLLOW_ERROR;
    } else {
        start(f.with, "asking", asking_thread);
        run(&f, signals);
        g_async_queue_push(f.with->requests, g_strdup(""));
    }
    drv_display_suspend(options->display);
    shared_unref(f.with);
    if (signals >= 0)
        close(signals);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    *job = f.job;
    if (f.error)
        g_propagate_error(error, f.error);
    return f.end;
}
