/* SPDX-License-Identifier: Apache-2.0 */
/* Predictions of moves and what came of them: see predict.h. */
#include "facts/predict.h"

#include "base/clock.h"
#include "base/ids.h"
#include "base/log.h"
#include "cache/administration.h"
#include "cache/known-share.h"
#include "facts/links.h"
#include "facts/memory-sampler.h"
#include "model/working.h"
#include "plan/estimate-json.h"
#include "plan/history.h"

/* What was learnt so long ago is looked at again for a plan that may take its time. */
#define FRESH_MS 60000

/* A look takes its time on a busy host; the answer waits for it no longer. */
#define LOOK_MS 5000
#define MOST_LOOKS 4

/* ---- what is known ---- */

/* @older: only of those of which the target has an older image */
static guint64 copied_bytes(json_object *step, gboolean older)
{
    json_object *disks = drv_json_array(step, "disks");
    guint64 bytes = 0;

    for (gsize i = 0; i < drv_json_length(disks); i++) {
        json_object *disk = json_object_array_get_idx(disks, i);

        if (drv_node_is_copied(disk) && (!older || drv_json_object(disk, "seed")))
            bytes += (guint64)MAX(drv_json_int(disk, "allocation_bytes", 0), 0);
    }
    return bytes;
}

static void read_step(drv_estimate_input *in, json_object *step)
{
    const char *method = drv_json_string(step, "method", "auto");

    in->memory_bytes = (guint64)MAX(drv_json_int(step, "memory_bytes", 0), 0);
    in->running = drv_json_bool(step, "was_running");
    in->offline = g_str_equal(method, "offline");
    in->disk_bytes = copied_bytes(step, FALSE);
    in->disk_older_bytes = copied_bytes(step, TRUE);
    in->bandwidth_bps = (guint64)MAX(drv_json_int(step, "bandwidth_bps", 0), 0);
    in->max_pause_ms = (guint64)MAX(drv_json_int(step, "max_pause_ms", 0), 0);
    in->max_time_ms = (guint64)MAX(drv_json_int(step, "max_time_ms", 0), 0);
    in->may_post_copy = g_str_equal(drv_json_string(step, "post_copy", "never"), "if-needed");
    in->post_copy = g_str_equal(method, "post-copy") || g_str_equal(method, "hybrid");
}

static void gather(drv_context *ctx, json_object *step, drv_estimate_input *in)
{
    const char *uuid = drv_json_string(step, "uuid", "");
    const char *target = drv_json_string(step, "target", "");
    g_autoptr(json_object) vm = drv_observe_known(ctx, uuid);
    g_autoptr(json_object) link = drv_links_known(ctx, target);

    drv_estimate_input_read(in, drv_json_object(vm, "observed"));
    read_step(in, step);
    in->link_bps = (guint64)MAX(drv_json_int(link, "rate_bps", 0), 0);
    in->rtt_us = (guint64)MAX(drv_json_int(link, "rtt_us", 0), 0);
    in->vm = drv_history_of(drv_json_array(vm, "moves"));
    in->pair = drv_history_of(drv_json_array(link, "moves"));
    if (ctx->content && drv_recycled_is_at(ctx->node, drv_json_array(vm, "moves"), target)) {
        g_autoptr(json_object) kept = drv_content_list(ctx->content);

        in->recycled_share = drv_recycled_share(drv_json_array(kept, "contents"), uuid, in, drv_clock_real_ms());
    }
    in->handover_ms = drv_history_handover_ms(drv_json_array(link, "moves"));
    in->fixed_ms = drv_history_fixed_ms(drv_json_array(link, "moves"));
}

/* At the link and the VM's memory, in a thread of its own: what it finds late is there for the next one who asks. */
typedef struct {
    gatomicrefcount references;
    drv_context *ctx;
    char *uuid;
    char *target;
    GMutex lock;
    GCond ended;
    gboolean over; /* guarded by lock */
} glance;

static void glance_unref(glance *it)
{
    if (!g_atomic_ref_count_dec(&it->references))
        return;
    g_mutex_clear(&it->lock);
    g_cond_clear(&it->ended);
    g_free(it->uuid);
    g_free(it->target);
    g_free(it);
}

static gpointer look_thread(gpointer data)
{
    glance *it = data;
    drv_context *ctx = it->ctx;
    g_autoptr(GError) problem = NULL;
    g_autoptr(json_object) link = drv_links_probe(ctx, it->target, FRESH_MS, &problem);

    if (!link)
        drv_log_debug("the link was not probed: %s", problem->message);
    drv_observe_vm(ctx, it->uuid, FRESH_MS);
    g_mutex_lock(&it->lock);
    it->over = TRUE;
    g_cond_signal(&it->ended);
    g_mutex_unlock(&it->lock);
    glance_unref(it);
    g_atomic_int_add(&ctx->looks, -1);
    drv_node_thread_ended(ctx);
    return NULL;
}

/* Return: FALSE: it is not over yet, or the host has enough of them to do. */
static gboolean look_at(drv_context *ctx, const char *uuid, const char *target)
{
    gint64 until_us = g_get_monotonic_time() + (gint64)LOOK_MS * 1000;
    gboolean over;
    glance *it;

    if (g_atomic_int_add(&ctx->looks, 1) >= MOST_LOOKS) {
        g_atomic_int_add(&ctx->looks, -1);
        return FALSE;
    }
    it = g_new0(glance, 1);
    g_atomic_ref_count_init(&it->references);
    g_atomic_ref_count_inc(&it->references);
    it->ctx = ctx;
    it->uuid = g_strdup(uuid);
    it->target = g_strdup(target);
    g_mutex_init(&it->lock);
    g_cond_init(&it->ended);
    drv_node_thread(ctx, "look", look_thread, it);
    g_mutex_lock(&it->lock);
    while (!it->over && g_cond_wait_until(&it->ended, &it->lock, until_us))
        ;
    over = it->over;
    g_mutex_unlock(&it->lock);
    glance_unref(it);
    return over;
}

json_object *drv_predict_step(drv_context *ctx, json_object *body, GError **error)
{
    json_object *step = drv_json_object(body, "step");
    drv_estimate_input in = {0};
    drv_estimate estimate;
    gboolean looked = FALSE;
    json_object *object, *predicted;

    if (!step || g_strcmp0(drv_json_string(step, "source", NULL), ctx->node) != 0) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "the step does not begin at %s", ctx->node);
        return NULL;
    }
    if (drv_json_bool(body, "look"))
        looked = look_at(ctx, drv_json_string(step, "uuid", ""), drv_json_string(step, "target", ""));
    gather(ctx, step, &in);
    drv_plan_estimate(&in, &estimate);
    object = json_object_new_object();
    predicted = drv_estimate_json(&estimate);
    if (drv_json_bool(body, "look"))
        drv_json_set_bool(predicted, "looked", looked);
    drv_json_set(object, "predicted", predicted);
    drv_json_set(object, "expects", drv_estimate_input_json(&in));
    drv_json_set(object, "model", drv_history_model(&estimate));
    return object;
}

void drv_predict_ask(drv_context *ctx, json_object *step, gboolean look)
{
    static const char *const keys[] = {"predicted", "expects", "model"};
    g_autofree char *path = g_strdup_printf("/v1/peer/vms/%s/prediction", drv_json_string(step, "uuid", ""));
    g_autoptr(json_object) body = json_object_new_object();
    g_autoptr(json_object) answer = NULL;
    g_autoptr(GError) error = NULL;

    drv_json_set(body, "step", json_object_get(step));
    drv_json_set_bool(body, "look", look);
    answer = drv_node_call(ctx, drv_json_string(step, "source", ""), "POST", path, body, DRV_NODE_PATIENT, &error);
    if (!answer)
        drv_log_debug("no prediction for %s: %s", drv_json_string(step, "vm", "?"), error->message);
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++)
        drv_json_set(step, keys[i], answer ? json_object_get(json_object_object_get(answer, keys[i])) : NULL);
}

json_object *drv_facts_predict(drv_context *ctx, json_object *body, GError **error)
{
    g_autoptr(json_object) step = drv_json_copy(drv_json_object(body, "step"));
    const char *source = drv_json_string(step, "source", "");
    json_object *answer;
    drv_uuid uuid;

    if (drv_uuid_parse(&uuid, drv_json_string(step, "uuid", ""), NULL)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "\"step\" is not the step of a plan");
        return NULL;
    }
    drv_working_say("%s estimates what the migration of %s will take", source, drv_json_string(step, "vm", "?"));
    drv_predict_ask(ctx, step, TRUE);
    answer = json_object_new_object();
    drv_json_set(answer, "predicted", json_object_get(drv_json_object(step, "predicted")));
    return answer;
}

gboolean drv_predict_expected(json_object *step, drv_estimate_input *in)
{
    json_object *expects = drv_json_object(step, "expects");

    *in = (drv_estimate_input){0};
    drv_estimate_input_read(in, expects);
    return expects != NULL;
}
