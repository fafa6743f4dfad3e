/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one connection to libvirt: opened at the first call, opened again at the first
 * call after it was lost, with keepalive, so that a libvirtd that hangs costs a call some
 * seconds and no more, and with the lifecycle events registered at each opening.
 *
 * Opening is done by a thread of its own: before it is open a connection has no
 * keepalive, and a libvirtd that accepts and then says nothing would hold everybody.
 * Who needs the connection waits for that thread with a deadline.
 */
#include "hyper/connection.h"

#include "base/clock.h"
#include "hyper/event-loop.h"

#define OPEN_TIMEOUT_S 10
/* A libvirtd that is silent for (count + 1) * interval = 30 s is lost. */
#define KEEPALIVE_INTERVAL_S 5
#define KEEPALIVE_COUNT 5

/* What events need; outlives the drv_hyper when an event is on its way. */
typedef struct {
    GMutex lock; /* guards the fields, and is held while func runs */
    drv_hyper_pause_func func;
    gpointer data;
} pause_hook;

struct drv_hyper {
    gint refs; /* the owner's and the opening thread's; atomic */
    char *uri;
    pause_hook *hook;

    GMutex lock; /* guards all below */
    GCond changed;
    virConnectPtr connection;
    int callback; /* of the lifecycle events, on @connection */
    gboolean opening;
    guint64 attempts; /* finished ones */
    GError *failure;  /* why the last attempt failed */
};

static void hook_clear(gpointer data)
{
    g_mutex_clear(&((pause_hook *)data)->lock);
}

static void hook_unref(void *hook)
{
    g_atomic_rc_box_release_full(hook, hook_clear);
}

static int on_lifecycle(virConnectPtr connection, virDomainPtr domain, int event, int detail,
                        void *data)
{
    pause_hook *hook = data;
    gint64 now_us = drv_clock_us();
    char uuid[VIR_UUID_STRING_BUFLEN];

    if (event != VIR_DOMAIN_EVENT_SUSPENDED || detail != VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED ||
        virDomainGetUUIDString(domain, uuid) < 0)
        return 0;
    g_mutex_lock(&hook->lock);
    if (hook->func)
        hook->func(uuid, now_us, hook->data);
    g_mutex_unlock(&hook->lock);
    return 0;
}

drv_hyper *drv_hyper_new(const char *uri)
{
    drv_hyper *hyper = g_new0(drv_hyper, 1);

    drv_event_loop_start();
    hyper->refs = 1;
    hyper->uri = g_strdup(uri);
    hyper->callback = -1;
    hyper->hook = g_atomic_rc_box_new0(pause_hook);
    g_mutex_init(&hyper->hook->lock);
    g_mutex_init(&hyper->lock);
    g_cond_init(&hyper->changed);
    return hyper;
}

/* With the lock held, or nobody else left. Others that still use the connection have references. */
static void drop_connection(drv_hyper *hyper)
{
    if (!hyper->connection)
        return;
    if (hyper->callback >= 0)
        virConnectDomainEventDeregisterAny(hyper->connection, hyper->callback);
    virConnectClose(hyper->connection);
    hyper->connection = NULL;
    hyper->callback = -1;
}

static void unref(drv_hyper *hyper)
{
    if (!g_atomic_int_dec_and_test(&hyper->refs))
        return;
    drop_connection(hyper);
    g_clear_error(&hyper->failure);
    hook_unref(hyper->hook);
    g_mutex_clear(&hyper->lock);
    g_cond_clear(&hyper->changed);
    g_free(hyper->uri);
    g_free(hyper);
}

void drv_hyper_free(drv_hyper *hyper)
{
    if (!hyper)
        return;
    drv_hyper_on_pause(hyper, NULL, NULL);
    unref(hyper);
}

const char *drv_hyper_uri(drv_hyper *hyper)
{
    return hyper->uri;
}

void drv_hyper_on_pause(drv_hyper *hyper, drv_hyper_pause_func func, gpointer data)
{
    g_mutex_lock(&hyper->hook->lock);
    hyper->hook->func = func;
    hyper->hook->data = data;
    g_mutex_unlock(&hyper->hook->lock);
}

static gpointer open_connection(gpointer data)
{
    drv_hyper *hyper = data;
    g_autoptr(GError) failure = NULL;
    virConnectPtr connection = virConnectOpen(hyper->uri);
    int callback = -1;

    if (!connection) {
        drv_hyper_take_error(&failure, "cannot reach libvirt at %s", hyper->uri);
        failure->code = failure->code == DRV_ERROR_DENIED ? DRV_ERROR_DENIED
                                                          : DRV_ERROR_UNREACHABLE;
        g_autofree char *why = g_steal_pointer(&failure->message);
        failure->message =
            g_strdup_printf("%s; is libvirtd running? (systemctl status libvirtd)", why);
    } else {
        /* Neither is everywhere (the test driver has no keepalive): without them calls still work. */
        if (virConnectSetKeepAlive(connection, KEEPALIVE_INTERVAL_S, KEEPALIVE_COUNT) < 0)
            virResetLastError();
        callback = virConnectDomainEventRegisterAny(
            connection, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle),
            g_atomic_rc_box_acquire(hyper->hook), hook_unref);
        if (callback < 0) {
            hook_unref(hyper->hook);
            virResetLastError();
        }
    }

    g_mutex_lock(&hyper->lock);
    drop_connection(hyper);
    hyper->connection = connection;
    hyper->callback = callback;
    hyper->opening = FALSE;
    hyper->attempts++;
    g_clear_error(&hyper->failure);
    hyper->failure = g_steal_pointer(&failure);
    g_cond_broadcast(&hyper->changed);
    g_mutex_unlock(&hyper->lock);
    unref(hyper);
    return NULL;
}

virConnectPtr drv_hyper_connection(drv_hyper *hyper, GError **error)
{
    gint64 deadline_us = g_get_monotonic_time() + OPEN_TIMEOUT_S * G_TIME_SPAN_SECOND;
    virConnectPtr result = NULL;

    g_mutex_lock(&hyper->lock);
    if (!hyper->connection || virConnectIsAlive(hyper->connection) != 1) {
        guint64 seen = hyper->attempts;

        if (!hyper->opening) {
            hyper->opening = TRUE;
            g_atomic_int_inc(&hyper->refs);
            g_thread_unref(g_thread_new("libvirt-open", open_connection, hyper));
        }
        while (hyper->attempts == seen &&
               g_cond_wait_until(&hyper->changed, &hyper->lock, deadline_us))
            ;
        if (hyper->attempts == seen)
            g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE,
                        "libvirt at %s accepts connections but does not answer within %d s: "
                        "look at its log and restart it (systemctl restart libvirtd; guests go on)",
                        hyper->uri, OPEN_TIMEOUT_S);
        else if (hyper->failure)
            g_propagate_error(error, g_error_copy(hyper->failure));
        else
            result = hyper->connection;
    } else {
        result = hyper->connection;
    }
    if (result)
        virConnectRef(result);
    g_mutex_unlock(&hyper->lock);
    return result;
}

virDomainPtr drv_hyper_lookup(drv_hyper *hyper, const char *uuid, GError **error)
{
    g_autoptr(virConnect) connection = drv_hyper_connection(hyper, error);
    virDomainPtr domain;

    if (!connection)
        return NULL;
    domain = virDomainLookupByUUIDString(connection, uuid);
    if (!domain && virGetLastErrorCode() == VIR_ERR_NO_DOMAIN)
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "there is no VM %s on this host", uuid);
    else if (!domain)
        drv_hyper_take_error(error, "cannot look up VM %s", uuid);
    return domain;
}
