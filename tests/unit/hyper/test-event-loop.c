/* SPDX-License-Identifier: Apache-2.0 */
/* The rules that libvirt makes for an event loop, through its own public calls. */
#include "hyper/event-loop.h"

#include <glib.h>
#include <libvirt/libvirt.h>
#include <unistd.h>

/* What the loop's thread reports to the test's. */
typedef struct {
    GMutex lock;
    GCond changed;
    int calls, events, freed;
    GThread *thread;
    int remove; /* a watch that the callback removes itself, or -1 */
} record;

static void record_init(record *r)
{
    *r = (record){.remove = -1};
    g_mutex_init(&r->lock);
    g_cond_init(&r->changed);
}

static void note(record *r, int events)
{
    g_mutex_lock(&r->lock);
    r->calls++;
    r->events |= events;
    r->thread = g_thread_self();
    g_cond_broadcast(&r->changed);
    g_mutex_unlock(&r->lock);
}

static void on_fd(int watch, int fd, int events, void *data)
{
    record *r = data;
    char byte;

    if (events & VIR_EVENT_HANDLE_READABLE)
        g_assert_cmpint(read(fd, &byte, 1), ==, 1);
    if (r->remove >= 0)
        g_assert_cmpint(virEventRemoveHandle(watch), ==, 0);
    note(r, events);
}

static void on_timer(int timer, void *data)
{
    record *r = data;

    if (r->remove >= 0)
        g_assert_cmpint(virEventRemoveTimeout(timer), ==, 0);
    note(r, 0);
}

static void on_free(void *data)
{
    record *r = data;

    g_mutex_lock(&r->lock);
    r->freed++;
    r->thread = g_thread_self();
    g_cond_broadcast(&r->changed);
    g_mutex_unlock(&r->lock);
}

static void wait_for(record *r, const int *what, int at_least)
{
    gint64 deadline_us = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;

    g_mutex_lock(&r->lock);
    while (*what < at_least)
        g_assert_true(g_cond_wait_until(&r->changed, &r->lock, deadline_us));
    g_mutex_unlock(&r->lock);
}

/* All that was asked before has been done by the loop when this returns. */
static void drain(void)
{
    record r;
    int timer;

    record_init(&r);
    timer = virEventAddTimeout(0, on_timer, &r, on_free);
    wait_for(&r, &r.calls, 1);
    virEventRemoveTimeout(timer);
    wait_for(&r, &r.freed, 1);
}

static void test_fd(void)
{
    record r;
    int ends[2], watch;

    record_init(&r);
    g_assert_cmpint(pipe(ends), ==, 0);
    watch = virEventAddHandle(ends[0], VIR_EVENT_HANDLE_READABLE, on_fd, &r, on_free);
    g_assert_cmpint(watch, >=, 0);
    g_assert_cmpint(write(ends[1], "a", 1), ==, 1);
    wait_for(&r, &r.calls, 1);
    g_assert_cmpint(r.events, ==, VIR_EVENT_HANDLE_READABLE);
    g_assert_true(r.thread != g_thread_self());

    virEventUpdateHandle(watch, 0); /* off: nothing is called */
    g_assert_cmpint(write(ends[1], "b", 1), ==, 1);
    drain();
    g_assert_cmpint(r.calls, ==, 1);
    virEventUpdateHandle(watch, VIR_EVENT_HANDLE_READABLE);
    wait_for(&r, &r.calls, 2);

    g_assert_cmpint(virEventRemoveHandle(watch), ==, 0);
    g_assert_cmpint(virEventRemoveHandle(watch), <, 0);
    wait_for(&r, &r.freed, 1);
    g_assert_cmpint(write(ends[1], "c", 1), ==, 1);
    drain();
    g_assert_cmpint(r.calls, ==, 2);
    g_assert_cmpint(r.freed, ==, 1);
    close(ends[0]);
    close(ends[1]);
}

static void test_hangup_and_writable(void)
{
    record reading, writing;
    int ends[2], read_watch, write_watch;

    record_init(&reading);
    record_init(&writing);
    reading.remove = writing.remove = 0;
    g_assert_cmpint(pipe(ends), ==, 0);
    write_watch = virEventAddHandle(ends[1], VIR_EVENT_HANDLE_WRITABLE, on_fd, &writing, on_free);
    g_assert_cmpint(write_watch, >=, 0);
    wait_for(&writing, &writing.freed, 1);
    g_assert_cmpint(writing.events, ==, VIR_EVENT_HANDLE_WRITABLE);
    g_assert_cmpint(writing.calls, ==, 1); /* it removed itself */
    close(ends[1]);
    read_watch = virEventAddHandle(ends[0], VIR_EVENT_HANDLE_HANGUP, on_fd, &reading, on_free);
    g_assert_cmpint(read_watch, >=, 0);
    wait_for(&reading, &reading.freed, 1);
    g_assert_cmpint(reading.events, ==, VIR_EVENT_HANDLE_HANGUP);
    close(ends[0]);
}

static void test_timer(void)
{
    record r;
    int timer;

    record_init(&r);
    timer = virEventAddTimeout(-1, on_timer, &r, on_free);
    drain();
    g_assert_cmpint(r.calls, ==, 0); /* off until it is set */
    virEventUpdateTimeout(timer, 1);
    wait_for(&r, &r.calls, 3); /* goes on */
    virEventUpdateTimeout(timer, -1);
    g_assert_cmpint(virEventRemoveTimeout(timer), ==, 0);
    wait_for(&r, &r.freed, 1);
}

static gpointer churn(gpointer data)
{
    record *r = data;

    for (int i = 0; i < 300; i++) {
        int timer = virEventAddTimeout(0, on_timer, r, on_free);

        virEventUpdateTimeout(timer, i % 2);
        virEventRemoveTimeout(timer);
    }
    return NULL;
}

/* Removed by other threads while it is about to be called: each is freed, exactly once. */
static void test_churn(void)
{
    GThread *threads[3];
    record r;

    record_init(&r);
    for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("churn", churn, &r);
    for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    wait_for(&r, &r.freed, 900);
    drain();
    g_assert_cmpint(r.freed, ==, 900);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    drv_event_loop_start();
    drv_event_loop_start();
    g_test_add_func("/hyper/loop/fd", test_fd);
    g_test_add_func("/hyper/loop/hangup-and-writable", test_hangup_and_writable);
    g_test_add_func("/hyper/loop/timer", test_timer);
    g_test_add_func("/hyper/loop/churn", test_churn);
    return g_test_run();
}
