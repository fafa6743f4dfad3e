/* SPDX-License-Identifier: Apache-2.0 */
/* What came of migrations, and what is learnt from it: see lessons.h. */
#include "move/source/lessons.h"

#include "base/clock.h"
#include "base/log.h"
#include "facts/links.h"
#include "facts/memory-sampler.h"
#include "move/job.h"
#include "plan/history.h"

#define VM_BUCKET "vm-facts"
#define LINK_BUCKET "links"
#define MOST_OF_VM 16
#define MOST_OF_LINK 64

/* From the first bytes of the guest to its resume; -1: not known. */
static gint64 copy_ms(const drv_outgoing *outgoing)
{
    gint64 end_ms = outgoing->resumed_us / 1000;

    return outgoing->copy_began_ms && end_ms > outgoing->copy_began_ms ? end_ms - outgoing->copy_began_ms : -1;
}

static int by_rate(const void *a, const void *b)
{
    guint64 left = *(const guint64 *)a, right = *(const guint64 *)b;

    return left < right ? -1 : left > right;
}

/* The median of what the relay said: at the end it has less to go by. 0: nothing. Called with the lock held. */
static guint64 link_seen(drv_outgoing *outgoing)
{
    GArray *seen = outgoing->link_seen;

    g_array_sort(seen, by_rate);
    return seen->len ? g_array_index(seen, guint64, seen->len / 2) : 0;
}

void drv_lessons_report(drv_outgoing *outgoing, json_object *report)
{
    json_object *step = drv_job_step(outgoing->job);
    json_object *expects = drv_json_object(step, "expects");
    gint64 total_ms = drv_json_int(report, "total_ms", 0);
    gint64 copied_ms;
    guint64 link_bps;

    g_mutex_lock(&outgoing->lock);
    copied_ms = copy_ms(outgoing);
    link_bps = link_seen(outgoing);
    g_mutex_unlock(&outgoing->lock);
    drv_json_set(report, "predicted", json_object_get(drv_json_object(step, "predicted")));
    drv_json_set_bool(report, "seen_before", expects && drv_json_int(drv_json_object(expects, "vm"), "moves", 0) > 0);
    drv_json_set(report, "copy_ms", copied_ms >= 0 ? json_object_new_int64(copied_ms) : NULL);
    drv_json_set(report, "fixed_ms", copied_ms >= 0 ? json_object_new_int64(MAX(total_ms - copied_ms, 0)) : NULL);
    drv_json_set(report, "link_bps", link_bps ? json_object_new_int64((gint64)link_bps) : NULL);
}

typedef struct {
    json_object *move;
    guint most;
} one_more;

static void add_move(json_object *document, gpointer data)
{
    const one_more *it = data;

    drv_history_add(document, it->move, it->most);
}

static void learn(drv_context *ctx, const char *uuid, const char *other, json_object *move)
{
    drv_observe_change(ctx, VM_BUCKET, uuid, add_move, &(one_more){move, MOST_OF_VM});
    drv_observe_change(ctx, LINK_BUCKET, other, add_move, &(one_more){move, MOST_OF_LINK});
}

/* The target is to know it, too: it is where the VM is now. */
static void tell_target(drv_outgoing *outgoing, json_object *move)
{
    drv_context *ctx = outgoing->ctx;
    const char *uuid = drv_job_uuid(outgoing->job);
    g_autofree char *path = g_strdup_printf("/v1/peer/vms/%s/learnt", uuid);
    g_autoptr(json_object) body = json_object_new_object();
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) answer = NULL;

    drv_json_set_string(body, "uuid", uuid);
    drv_json_set(body, "vm", drv_observe_known(ctx, uuid));
    drv_json_set(body, "move", json_object_get(move));
    answer = drv_node_call(ctx, drv_job_target(outgoing->job), "PUT", path, body, DRV_NODE_PEER_TIMEOUT_MS, &error);
    if (!answer)
        drv_log_debug("%s was not told what was learnt: %s", drv_job_target(outgoing->job), error->message);
}

void drv_lessons_learn(drv_outgoing *outgoing, json_object *report)
{
    json_object *model = drv_json_object(drv_job_step(outgoing->job), "model");
    const char *target = drv_job_target(outgoing->job);
    g_autoptr(json_object) move = NULL;
    guint64 rtt_us;

    g_mutex_lock(&outgoing->lock);
    rtt_us = outgoing->relay.rtt_us;
    g_mutex_unlock(&outgoing->lock);
    drv_links_measured(outgoing->ctx, target, (guint64)MAX(drv_json_int(report, "link_bps", 0), 0), rtt_us);
    move = drv_history_entry(report, model, drv_clock_real_ms());
    if (!move)
        return;
    learn(outgoing->ctx, drv_job_uuid(outgoing->job), target, move);
    tell_target(outgoing, move);
}

/* The VM's document as its source had it: all that is known of it. */
static void put_vm(json_object *document, gpointer data)
{
    json_object_object_foreach((json_object *)data, key, value) drv_json_set(document, key, json_object_get(value));
}

json_object *drv_lessons_take(drv_context *ctx, const char *source, json_object *body, GError **error)
{
    json_object *vm = drv_json_object(body, "vm");
    json_object *move = drv_json_object(body, "move");
    const char *uuid = drv_json_string(body, "uuid", "");

    if (!vm || !move || !g_uuid_string_is_valid(uuid)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "nothing is said that was learnt");
        return NULL;
    }
    drv_observe_change(ctx, VM_BUCKET, uuid, put_vm, vm);
    /* The way back is mostly like the way there. */
    drv_observe_change(ctx, LINK_BUCKET, source, add_move, &(one_more){move, MOST_OF_LINK});
    return json_object_new_object();
}
