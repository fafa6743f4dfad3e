/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of links, kept and listed: see links.h. The probe itself is in link-probe.c. */
#include "facts/links.h"

#include "base/clock.h"
#include "base/log.h"
#include "facts/link-due.h"
#include "facts/link-probe.h"
#include "facts/memory-sampler.h"
#include "plan/estimate-json.h"
#include "plan/history.h"

#define BUCKET "links"
/* Up to here a difference is one of measuring, and the mean is nearer. */
#define ANOTHER_LINK 1.3
/* In the background: one link at most so often, or so often while some were never measured. */
#define FIRST_MS (5 * 60 * 1000)
#define EACH_MS (10 * 60 * 1000)
#define NEW_MS (60 * 1000)
/* What was measured more lately than this is left alone. */
#define OLD_MS (6 * 3600 * G_GINT64_CONSTANT(1000))

json_object *drv_links_known(drv_context *ctx, const char *to)
{
    g_autoptr(drv_document) stored = drv_store_get(ctx->store, BUCKET, to, NULL);
    json_object *document = stored ? drv_json_parse(stored->json, "a stored document", NULL) : NULL;

    return document ? document : json_object_new_object();
}

typedef struct {
    const char *from, *to, *by;
    guint64 rate_bps, rtt_us;
} measured;

static void put_measured(json_object *document, gpointer data)
{
    const measured *it = data;

    drv_json_set_string(document, "from", it->from);
    drv_json_set_string(document, "to", it->to);
    if (it->rate_bps) {
        drv_json_set_int(document, "rate_bps", (gint64)it->rate_bps);
        drv_json_set_string(document, "by", it->by);
        drv_json_set_int(document, "measured_ms", drv_clock_real_ms());
    }
    if (it->rtt_us)
        drv_json_set_int(document, "rtt_us", (gint64)it->rtt_us);
}

static void keep(drv_context *ctx, const char *to, const char *by, guint64 rate_bps, guint64 rtt_us)
{
    measured it = {.from = ctx->node, .to = to, .by = by, .rate_bps = rate_bps, .rtt_us = rtt_us};

    drv_observe_change(ctx, BUCKET, to, put_measured, &it);
}

void drv_links_measured(drv_context *ctx, const char *to, guint64 rate_bps, guint64 rtt_us)
{
    g_autoptr(json_object) known = drv_links_known(ctx, to);
    guint64 before_bps = (guint64)MAX(drv_json_int(known, "rate_bps", 0), 0);

    if (rate_bps && before_bps && MAX(rate_bps, before_bps) < ANOTHER_LINK * MIN(rate_bps, before_bps))
        rate_bps = (rate_bps + before_bps) / 2;
    if (rate_bps || rtt_us)
        keep(ctx, to, "move", rate_bps, rtt_us);
}

/* What others may see of it; a planner reads the last two (plan/estimate-json.h). */
static json_object *link_json(json_object *document)
{
    static const char *const keys[] = {"from", "to", "rate_bps", "rtt_us", "measured_ms", "by"};
    drv_estimate_history history = drv_history_of(drv_json_array(document, "moves"));
    json_object *object = json_object_new_object();

    for (guint i = 0; i < G_N_ELEMENTS(keys); i++)
        drv_json_set(object, keys[i], json_object_get(json_object_object_get(document, keys[i])));
    drv_json_set(object, "pair", drv_estimate_history_json(&history));
    drv_json_set_int(object, "fixed_ms", (gint64)drv_history_fixed_ms(drv_json_array(document, "moves")));
    return object;
}

json_object *drv_links_probe(drv_context *ctx, const char *to, gint64 age_ms, GError **error)
{
    g_autoptr(json_object) known = drv_links_known(ctx, to);
    gint64 since_ms = drv_clock_real_ms() - drv_json_int(known, "measured_ms", 0);

    if (since_ms < 0 || since_ms >= age_ms) {
        guint64 rate_bps, rtt_us;

        if (!drv_probing_probe(ctx, to, &rate_bps, &rtt_us, error))
            return NULL;
        keep(ctx, to, "probe", rate_bps, rtt_us);
        json_object_put(known);
        known = drv_links_known(ctx, to);
    }
    return link_json(known);
}

json_object *drv_links_local(drv_context *ctx, GError **error)
{
    g_autoptr(GPtrArray) stored = drv_store_list(ctx->store, BUCKET, 0, error);
    json_object *object, *links;

    if (!stored)
        return NULL;
    links = json_object_new_array();
    for (guint i = 0; i < stored->len; i++) {
        const drv_document *document = stored->pdata[i];
        g_autoptr(json_object) known = drv_json_parse(document->json, "a stored link", NULL);

        if (known && drv_json_int(known, "measured_ms", 0))
            json_object_array_add(links, link_json(known));
    }
    object = json_object_new_object();
    drv_json_set(object, "links", links);
    return object;
}

/* ---- in the background ---- */

/* The member whose link is due (facts/link-due.h), or NULL. @tried: ms by names. Transfer full. */
static char *next_due(drv_context *ctx, GHashTable *tried, gboolean *is_new)
{
    g_autoptr(GPtrArray) members = ctx->peers->members(ctx->peers->data);
    g_autofree drv_link_seen *seen = g_new0(drv_link_seen, members->len);
    gint due;

    for (guint i = 0; i < members->len; i++) {
        const drv_member *member = members->pdata[i];
        const gint64 *tried_ms = g_hash_table_lookup(tried, member->name);
        g_autoptr(json_object) known = drv_links_known(ctx, member->name);

        /* There is none to the node itself. */
        seen[i].measured_ms = g_str_equal(member->name, ctx->node) ? G_MAXINT64 : drv_json_int(known, "measured_ms", 0);
        seen[i].tried_ms = tried_ms ? *tried_ms : 0;
    }
    due = drv_link_due(seen, members->len, drv_clock_real_ms(), OLD_MS, is_new);
    return due < 0 ? NULL : g_strdup(((const drv_member *)members->pdata[due])->name);
}

static gboolean is_busy(drv_context *ctx)
{
    gboolean busy;

    g_mutex_lock(&ctx->lock);
    busy = g_hash_table_size(ctx->outgoing) || g_hash_table_size(ctx->incoming);
    g_mutex_unlock(&ctx->lock);
    return busy;
}

static gpointer links_thread(gpointer data)
{
    drv_context *ctx = data;
    g_autoptr(GHashTable) tried = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    guint pause_ms = FIRST_MS;

    while (drv_node_pause(ctx, pause_ms)) {
        gboolean is_new = FALSE;
        g_autofree char *to = is_busy(ctx) ? NULL : next_due(ctx, tried, &is_new);
        g_autoptr(GError) error = NULL;
        g_autoptr(json_object) link = to ? drv_links_probe(ctx, to, 0, &error) : NULL;

        if (to && !link) {
            gint64 now_ms = drv_clock_real_ms();

            drv_log_debug("the link to %s could not be probed: %s", to, error->message);
            g_hash_table_replace(tried, g_strdup(to), g_memdup2(&now_ms, sizeof now_ms));
        }
        pause_ms = is_new ? NEW_MS : EACH_MS;
    }
    drv_node_thread_ended(ctx);
    return NULL;
}

void drv_links_start(drv_context *ctx)
{
    drv_node_thread(ctx, "links", links_thread, ctx);
}
