/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who leads: see leader.h.
 *
 * With etcd the leader is who holds the claim "leader" there. It is kept up three times within its
 * time; the time ends at etcd, by etcd's clock. This droverd counts it from the moment at which
 * it asked, so it always stops before another one can begin; clocks of two hosts are never compared.
 * What it measures goes on while the host sleeps.
 */
#include "node/leader.h"

#include <time.h>

#include "base/log.h"
#include "model/json.h"
#include "model/working.h"
#include "store/gate.h"
#include "store/ops.h"

#define CLAIM "leader"
#define TTL_S 10
#define RENEW_MS 3000
#define PATIENCE_MS (2 * TTL_S * 1000) /* with nobody who leads: a claim has run out by then, and been taken */
#define AGAIN_MS 200
#define LOOK_MS 2000 /* without etcd: whether there is one by now */

struct drv_lead {
    GMutex lock;      /* guards what follows */
    gint64 until_ms;  /* it is this node's until then, by CLOCK_BOOTTIME */
    const char *place; /* in that store; one to which the data were moved has a leader of its own */
    char *holder;     /* who held it when it was asked last; NULL: not known */
    gint64 lease;     /* only the thread's */
    gboolean led;     /* the same: what was logged */
    gint64 revision;
};

static gint64 now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (gint64)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static gboolean with_etcd(drv_run *run)
{
    return run->shared && drv_store_is_shared(run->shared);
}

char *drv_run_leader(drv_run *run)
{
    g_autoptr(GPtrArray) members = NULL;
    char *holder = NULL;

    if (with_etcd(run)) {
        g_mutex_lock(&run->lead->lock);
        holder = g_strdup(run->lead->holder);
        g_mutex_unlock(&run->lead->lock);
        return holder;
    }
    members = run->peers->members(run->peers->data);
    for (guint i = 0; !holder && i < members->len; i++) {
        const drv_member *member = members->pdata[i];

        if (member->founder)
            holder = g_strdup(member->name);
    }
    return holder;
}

gboolean drv_run_leads(drv_run *run)
{
    g_autofree char *leader = NULL;
    gboolean leads;

    if (with_etcd(run)) {
        g_mutex_lock(&run->lead->lock);
        leads = now_ms() < run->lead->until_ms && run->lead->place == drv_store_place(run->shared);
        g_mutex_unlock(&run->lead->lock);
        return leads;
    }
    leader = drv_run_leader(run);
    return leader && g_str_equal(leader, run->node);
}

drv_store *drv_run_cluster_store(drv_run *run)
{
    if (run->shared)
        return drv_gate_is_open(run->shared) ? run->shared : NULL;
    return drv_run_leads(run) ? run->store : NULL;
}

drv_store *drv_run_lead_store(drv_run *run, GError **error)
{
    drv_store *store = drv_run_cluster_store(run);

    if (!store)
        g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE,
                    "%s does not lead (any more), or cannot reach the cluster's store: ask again", run->node);
    return store;
}

json_object *drv_run_ask_leader(drv_run *run, const char *what, const char *method, const char *path,
                                json_object *body, guint timeout_ms, GError **error)
{
    g_autofree char *leader = drv_run_leader(run);
    g_autoptr(GError) problem = NULL;
    json_object *answer = NULL;

    if (leader)
        answer = drv_run_call(run, leader, method, path, body, timeout_ms, &problem);
    else
        g_set_error(&problem, DRV_ERROR, DRV_ERROR_UNREACHABLE,
                    "this node does not know it yet: try again in some seconds");
    if (answer)
        return answer;
    if (problem->code == DRV_ERROR_UNREACHABLE)
        g_prefix_error(&problem, "%s by the node that leads, %s: ", what, leader ? leader : "?");
    g_propagate_error(error, g_steal_pointer(&problem));
    return NULL;
}

json_object *drv_run_act(drv_run *run, const char *node, const char *method, const char *path,
                         json_object *body, guint timeout_ms, GError **error)
{
    if (g_str_equal(node, run->node) || drv_run_leads(run))
        return drv_run_call(run, node, method, path, body, timeout_ms, error);
    g_set_error_literal(error, DRV_ELSEWHERE, 0, node);
    return NULL;
}

gboolean drv_run_is_leader(drv_run *run, const char *name)
{
    g_autofree char *leader = drv_run_leader(run);
    g_autoptr(drv_document) claim = NULL;
    g_autoptr(json_object) held = NULL;

    if (leader && g_str_equal(leader, name))
        return TRUE;
    if (!with_etcd(run))
        return FALSE;
    /* It may have begun to lead a moment ago. */
    claim = drv_store_get(run->shared, DRV_CLAIM_BUCKET, CLAIM, NULL);
    held = claim ? drv_json_parse(claim->json, "a claim", NULL) : NULL;
    return !g_strcmp0(drv_json_string(held, "holder", NULL), name);
}

gboolean drv_run_must_lead(drv_run *run, GError **error)
{
    gint64 until_ms = now_ms() + PATIENCE_MS;

    do {
        g_autofree char *leader = NULL;

        if (drv_run_leads(run))
            return TRUE;
        leader = drv_run_leader(run);
        if (leader && !g_str_equal(leader, run->node)) {
            g_set_error_literal(error, DRV_ELSEWHERE, 0, leader);
            return FALSE;
        }
        drv_working_say("%s waits until a node leads", run->node);
    } while (now_ms() < until_ms && drv_run_pause(run, AGAIN_MS));
    g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE,
                "this is done by the node that leads, and %s does not know which that is: 'drover node list' and "
                "'drover doctor' say whether the nodes and the cluster's store are well", run->node);
    return FALSE;
}

/* ---- being it ---- */

/* What the last question said. Who could not ask keeps what it has until its time is over. */
static void note(drv_run *run, drv_claim claim, char *holder, gint64 asked_ms, const char *place)
{
    struct drv_lead *lead = run->lead;
    gboolean leads;

    g_mutex_lock(&lead->lock);
    if (claim == DRV_CLAIM_HELD)
        lead->until_ms = asked_ms + TTL_S * 1000;
    else if (claim == DRV_CLAIM_OTHER || lead->place != place)
        lead->until_ms = 0;
    lead->place = place;
    if (claim != DRV_CLAIM_FAILED) {
        g_free(lead->holder);
        lead->holder = holder;
    }
    leads = now_ms() < lead->until_ms;
    if (claim == DRV_CLAIM_FAILED && !leads)
        g_clear_pointer(&lead->holder, g_free);
    g_mutex_unlock(&lead->lock);
    if (leads != lead->led)
        drv_log_notice(leads ? "this node leads the cluster now"
                             : "this node does not lead the cluster any more");
    lead->led = leads;
}

/* Return: whether another one holds it, so that there is something to wait for. */
static gboolean ask(drv_run *run)
{
    struct drv_lead *lead = run->lead;
    g_autoptr(GError) error = NULL;
    const char *place = drv_store_place(run->shared); /* as it is before it is asked */
    gint64 asked_ms = now_ms();
    char *holder = NULL;
    drv_claim claim =
        drv_store_claim(run->shared, CLAIM, run->node, TTL_S, &lead->lease, &holder, &error);

    note(run, claim, claim == DRV_CLAIM_FAILED ? NULL : holder, asked_ms, place);
    if (claim == DRV_CLAIM_FAILED) {
        drv_log_debug("who leads is not known: %s", error->message);
        g_free(holder);
    }
    return claim == DRV_CLAIM_OTHER;
}

static gpointer lead_thread(gpointer data)
{
    drv_run *run = data;
    struct drv_lead *lead = run->lead;
    gboolean go_on = TRUE;

    while (go_on) {
        if (!with_etcd(run)) {
            lead->lease = 0;
            lead->led = FALSE;
            go_on = drv_run_pause(run, LOOK_MS);
        } else if (ask(run)) {
            /* Its end is a change; what changed before is found by the question after it. */
            const char *place = drv_store_place(run->shared);

            lead->revision =
                drv_store_wait(run->shared, DRV_CLAIM_BUCKET, lead->revision, RENEW_MS, NULL);
            if (place != drv_store_place(run->shared)) /* another one has its own count */
                lead->revision = -1;
            go_on = lead->revision >= 0 ? !drv_run_stopping(run) : drv_run_pause(run, LOOK_MS / 4);
        } else {
            go_on = drv_run_pause(run, drv_run_leads(run) ? RENEW_MS : LOOK_MS / 4);
        }
    }
    /* Let go, so that nobody has to wait for it. */
    if (lead->lease && with_etcd(run))
        drv_store_release(run->shared, lead->lease);
    drv_run_thread_ended(run);
    return NULL;
}

void drv_run_lead_start(drv_run *run)
{
    run->lead = g_new0(struct drv_lead, 1);
    g_mutex_init(&run->lead->lock);
    run->lead->revision = -1;
    if (run->shared)
        drv_run_thread(run, "lead", lead_thread, run);
}

void drv_run_lead_free(drv_run *run)
{
    if (!run->lead)
        return;
    g_mutex_clear(&run->lead->lock);
    g_free(run->lead->holder);
    g_free(run->lead);
}
