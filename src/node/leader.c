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
    GMutex lock;       /* guards what follows */
    gint64 until_ms;   /* it is this node's until then, by CLOCK_BOOTTIME */
    const char *place; /* in that store; one to which the data were moved has a leader of its own */
    char *holder;      /* who held it when it was asked last; NULL: not known */
    gint64 lease;      /* only the thread's */
    gboolean led;      /* the same: what was logged */
    gint64 revision;
};

static gint64 now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (gint64)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static gboolean with_etcd(drv_context *ctx)
{
    return ctx->shared && drv_store_is_shared(ctx->shared);
}

char *drv_leader_name(drv_context *ctx)
{
    g_autoptr(GPtrArray) members = NULL;
    char *holder = NULL;

    if (with_etcd(ctx)) {
        g_mutex_lock(&ctx->lead->lock);
        holder = g_strdup(ctx->lead->holder);
        g_mutex_unlock(&ctx->lead->lock);
        return holder;
    }
    members = ctx->peers->members(ctx->peers->data);
    for (guint i = 0; !holder && i < members->len; i++) {
        const drv_member *member = members->pdata[i];

        if (member->founder)
            holder = g_strdup(member->name);
    }
    return holder;
}

gboolean drv_leader_is_here(drv_context *ctx)
{
    g_autofree char *leader = NULL;
    gboolean leads;

    if (with_etcd(ctx)) {
        g_mutex_lock(&ctx->lead->lock);
        leads = now_ms() < ctx->lead->until_ms && ctx->lead->place == drv_store_place(ctx->shared);
        g_mutex_unlock(&ctx->lead->lock);
        return leads;
    }
    leader = drv_leader_name(ctx);
    return leader && g_str_equal(leader, ctx->node);
}

drv_store *drv_leader_cluster_store(drv_context *ctx)
{
    if (ctx->shared)
        return drv_gate_is_open(ctx->shared) ? ctx->shared : NULL;
    return drv_leader_is_here(ctx) ? ctx->store : NULL;
}

drv_store *drv_leader_store(drv_context *ctx, GError **error)
{
    drv_store *store = drv_leader_cluster_store(ctx);

    if (!store)
        g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE,
                    "%s does not lead (any more), or cannot reach the cluster's store: ask again", ctx->node);
    return store;
}

json_object *drv_leader_ask(drv_context *ctx, const char *what, const char *method, const char *path, json_object *body,
                            guint timeout_ms, GError **error)
{
    g_autofree char *leader = drv_leader_name(ctx);
    g_autoptr(GError) problem = NULL;
    json_object *answer = NULL;

    if (leader)
        answer = drv_node_call(ctx, leader, method, path, body, timeout_ms, &problem);
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

json_object *drv_leader_act(drv_context *ctx, const char *node, const char *method, const char *path, json_object *body,
                            guint timeout_ms, GError **error)
{
    if (g_str_equal(node, ctx->node) || drv_leader_is_here(ctx))
        return drv_node_call(ctx, node, method, path, body, timeout_ms, error);
    g_set_error_literal(error, DRV_ELSEWHERE, 0, node);
    return NULL;
}

gboolean drv_leader_is(drv_context *ctx, const char *name)
{
    g_autofree char *leader = drv_leader_name(ctx);
    g_autoptr(drv_document) claim = NULL;
    g_autoptr(json_object) held = NULL;

    if (leader && g_str_equal(leader, name))
        return TRUE;
    if (!with_etcd(ctx))
        return FALSE;
    /* It may have begun to lead a moment ago. */
    claim = drv_store_get(ctx->shared, DRV_CLAIM_BUCKET, CLAIM, NULL);
    held = claim ? drv_json_parse(claim->json, "a claim", NULL) : NULL;
    return !g_strcmp0(drv_json_string(held, "holder", NULL), name);
}

gboolean drv_leader_must_be_here(drv_context *ctx, GError **error)
{
    gint64 until_ms = now_ms() + PATIENCE_MS;

    do {
        g_autofree char *leader = NULL;

        if (drv_leader_is_here(ctx))
            return TRUE;
        leader = drv_leader_name(ctx);
        if (leader && !g_str_equal(leader, ctx->node)) {
            g_set_error_literal(error, DRV_ELSEWHERE, 0, leader);
            return FALSE;
        }
        drv_working_say("%s waits until a node leads", ctx->node);
    } while (now_ms() < until_ms && drv_node_pause(ctx, AGAIN_MS));
    g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE,
                "this is done by the node that leads, and %s does not know which that is: 'drover node list' and "
                "'drover doctor' say whether the nodes and the cluster's store are well",
                ctx->node);
    return FALSE;
}

/* ---- being it ---- */

/* What the last question said. Who could not ask keeps what it has until its time is over. */
static void note(drv_context *ctx, drv_claim claim, char *holder, gint64 asked_ms, const char *place)
{
    struct drv_lead *lead = ctx->lead;
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
        drv_log_notice(leads ? "this node leads the cluster now" : "this node does not lead the cluster any more");
    lead->led = leads;
}

/* Return: whether another one holds it, so that there is something to wait for. */
static gboolean ask(drv_context *ctx)
{
    struct drv_lead *lead = ctx->lead;
    g_autoptr(GError) error = NULL;
    const char *place = drv_store_place(ctx->shared); /* as it is before it is asked */
    gint64 asked_ms = now_ms();
    char *holder = NULL;
    drv_claim claim = drv_store_claim(ctx->shared, CLAIM, ctx->node, TTL_S, &lead->lease, &holder, &error);

    note(ctx, claim, claim == DRV_CLAIM_FAILED ? NULL : holder, asked_ms, place);
    if (claim == DRV_CLAIM_FAILED) {
        drv_log_debug("who leads is not known: %s", error->message);
        g_free(holder);
    }
    return claim == DRV_CLAIM_OTHER;
}

static gpointer lead_thread(gpointer data)
{
    drv_context *ctx = data;
    struct drv_lead *lead = ctx->lead;
    gboolean go_on = TRUE;

    while (go_on) {
        if (!with_etcd(ctx)) {
            lead->lease = 0;
            lead->led = FALSE;
            go_on = drv_node_pause(ctx, LOOK_MS);
        } else if (ask(ctx)) {
            /* Its end is a change; what changed before is found by the question after it. */
            const char *place = drv_store_place(ctx->shared);

            lead->revision = drv_store_wait(ctx->shared, DRV_CLAIM_BUCKET, lead->revision, RENEW_MS, NULL);
            if (place != drv_store_place(ctx->shared)) /* another one has its own count */
                lead->revision = -1;
            go_on = lead->revision >= 0 ? !drv_node_is_stopping(ctx) : drv_node_pause(ctx, LOOK_MS / 4);
        } else {
            go_on = drv_node_pause(ctx, drv_leader_is_here(ctx) ? RENEW_MS : LOOK_MS / 4);
        }
    }
    /* Let go, so that nobody has to wait for it. */
    if (lead->lease && with_etcd(ctx))
        drv_store_release(ctx->shared, lead->lease);
    drv_node_thread_ended(ctx);
    return NULL;
}

void drv_leader_start(drv_context *ctx)
{
    ctx->lead = g_new0(struct drv_lead, 1);
    g_mutex_init(&ctx->lead->lock);
    ctx->lead->revision = -1;
    if (ctx->shared)
        drv_node_thread(ctx, "lead", lead_thread, ctx);
}

void drv_leader_free(drv_context *ctx)
{
    if (!ctx->lead)
        return;
    g_mutex_clear(&ctx->lead->lock);
    g_free(ctx->lead->holder);
    g_free(ctx->lead);
}
