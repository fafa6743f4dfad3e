/* SPDX-License-Identifier: Apache-2.0 */
/* What a move has cost, and the report that its job ends with: see report.h. */
#include "move/source/report.h"

#include "base/clock.h"
#include "base/log.h"
#include "move/job.h"
#include "move/source/lessons.h"
#include "move/source/outgoing.h"
#include "node/history.h"

#define STORE_AGAIN_MS 1000
/* More than handshakes. */
#define FIRST_BYTES 65536
/* At the link: some quarter of an hour of them say enough. */
#define MOST_LOOKS 4096

/* ---- the relay's counters ---- */

void drv_outgoing_heard(drv_outgoing *outgoing, const struct drv_relay_status *status)
{
    outgoing->relay = *status;
    if (!outgoing->copy_began_ms &&
        status->channel[DRV_CHANNEL_RAM].local_in_bytes + status->channel[DRV_CHANNEL_DISK].local_in_bytes >=
            FIRST_BYTES)
        outgoing->copy_began_ms = drv_clock_ms();
    if (status->link_bps && outgoing->link_seen->len < MOST_LOOKS && !outgoing->paused_us)
        g_array_append_val(outgoing->link_seen, status->link_bps);
    if (status->resumed_us && !outgoing->resumed_us)
        outgoing->resumed_us = status->resumed_us;
}

static void add_counters(struct drv_relay_status *sum, const struct drv_relay_status *more)
{
    for (guint channel = 0; channel < DRV_CHANNELS; channel++) {
        sum->channel[channel].local_in_bytes += more->channel[channel].local_in_bytes;
        sum->channel[channel].local_out_bytes += more->channel[channel].local_out_bytes;
        sum->channel[channel].coded_bytes += more->channel[channel].coded_bytes;
        sum->channel[channel].pages.other += more->channel[channel].pages.other;
        sum->channel[channel].pages.older += more->channel[channel].pages.older;
    }
    sum->wire_in_bytes += more->wire_in_bytes;
    sum->wire_out_bytes += more->wire_out_bytes;
    sum->recycled_bytes += more->recycled_bytes;
    if (!sum->link_bps)
        sum->link_bps = more->link_bps;
}

void drv_outgoing_keep_counters(drv_outgoing *outgoing)
{
    g_mutex_lock(&outgoing->lock);
    add_counters(&outgoing->earlier, &outgoing->relay);
    outgoing->relay = (struct drv_relay_status){0};
    g_mutex_unlock(&outgoing->lock);
}

struct drv_relay_status drv_outgoing_counters(drv_outgoing *outgoing)
{
    struct drv_relay_status sum;

    g_mutex_lock(&outgoing->lock);
    sum = outgoing->relay;
    add_counters(&sum, &outgoing->earlier);
    g_mutex_unlock(&outgoing->lock);
    return sum;
}

void drv_outgoing_read_counters(drv_outgoing *outgoing)
{
    drv_relay *relay = NULL;
    struct drv_relay_status status;

    if (!outgoing->dir || drv_relay_open(outgoing->dir, &relay, NULL) < 0)
        return;
    if (drv_relay_status(relay, &status, NULL) == 0) {
        g_mutex_lock(&outgoing->lock);
        drv_outgoing_heard(outgoing, &status);
        g_mutex_unlock(&outgoing->lock);
    }
    drv_relay_close(relay);
}

/* ---- the report ---- */

static void set_or_null(json_object *object, const char *key, gint64 value)
{
    drv_json_set(object, key, value >= 0 ? json_object_new_int64(value) : NULL);
}

static gint64 measured_pause_ms(drv_outgoing *outgoing, json_object *completed)
{
    gint64 pause_us;

    g_mutex_lock(&outgoing->lock);
    pause_us = outgoing->paused_us && outgoing->resumed_us ? outgoing->resumed_us - outgoing->paused_us : -1;
    g_mutex_unlock(&outgoing->lock);
    if (pause_us >= 0)
        return (pause_us + 999) / 1000;
    return drv_json_int(completed, "downtime_ms", -1);
}

/* What the pause might have been in the end; -1: QEMU had no say in it. */
static gint64 was_allowed_ms(drv_outgoing *outgoing, const char *outcome)
{
    const drv_ladder *ladder = &outgoing->ladder;

    if (!g_str_equal(outcome, "done") || ladder->post_copy || outgoing->stats.post_copy || !outgoing->stats.rounds)
        return -1;
    return (gint64)ladder->allowed_ms;
}

/* What got it there in the end, which need not be what was asked for. */
static const char *method_used(json_object *view, json_object *step)
{
    const char *method = drv_json_string(step, "method", "auto");

    if (drv_json_bool(view, "post_copy"))
        return "post-copy";
    return drv_method_from_name(method) == DRV_METHODS ? method : "pre-copy";
}

void drv_outgoing_note_stay(drv_outgoing *outgoing, const char *what, const char *why)
{
    g_autoptr(json_object) view = drv_job_view(outgoing->job);
    json_object *known = drv_json_array(view, "stays");
    json_object *list = known ? drv_json_copy(known) : json_object_new_array();
    g_autofree char *text = g_strdup_printf("%s: %s", what, why);

    for (gsize i = 0; i < drv_json_length(list); i++)
        if (g_str_equal(json_object_get_string(json_object_array_get_idx(list, i)), text)) {
            json_object_put(list);
            return;
        }
    drv_log_warning("%s stays behind: %s job=%s", what, why, drv_job_id(outgoing->job));
    json_object_array_add(list, json_object_new_string(text));
    drv_job_set_note(outgoing->job, "stays", list);
}

static json_object *make_report(drv_outgoing *outgoing, const char *outcome, const char *why, json_object *completed)
{
    json_object *report = json_object_new_object();
    g_autoptr(json_object) view = drv_job_view(outgoing->job);
    struct drv_relay_status relay;
    gint64 rounds = drv_json_int(completed, "rounds", (gint64)outgoing->stats.rounds);
    gint64 started_ms = drv_json_int(view, "started_ms", outgoing->began_ms);

    relay = drv_outgoing_counters(outgoing);
    drv_json_set_string(report, "vm", drv_job_vm(outgoing->job));
    drv_json_set_string(report, "source", drv_job_source(outgoing->job));
    drv_json_set_string(report, "target", drv_job_target(outgoing->job));
    drv_json_set_string(report, "method", method_used(view, drv_job_step(outgoing->job)));
    drv_json_set(report, "ladder",
                 drv_json_array(view, "ladder") ? drv_json_copy(drv_json_array(view, "ladder"))
                                                : json_object_new_array());
    drv_json_set_string(report, "outcome", outcome);
    drv_json_set(report, "stays",
                 drv_json_array(view, "stays") ? drv_json_copy(drv_json_array(view, "stays"))
                                               : json_object_new_array());
    set_or_null(report, "total_ms", drv_clock_real_ms() - started_ms);
    set_or_null(report, "pause_ms", g_str_equal(outcome, "done") ? measured_pause_ms(outgoing, completed) : -1);
    set_or_null(report, "allowed_pause_ms", was_allowed_ms(outgoing, outcome));
    set_or_null(report, "memory_bytes", drv_json_int(drv_job_step(outgoing->job), "memory_bytes", -1));
    drv_json_set_int(
        report, "qemu_bytes",
        (gint64)(relay.channel[DRV_CHANNEL_RAM].local_in_bytes + relay.channel[DRV_CHANNEL_DISK].local_in_bytes));
    drv_json_set_int(report, "wire_bytes", (gint64)(relay.wire_out_bytes + relay.wire_in_bytes));
    drv_json_set_int(report, "recycled_bytes", (gint64)relay.recycled_bytes);
    /* What QEMU wrote for disks; libvirt's own figure is the images' size, holes included. */
    drv_json_set_int(report, "disk_bytes", (gint64)relay.channel[DRV_CHANNEL_DISK].local_in_bytes);
    drv_json_set_int(report, "disk_wire_bytes", (gint64)relay.channel[DRV_CHANNEL_DISK].coded_bytes);
    drv_json_set_int(report, "seed_bytes",
                     (gint64)(relay.channel[DRV_CHANNEL_DISK].pages.older * DRV_RELAY_PAGE_BYTES));
    drv_json_set_int(report, "from_disk_bytes",
                     (gint64)(relay.channel[DRV_CHANNEL_RAM].pages.other * DRV_RELAY_PAGE_BYTES));
    drv_json_set_int(report, "rounds", rounds);
    drv_json_set_string(report, "error", why);
    drv_lessons_report(outgoing, report);
    return report;
}

/* For the cluster, in case that this node is away when somebody asks. */
static void record(drv_context *ctx, drv_job *job)
{
    g_autoptr(json_object) view = drv_job_view(job);

    drv_outbox_record(ctx, DRV_HISTORY_BUCKET, drv_job_id(job), json_object_to_json_string(view));
}

void drv_outgoing_end(drv_outgoing *outgoing, drv_state state, const char *outcome, int code, const char *why,
                      json_object *completed)
{
    drv_job *job = outgoing->job;
    g_autoptr(json_object) report = make_report(outgoing, outcome, why, completed);
    struct drv_relay_status relay;

    g_mutex_lock(&outgoing->lock);
    relay = outgoing->relay;
    g_mutex_unlock(&outgoing->lock);
    drv_job_progress(job, drv_progress_update(&outgoing->progress, state, &outgoing->stats, &relay, drv_clock_ms()));
    drv_job_end(job, state, (drv_error_code)code, why, json_object_get(report));
    while (!drv_job_keep(job) && drv_node_pause(outgoing->ctx, STORE_AGAIN_MS))
        ;
    record(outgoing->ctx, job);
    drv_log_notice("move of %s from %s to %s: %s%s%s job=%s", drv_job_vm(job), drv_job_source(job), drv_job_target(job),
                   outcome, why ? ": " : "", why ? why : "", drv_job_id(job));
    if (state == DRV_STATE_DONE)
        drv_lessons_learn(outgoing, report);
}
