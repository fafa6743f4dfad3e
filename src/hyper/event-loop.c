/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libvirt's event loop on a GMainContext of its own, in a thread of its own.
 *
 * libvirt's built-in loop (virEventRegisterDefaultImpl) puts its sources into
 * GLib's default context, which is the main loop of droverd: whoever iterates that
 * would run libvirt's callbacks. A libvirt registration is for the whole process and
 * cannot be undone, so this is the one piece of process-wide state in this room.
 *
 * Rules that libvirt makes: any thread may add, update and remove at any time, also
 * from within a callback; the free function runs from the loop, never from within
 * remove (the caller holds locks); after remove no callback begins. All callbacks
 * and free functions run in this thread, so one that is on its way while another
 * thread removes its watch still has its data.
 */
#include "hyper/event-loop.h"

#include <glib-unix.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

typedef struct {
    int id;
    int fd;          /* -1: a timer */
    int events;      /* virEventHandleType bits */
    int interval_ms; /* of a timer; negative: off */
    GSource *source; /* NULL while nothing is awaited; guarded by loop.lock */
    virEventHandleCallback handle_cb;
    virEventTimeoutCallback timeout_cb;
    void *opaque;
    virFreeCallback free_cb;
} watch;

static struct {
    GMutex lock; /* guards all below but context */
    GMainContext *context;
    GHashTable *watches; /* id → watch; what was removed is not in it */
    int last_id;
} loop;

static GIOCondition condition_of(int events)
{
    return (GIOCondition)((events & VIR_EVENT_HANDLE_READABLE ? G_IO_IN : 0) |
                          (events & VIR_EVENT_HANDLE_WRITABLE ? G_IO_OUT : 0) |
                          (events & VIR_EVENT_HANDLE_ERROR ? G_IO_ERR : 0) |
                          (events & VIR_EVENT_HANDLE_HANGUP ? G_IO_HUP : 0));
}

static int events_of(GIOCondition condition)
{
    return (condition & G_IO_IN ? VIR_EVENT_HANDLE_READABLE : 0) |
           (condition & G_IO_OUT ? VIR_EVENT_HANDLE_WRITABLE : 0) |
           (condition & (G_IO_ERR | G_IO_NVAL) ? VIR_EVENT_HANDLE_ERROR : 0) |
           (condition & G_IO_HUP ? VIR_EVENT_HANDLE_HANGUP : 0);
}

/* Copies what a callback needs, so that it runs without the lock. FALSE: removed meanwhile. */
static gboolean look_up(int id, watch *copy)
{
    watch *found;

    g_mutex_lock(&loop.lock);
    found = g_hash_table_lookup(loop.watches, GINT_TO_POINTER(id));
    if (found)
        *copy = *found;
    g_mutex_unlock(&loop.lock);
    return found != NULL;
}

static gboolean on_fd(gint fd, GIOCondition condition, gpointer data)
{
    watch copy;

    if (!look_up(GPOINTER_TO_INT(data), &copy))
        return G_SOURCE_REMOVE;
    copy.handle_cb(copy.id, fd, events_of(condition), copy.opaque);
    return G_SOURCE_CONTINUE;
}

static gboolean on_timeout(gpointer data)
{
    watch copy;

    if (!look_up(GPOINTER_TO_INT(data), &copy))
        return G_SOURCE_REMOVE;
    copy.timeout_cb(copy.id, copy.opaque);
    return G_SOURCE_CONTINUE;
}

static void disarm(watch *w)
{
    if (w->source) {
        g_source_destroy(w->source);
        g_source_unref(w->source);
        w->source = NULL;
    }
}

/* With the lock held: a source is not changed but replaced, which is safe from any thread. */
static void arm(watch *w)
{
    disarm(w);
    if (w->fd >= 0) {
        if (w->events == 0)
            return;
        w->source = g_unix_fd_source_new(w->fd, condition_of(w->events));
        g_source_set_callback(w->source, G_SOURCE_FUNC(on_fd), GINT_TO_POINTER(w->id), NULL);
    } else {
        if (w->interval_ms < 0)
            return;
        w->source = w->interval_ms == 0 ? g_idle_source_new() : g_timeout_source_new((guint)w->interval_ms);
        g_source_set_priority(w->source, G_PRIORITY_DEFAULT);
        g_source_set_callback(w->source, on_timeout, GINT_TO_POINTER(w->id), NULL);
    }
    g_source_attach(w->source, loop.context);
}

static int add(watch w)
{
    watch *copy = g_memdup2(&w, sizeof(w));
    int id;

    g_mutex_lock(&loop.lock);
    id = copy->id = ++loop.last_id;
    g_hash_table_insert(loop.watches, GINT_TO_POINTER(id), copy);
    arm(copy);
    g_mutex_unlock(&loop.lock);
    return id;
}

static int add_handle(int fd, int events, virEventHandleCallback cb, void *opaque, virFreeCallback free_cb)
{
    return add((watch){.fd = fd, .events = events, .handle_cb = cb, .opaque = opaque, .free_cb = free_cb});
}

static int add_timeout(int interval_ms, virEventTimeoutCallback cb, void *opaque, virFreeCallback free_cb)
{
    return add((watch){.fd = -1, .interval_ms = interval_ms, .timeout_cb = cb, .opaque = opaque, .free_cb = free_cb});
}

static void update_handle(int id, int events)
{
    watch *w;

    g_mutex_lock(&loop.lock);
    w = g_hash_table_lookup(loop.watches, GINT_TO_POINTER(id));
    if (w && w->fd >= 0 && w->events != events) {
        w->events = events;
        arm(w);
    }
    g_mutex_unlock(&loop.lock);
}

static void update_timeout(int id, int interval_ms)
{
    watch *w;

    g_mutex_lock(&loop.lock);
    w = g_hash_table_lookup(loop.watches, GINT_TO_POINTER(id));
    if (w && w->fd < 0) {
        w->interval_ms = interval_ms;
        arm(w); /* also when it is the same: an update begins the interval anew */
    }
    g_mutex_unlock(&loop.lock);
}

static gboolean on_removed(gpointer data)
{
    watch *w = data;

    if (w->free_cb)
        w->free_cb(w->opaque);
    g_free(w);
    return G_SOURCE_REMOVE;
}

static int remove_watch(int id)
{
    watch *w;

    g_mutex_lock(&loop.lock);
    w = g_hash_table_lookup(loop.watches, GINT_TO_POINTER(id));
    if (w) {
        g_hash_table_steal(loop.watches, GINT_TO_POINTER(id));
        disarm(w);
    }
    g_mutex_unlock(&loop.lock);
    if (!w)
        return -1;

    g_autoptr(GSource) later = g_idle_source_new();
    g_source_set_priority(later, G_PRIORITY_DEFAULT);
    g_source_set_callback(later, on_removed, w, NULL);
    g_source_attach(later, loop.context);
    return 0;
}

static gpointer run(gpointer data)
{
    g_autoptr(GMainLoop) forever = g_main_loop_new(loop.context, FALSE);

    g_main_loop_run(forever);
    return NULL;
}

static void silent(void *data, virErrorPtr err)
{
}

static gpointer start(gpointer data)
{
    loop.context = g_main_context_new();
    loop.watches = g_hash_table_new(NULL, NULL);
    virInitialize();
    virSetErrorFunc(NULL, silent); /* errors are returned; programs log */
    virEventRegisterImpl(add_handle, update_handle, remove_watch, add_timeout, update_timeout, remove_watch);
    g_thread_unref(g_thread_new("libvirt-events", run, NULL));
    return &loop;
}

void drv_event_loop_start(void)
{
    static GOnce once = G_ONCE_INIT;

    g_once(&once, start, NULL);
}
