/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to libvirt: opened when a call finds none idle, opened again after they
 * were lost, with keepalive, so that a libvirtd that hangs costs a call half a minute
 * and no more.
 *
 * A call has its connection for itself, though libvirt allows threads to share one: in
 * libvirt 9.0 (Debian 12; mended later) a thread that asks while another one waits for a long
 * call, such as a migration, may not be heard before the next keepalive: job statistics
 * then take 5 s (tried, nearly every time). Events have a connection of their own too.
 *
 * Opening is done by a thread of its own: before it is open a connection has no
 * keepalive, and a libvirtd that accepts and then says nothing would hold everybody.
 * Who needs a connection waits for that thread with a deadline.
 */
#include "hyper/connection.h"

#include "base/clock.h"
#include "hyper/event-loop.h"
#include "hyper/load.h"

#define OPEN_TIMEOUT_S 10
#define IDLE_MOST 4
/* A libvirtd that is silent for (count + 1) * interval = 30 s is lost. */
#define KEEPALIVE_INTERVAL_S 5
#define KEEPALIVE_COUNT 5

/* What events need; outlives the drv_hyper when an event is on its way. */
typedef struct {
    GMutex lock; /* guards the fields, and is held while func runs */
    drv_hyper_move_func func;
    gpointer data;
} move_hook;

struct drv_hyper {
    gint refs; /* the owner's and the opening thread's; atomic */
    char *uri;
    drv_load *load; /* has a lock of its own */
    move_hook *hook;

    GMutex lock; /* guards all below */
    GCond changed;
    GPtrArray *idle;      /* of virConnectPtr */
    gboolean opening;     /* one at a time */
    guint64 failures;     /* of opening, counted */
    GError *failure;      /* the last one */
    virConnectPtr events; /* only used to listen */
    int callback;         /* of the lifecycle events, on @events */
};

static void hook_clear(gpointer data)
{
    g_mutex_clear(&((move_hook *)data)->lock);
}

static void hook_unref(void *hook)
{
    g_atomic_rc_box_release_full(hook, hook_clear);
}

static gboolean move_event(int event, int detail, drv_move_event *which)
{
    static const struct {
        int event, detail;
        drv_move_event which;
    } events[] = {
        {VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED, DRV_MOVE_PAUSED},
        {VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY, DRV_MOVE_POST_COPY},
        {VIR_DOMAIN_EVENT_RESUMED, VIR_DOMAIN_EVENT_RESUMED_POSTCOPY, DRV_MOVE_ARRIVED},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(events); i++)
        if (events[i].event == event && events[i].detail == detail) {
            *which = events[i].which;
            return TRUE;
        }
    return FALSE;
}

static int on_lifecycle(virConnectPtr connection, virDomainPtr domain, int event, int detail, void *data)
{
    move_hook *hook = data;
    gint64 now_us = drv_clock_us();
    char uuid[VIR_UUID_STRING_BUFLEN];
    drv_move_event which;

    if (!move_event(event, detail, &which) || virDomainGetUUIDString(domain, uuid) < 0)
        return 0;
    g_mutex_lock(&hook->lock);
    if (hook->func)
        hook->func(uuid, which, now_us, hook->data);
    g_mutex_unlock(&hook->lock);
    return 0;
}

drv_hyper *drv_hyper_new(const char *uri)
{
    drv_hyper *hyper = g_new0(drv_hyper, 1);

    drv_event_loop_start();
    hyper->refs = 1;
    hyper->uri = g_strdup(uri);
    hyper->load = drv_load_new();
    hyper->callback = -1;
    hyper->hook = g_atomic_rc_box_new0(move_hook);
    g_mutex_init(&hyper->hook->lock);
    g_mutex_init(&hyper->lock);
    g_cond_init(&hyper->changed);
    hyper->idle = g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))virConnectClose);
    return hyper;
}

static void close_events(virConnectPtr events, int callback)
{
    if (!events)
        return;
    if (callback >= 0)
        virConnectDomainEventDeregisterAny(events, callback);
    virConnectClose(events);
}

static void unref(drv_hyper *hyper)
{
    if (!g_atomic_int_dec_and_test(&hyper->refs))
        return;
    close_events(hyper->events, hyper->callback);
    g_ptr_array_unref(hyper->idle);
    g_clear_error(&hyper->failure);
    hook_unref(hyper->hook);
    g_mutex_clear(&hyper->lock);
    g_cond_clear(&hyper->changed);
    drv_load_free(hyper->load);
    g_free(hyper->uri);
    g_free(hyper);
}

void drv_hyper_free(drv_hyper *hyper)
{
    if (!hyper)
        return;
    drv_hyper_on_move(hyper, NULL, NULL);
    unref(hyper);
}

drv_load *drv_hyper_load(drv_hyper *hyper)
{
    return hyper->load;
}

const char *drv_hyper_uri(drv_hyper *hyper)
{
    return hyper->uri;
}

void drv_hyper_on_move(drv_hyper *hyper, drv_hyper_move_func func, gpointer data)
{
    g_mutex_lock(&hyper->hook->lock);
    hyper->hook->func = func;
    hyper->hook->data = data;
    g_mutex_unlock(&hyper->hook->lock);
}

static virConnectPtr open_one(const char *uri, GError **error)
{
    g_autoptr(GError) failure = NULL;
    virConnectPtr connection = virConnectOpen(uri);

    if (!connection) {
        drv_hyper_take_error(&failure, "cannot reach libvirt at %s", uri);
        g_set_error(error, DRV_ERROR, failure->code == DRV_ERROR_DENIED ? DRV_ERROR_DENIED : DRV_ERROR_UNREACHABLE,
                    "%s; is libvirtd running? (systemctl status libvirtd)", failure->message);
        return NULL;
    }
    /* Not everywhere (the test driver has none): without it calls still work. */
    if (virConnectSetKeepAlive(connection, KEEPALIVE_INTERVAL_S, KEEPALIVE_COUNT) < 0)
        virResetLastError();
    return connection;
}

/* Only ever run by the one opening thread. */
static gboolean open_events(drv_hyper *hyper, GError **error)
{
    virConnectPtr events, lost;
    int callback, lost_callback;

    if (hyper->events && virConnectIsAlive(hyper->events) == 1)
        return TRUE;
    events = open_one(hyper->uri, error);
    if (!events)
        return FALSE;
    callback = virConnectDomainEventRegisterAny(events, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                                VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle),
                                                g_atomic_rc_box_acquire(hyper->hook), hook_unref);
    if (callback < 0) {
        drv_hyper_take_error(error, "cannot listen to libvirt's events at %s", hyper->uri);
        hook_unref(hyper->hook);
        virConnectClose(events);
        return FALSE;
    }
    g_mutex_lock(&hyper->lock);
    lost = g_steal_pointer(&hyper->events);
    lost_callback = hyper->callback;
    hyper->events = events;
    hyper->callback = callback;
    g_mutex_unlock(&hyper->lock);
    close_events(lost, lost_callback);
    return TRUE;
}

static gpointer open_thread(gpointer data)
{
    drv_hyper *hyper = data;
    g_autoptr(GError) failure = NULL;
    virConnectPtr connection = open_events(hyper, &failure) ? open_one(hyper->uri, &failure) : NULL;

    g_mutex_lock(&hyper->lock);
    hyper->opening = FALSE;
    if (connection) {
        g_ptr_array_add(hyper->idle, connection);
    } else {
        hyper->failures++;
        g_clear_error(&hyper->failure);
        hyper->failure = g_steal_pointer(&failure);
    }
    g_cond_broadcast(&hyper->changed);
    g_mutex_unlock(&hyper->lock);
    unref(hyper);
    return NULL;
}

/* With the lock held. A dead one is closed without a word to libvirtd: that does not block. */
static virConnectPtr take_idle(drv_hyper *hyper)
{
    while (hyper->idle->len > 0) {
        virConnectPtr connection = g_ptr_array_steal_index_fast(hyper->idle, hyper->idle->len - 1);

        if (virConnectIsAlive(connection) == 1)
            return connection;
        virConnectClose(connection);
    }
    return NULL;
}

static void start_opening(drv_hyper *hyper)
{
    if (hyper->opening)
        return;
    hyper->opening = TRUE;
    g_atomic_int_inc(&hyper->refs);
    g_thread_unref(g_thread_new("libvirt-open", open_thread, hyper));
}

drv_lease *drv_hyper_lease(drv_hyper *hyper, GError **error)
{
    gint64 deadline_us = g_get_monotonic_time() + OPEN_TIMEOUT_S * G_TIME_SPAN_SECOND;
    virConnectPtr connection;
    drv_lease *lease = NULL;
    guint64 seen;

    g_mutex_lock(&hyper->lock);
    seen = hyper->failures;
    while (!(connection = take_idle(hyper))) {
        if (hyper->failures != seen) {
            g_propagate_error(error, g_error_copy(hyper->failure));
            break;
        }
        start_opening(hyper);
        if (!g_cond_wait_until(&hyper->changed, &hyper->lock, deadline_us)) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE,
                        "libvirt at %s accepts connections but does not answer within %d s: "
                        "look at its log and restart it (systemctl restart libvirtd; guests go on)",
                        hyper->uri, OPEN_TIMEOUT_S);
            break;
        }
    }
    g_mutex_unlock(&hyper->lock);
    if (connection) {
        lease = g_new0(drv_lease, 1);
        lease->hyper = hyper;
        lease->connection = connection;
    }
    return lease;
}

void drv_lease_free(drv_lease *lease)
{
    drv_hyper *hyper;
    gboolean kept;

    if (!lease)
        return;
    hyper = lease->hyper;
    g_mutex_lock(&hyper->lock);
    kept = hyper->idle->len < IDLE_MOST && virConnectIsAlive(lease->connection) == 1;
    if (kept) {
        g_ptr_array_add(hyper->idle, lease->connection);
        g_cond_signal(&hyper->changed);
    }
    g_mutex_unlock(&hyper->lock);
    if (!kept)
        virConnectClose(lease->connection);
    g_free(lease);
}

virDomainPtr drv_lease_domain(drv_lease *lease, const char *uuid, GError **error)
{
    virDomainPtr domain = virDomainLookupByUUIDString(lease->connection, uuid);

    if (!domain && virGetLastErrorCode() == VIR_ERR_NO_DOMAIN)
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "there is no VM %s on this host", uuid);
    else if (!domain)
        drv_hyper_take_error(error, "cannot look up VM %s", uuid);
    return domain;
}
