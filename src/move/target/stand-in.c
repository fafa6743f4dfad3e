/* SPDX-License-Identifier: Apache-2.0 */
/* In droverd's place at the switchover: see stand-in.h. */
#include "move/target/stand-in.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/durable.h"
#include "base/fault.h"
#include "base/log.h"
#include "hyper/domain-xml.h"
#include "hyper/domain.h"
#include "relay/control/control.h"

#define RETRY_MS 250
/* libvirt answers such a question within milliseconds, or it hangs. */
#define SLOW_MS 3000

/*
 * The source's libvirtd has the reply and the guest is not resumed yet: how long droverd may still
 * take. Return: TRUE when it is up to us.
 */
static gboolean wait_for_turn(const drv_stand_in *it, drv_relay *relay, const drv_decision *decision)
{
    gint64 until_ms = 0;

    while (!drv_decision_is_over(decision) && drv_decision_get(decision) != DRV_DECISION_ABANDON) {
        gint64 left_ms = until_ms ? until_ms - drv_clock_ms() : G_MAXINT / 2;
        struct drv_relay_status status = {0};
        int rc;

        if (until_ms && left_ms <= 0)
            return TRUE;
        rc = relay ? drv_relay_next(relay, &status, (int)left_ms, NULL) : -ETIMEDOUT;
        if (rc == 0 && status.resumed)
            return FALSE;
        if (rc == 0 && status.finish_ok && !until_ms)
            until_ms = drv_clock_ms() + it->after_ms;
        if (rc == 0 || rc == -ETIMEDOUT) {
            if (!relay)
                g_usleep((gulong)CLAMP(left_ms, 1, RETRY_MS) * 1000);
            continue;
        }
        /* The relay has gone. What it has said remains true; if it has said nothing, nobody will. */
        if (!until_ms)
            return FALSE;
        relay = NULL;
    }
    return FALSE;
}

/* libvirt's calls block: who waits for one says so from a thread of its own. */
typedef struct {
    const drv_stand_in *it;
    const drv_decision *decision;
    GMutex lock;
    GCond changed;
    gboolean answered;
} patience;

static gpointer complain(gpointer data)
{
    patience *p = data;
    gint64 until_us = g_get_monotonic_time() + SLOW_MS * G_TIME_SPAN_MILLISECOND;
    gboolean in_time = TRUE;

    g_mutex_lock(&p->lock);
    while (!p->answered && in_time)
        in_time = g_cond_wait_until(&p->changed, &p->lock, until_us);
    if (!p->answered)
        drv_log_error("%s stands still: libvirtd on this host does not answer, or its QEMU does not answer libvirtd, "
                      "and nobody else can resume it. If 'virsh list' hangs, restart libvirtd ('systemctl restart "
                      "libvirtd'; guests go on) session=%s",
                      p->it->vm, p->it->session);
    g_mutex_unlock(&p->lock);
    return NULL;
}

typedef enum { RESUMED, NEEDLESS, FAILED } outcome;

static outcome resume(patience *p, drv_hyper *hyper, GError **error)
{
    const drv_stand_in *it = p->it;
    g_autoptr(GError) problem = NULL;
    g_autoptr(drv_domain) domain = drv_hyper_domain(hyper, it->uuid, &problem);

    if (!domain && g_error_matches(problem, DRV_ERROR, DRV_ERROR_NOT_FOUND)) {
        drv_log_error("%s is gone: there is nothing to resume session=%s", it->vm, it->session);
        return NEEDLESS;
    }
    if (!domain) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return FAILED;
    }
    /* It runs, or somebody has stopped it since. */
    if (!drv_domain_just_arrived(domain))
        return NEEDLESS;
    drv_fault("stand-in-before-resume");
    /* droverd may have been faster after all. */
    if (drv_decision_get(p->decision) == DRV_DECISION_RESUMED)
        return NEEDLESS;
    return drv_hyper_resume(hyper, it->uuid, error) ? RESUMED : FAILED;
}

static outcome resume_patiently(const drv_stand_in *it, drv_hyper *hyper, const drv_decision *decision, GError **error)
{
    patience p = {.it = it, .decision = decision};
    GThread *thread;
    outcome what;

    g_mutex_init(&p.lock);
    g_cond_init(&p.changed);
    thread = g_thread_new("patience", complain, &p);
    what = resume(&p, hyper, error);
    g_mutex_lock(&p.lock);
    p.answered = TRUE;
    g_cond_signal(&p.changed);
    g_mutex_unlock(&p.lock);
    g_thread_join(thread);
    g_mutex_clear(&p.lock);
    g_cond_clear(&p.changed);
    return what;
}

/* Should the host die before droverd has looked: the copy has run, and its images are the VM's. */
static void record(const drv_stand_in *it)
{
    struct drv_error problem = {0};

    if (it->record && drv_durable_write(it->record, "", 0, 0600, &problem) < 0)
        drv_log_warning("that %s was resumed could not be recorded: %s session=%s", it->vm, problem.message,
                        it->session);
}

gboolean drv_stand_in_run(const drv_stand_in *it, drv_hyper *hyper, drv_decision *decision)
{
    g_autofree char *complaint = NULL;
    drv_relay *relay = NULL;
    outcome what = FAILED;

    if (drv_relay_open(it->dir, &relay, NULL) < 0)
        return FALSE;
    if (drv_relay_stand_by(relay, NULL) < 0 || !wait_for_turn(it, relay, decision)) {
        drv_relay_close(relay);
        return FALSE;
    }
    drv_relay_close(relay);
    drv_fault("stand-in-told");
    if (!drv_decision_take(decision, DRV_DECISION_RESUME))
        return FALSE;
    drv_fault("stand-in-decided");
    drv_log_warning("droverd has not resumed %s %u ms after the hand-over: it is resumed in its place session=%s",
                    it->vm, it->after_ms, it->session);
    while (what == FAILED && !drv_decision_is_over(decision)) {
        g_autoptr(GError) error = NULL;

        what = resume_patiently(it, hyper, decision, &error);
        if (what != FAILED)
            break;
        if (g_strcmp0(complaint, error->message) != 0) {
            g_free(complaint);
            complaint = g_strdup(error->message);
            drv_log_error("cannot resume %s: %s session=%s", it->vm, complaint, it->session);
        }
        g_usleep(RETRY_MS * 1000);
    }
    drv_fault("stand-in-resumed");
    if (what == RESUMED) {
        drv_decision_note_resumed(decision);
        record(it);
        drv_log_notice("%s goes on here session=%s", it->vm, it->session);
    }
    /* The source counts the downtime up to this; droverd may have been frozen before it could tell. */
    if (what != FAILED && drv_relay_open(it->dir, &relay, NULL) == 0) {
        drv_relay_tell_resumed(relay, NULL);
        drv_relay_close(relay);
    }
    return what == RESUMED;
}

static void own_session(gpointer data)
{
    (void)setsid();
}

void drv_stand_in_start(const char *program, const char *uri, const drv_stand_in *it)
{
    g_autofree char *dir = g_strconcat("--dir=", it->dir, NULL);
    g_autofree char *connect = g_strconcat("--connect=", uri, NULL);
    g_autofree char *uuid = g_strconcat("--uuid=", it->uuid, NULL);
    g_autofree char *vm = g_strconcat("--vm=", it->vm, NULL);
    g_autofree char *to = it->record ? g_strconcat("--record=", it->record, NULL) : NULL;
    char *argv[] = {(char *)program, dir, connect, uuid, vm, to, NULL};
    g_autoptr(GError) error = NULL;

    /* GLib's process in between ends at once, so that nobody has to wait for this one. */
    if (!g_spawn_async("/", argv, NULL, G_SPAWN_DEFAULT, own_session, NULL, NULL, &error))
        drv_log_warning("nobody stands in for droverd when %s arrives: %s session=%s", it->vm, error->message,
                        it->session);
}
