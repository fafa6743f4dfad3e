/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks of a VM to another pool of the same host.
 *
 * Theory of operation. Empty images are made in the pool, recorded in the job first. Of a
 * running VM QEMU copies each disk and keeps both equal; once all are, the VM goes on with the
 * copies, one after the other. Until the first of these steps everything can be undone, and is.
 * What counts afterwards, also after a crash, is which image libvirt says the VM uses: settle()
 * makes definition and files follow that.
 */
#include "move/source/storage.h"

#include <string.h>

#include "base/clock.h"
#include "base/durable.h"
#include "base/fault.h"
#include "base/log.h"
#include "hyper/block-copy.h"
#include "hyper/content.h"
#include "hyper/disk.h"
#include "hyper/domain-xml.h"
#include "hyper/domain.h"
#include "move/job.h"
#include "move/make-images.h"
#include "move/source/image-times.h"
#include "move/source/report.h"

#define LOOK_MS 200
/* For a libvirtd that is being started. */
#define PATIENCE_MS 60000

static json_object *disks_of(drv_outgoing *outgoing)
{
    return drv_json_array(drv_job_step(outgoing->job), "disks");
}

static gboolean is_moved(json_object *disk)
{
    return g_str_equal(drv_json_string(disk, "how", ""), "copy");
}

#define FOREACH_MOVED(disk, disks)                                                                                     \
    for (gsize i_ = 0; i_ < drv_json_length(disks); i_++)                                                              \
        for (json_object *disk = json_object_array_get_idx(disks, i_); disk; disk = NULL)                              \
            if (is_moved(disk))

typedef struct {
    drv_outgoing *outgoing;
    json_object *made;
} making;

static gboolean keep_made(gpointer data, GError **error)
{
    making *m = data;

    (void)error;
    drv_job_set_note(m->outgoing->job, "made", json_object_get(m->made));
    return TRUE;
}

static gboolean uses(const drv_domain *domain, json_object *disk)
{
    for (guint i = 0; i < domain->disks->len; i++) {
        const drv_disk *has = domain->disks->pdata[i];

        if (g_str_equal(has->target, drv_json_string(disk, "target", "")))
            return g_strcmp0(has->source, drv_json_string(disk, "target_path", "")) == 0;
    }
    return FALSE;
}

static void remove_file(drv_outgoing *outgoing, const char *path)
{
    g_autoptr(GError) error = NULL;

    if (!drv_hyper_disk_remove(outgoing->ctx->hyper, path, &error))
        drv_outgoing_note_stay(outgoing, "an image", error->message);
}

static gboolean flush_images(const drv_domain *domain, json_object *disks, GError **error)
{
    struct drv_error problem = {0};

    FOREACH_MOVED(disk, disks)
    if (uses(domain, disk) && drv_durable_file(drv_json_string(disk, "target_path", ""), &problem)) {
        drv_gerror_from(error, DRV_ERROR_FAILED, &problem);
        return FALSE;
    }
    return TRUE;
}

/* With its data file, which it names. */
static void remove_old(drv_outgoing *outgoing, json_object *disk)
{
    const char *path = drv_json_string(disk, "path", "");
    json_object *data = drv_json_array(disk, "data");

    if (g_file_test(path, G_FILE_TEST_IS_REGULAR))
        remove_file(outgoing, path);
    for (gsize i = 0; i < drv_json_length(data) && !g_file_test(path, G_FILE_TEST_EXISTS); i++)
        remove_file(outgoing, json_object_get_string(json_object_array_get_idx(data, i)));
}

/* Definition and files follow what the VM uses now. @moved: names of the disks that are at the new place. */
static gboolean settle(drv_outgoing *outgoing, GString *moved, GString *stayed, GError **error)
{
    json_object *disks = disks_of(outgoing);
    drv_hyper *hyper = outgoing->ctx->hyper;
    const char *uuid = drv_job_uuid(outgoing->job);
    g_autoptr(drv_domain) domain = drv_hyper_domain(hyper, uuid, error);
    g_autoptr(drv_rewrite) rewrite = drv_rewrite_new();
    g_autoptr(json_object) view = drv_job_view(outgoing->job);
    json_object *made = drv_json_array(view, "made");

    if (!domain)
        return FALSE;
    FOREACH_MOVED(disk, disks)
    {
        const char *name = drv_json_string(disk, "target", "");
        GString *list = uses(domain, disk) ? moved : stayed;

        g_string_append_printf(list, "%s%s", list->len ? ", " : "", name);
        if (list == moved)
            drv_rewrite_add_disk(rewrite, name, drv_json_string(disk, "target_path", ""), FALSE,
                                 drv_json_bool(disk, "flatten"), FALSE);
        else /* It was started just when its definition was changed: it goes on where it writes. */
            drv_rewrite_add_disk_back(rewrite, name, drv_json_string(disk, "target_path", ""),
                                      drv_json_string(disk, "path", ""));
    }
    /* Its new images, then the definition that names them, and only then the old ones go. */
    if (!flush_images(domain, disks, error) ||
        ((moved->len || !drv_json_bool(drv_job_step(outgoing->job), "was_running")) &&
         !drv_hyper_change_definition(hyper, uuid, rewrite, error)))
        return FALSE;
    drv_fault("storage-definition-changed");
    FOREACH_MOVED(disk, disks)
    {
        if (uses(domain, disk)) {
            remove_old(outgoing, disk);
            continue;
        }
        for (gsize i = 0; i < drv_json_length(made); i++) {
            const char *path = json_object_get_string(json_object_array_get_idx(made, i));

            if (g_strcmp0(path, drv_json_string(disk, "target_path", "")) == 0)
                remove_file(outgoing, path);
        }
    }
    return TRUE;
}

/* The end, whatever @why (NULL: nothing went wrong). */
static void end(drv_outgoing *outgoing, const GError *why)
{
    g_autoptr(GString) moved = g_string_new(NULL);
    g_autoptr(GString) stayed = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    gint64 began_ms = drv_clock_ms();
    gboolean settled;

    drv_job_enter(outgoing->job, DRV_STATE_FINISHING);
    /* After a start of the host droverd may be there before libvirtd is. */
    while (!(settled = settle(outgoing, moved, stayed, &error)) &&
           g_error_matches(error, DRV_ERROR, DRV_ERROR_UNREACHABLE) && drv_clock_ms() - began_ms < PATIENCE_MS &&
           drv_node_pause(outgoing->ctx, LOOK_MS)) {
        g_clear_error(&error);
        g_string_truncate(moved, 0);
        g_string_truncate(stayed, 0);
    }
    if (drv_node_is_stopping(outgoing->ctx) && !settled)
        return;
    if (!settled) {
        drv_outgoing_end(outgoing, DRV_STATE_NEEDS_ATTENTION, "needs-attention", error->code, error->message, NULL);
    } else if (!stayed->len) {
        drv_outgoing_end(outgoing, DRV_STATE_DONE, "done", 0, NULL, NULL);
    } else if (moved->len) {
        text = g_strdup_printf("%s moved, %s did not: %s. Move the rest again", moved->str, stayed->str,
                               why ? why->message : "droverd was restarted");
        drv_outgoing_end(outgoing, DRV_STATE_FAILED, "failed", why ? why->code : DRV_ERROR_FAILED, text, NULL);
    } else if (drv_job_cancel_requested(outgoing->job)) {
        drv_outgoing_end(outgoing, DRV_STATE_ROLLED_BACK, "cancelled", DRV_ERROR_CANCELLED, "cancelled by the operator",
                         NULL);
    } else {
        text = g_strdup_printf("%s; the disks of %s are where they were", why ? why->message : "droverd was restarted",
                               drv_job_vm(outgoing->job));
        drv_outgoing_end(outgoing, DRV_STATE_ROLLED_BACK, "rolled-back", why ? why->code : DRV_ERROR_FAILED, text,
                         NULL);
    }
}

/* ---- a VM that runs ---- */

static void stop_copies(drv_outgoing *outgoing)
{
    json_object *disks = disks_of(outgoing);
    const char *uuid = drv_job_uuid(outgoing->job);

    FOREACH_MOVED(disk, disks)
    {
        const char *name = drv_json_string(disk, "target", "");
        drv_block_copy_state state = DRV_BLOCK_COPY_NONE;
        guint64 done_bytes, total_bytes;

        if (drv_hyper_block_copy_look(outgoing->ctx->hyper, uuid, name, &state, &done_bytes, &total_bytes, NULL) &&
            state != DRV_BLOCK_COPY_NONE)
            drv_hyper_block_copy_end(outgoing->ctx->hyper, uuid, name, FALSE, NULL);
    }
}

static void show_progress(drv_outgoing *outgoing, guint64 done_bytes, guint64 total_bytes)
{
    g_mutex_lock(&outgoing->lock);
    outgoing->relay.channel[DRV_CHANNEL_DISK].local_in_bytes = done_bytes;
    g_mutex_unlock(&outgoing->lock);
    outgoing->stats.disk_processed_bytes = done_bytes;
    outgoing->stats.disk_total_bytes = total_bytes;
    outgoing->stats.disk_remaining_bytes = total_bytes - MIN(done_bytes, total_bytes);
    drv_job_progress(outgoing->job,
                     drv_progress_update(&outgoing->progress, drv_job_state(outgoing->job), &outgoing->stats,
                                         &outgoing->relay, g_get_monotonic_time() / 1000));
}

/* 1: all are equal; 0: not yet; -1 and @error. */
static int all_ready(drv_outgoing *outgoing, GError **error)
{
    json_object *disks = disks_of(outgoing);
    guint64 done_bytes = 0, total_bytes = 0;
    int ready = 1;

    FOREACH_MOVED(disk, disks)
    {
        drv_block_copy_state state = DRV_BLOCK_COPY_NONE;
        const char *name = drv_json_string(disk, "target", "");
        guint64 done = 0, total = 0;

        if (!drv_hyper_block_copy_look(outgoing->ctx->hyper, drv_job_uuid(outgoing->job), name, &state, &done, &total,
                                       error))
            return -1;
        if (state == DRV_BLOCK_COPY_NONE) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "QEMU gave up the copy of disk %s: is there room for it?",
                        name);
            return -1;
        }
        if (state != DRV_BLOCK_COPY_READY)
            ready = 0;
        done_bytes += done;
        total_bytes += total;
    }
    show_progress(outgoing, done_bytes, total_bytes);
    return ready;
}

static gboolean copy_running(drv_outgoing *outgoing, GError **error)
{
    json_object *step = drv_job_step(outgoing->job);
    json_object *disks = disks_of(outgoing);
    guint64 rate_bps = (guint64)drv_json_int(step, "bandwidth_bps", 0);
    const char *uuid = drv_job_uuid(outgoing->job);
    int ready;

    FOREACH_MOVED(disk, disks)
    if (!drv_hyper_block_copy(outgoing->ctx->hyper, uuid, drv_json_string(disk, "target", ""),
                              drv_json_string(disk, "target_path", ""), drv_json_string(disk, "format", "raw"),
                              rate_bps, error))
        return FALSE;
    while ((ready = all_ready(outgoing, error)) == 0) {
        if (drv_job_cancel_requested(outgoing->job)) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_CANCELLED, "cancelled");
            return FALSE;
        }
        if (!drv_node_pause(outgoing->ctx, LOOK_MS))
            return FALSE;
    }
    if (ready < 0)
        return FALSE;
    drv_job_enter(outgoing->job, DRV_STATE_FINISHING);
    FOREACH_MOVED(disk, disks)
    if (!drv_hyper_block_copy_end(outgoing->ctx->hyper, uuid, drv_json_string(disk, "target", ""), TRUE, error))
        return FALSE;
    return TRUE;
}

/* ---- a VM that is shut off ---- */

static gboolean go_on(gpointer data)
{
    drv_outgoing *outgoing = data;

    return !drv_job_cancel_requested(outgoing->job) && !drv_node_is_stopping(outgoing->ctx);
}

static gboolean copy_shut_off(drv_outgoing *outgoing, GError **error)
{
    json_object *step = drv_job_step(outgoing->job);
    json_object *disks = disks_of(outgoing);
    g_autoptr(drv_rewrite) rewrite = drv_rewrite_new();
    g_autoptr(drv_domain) domain = NULL;
    g_autoptr(GArray) before = drv_stamps_take(step), after = NULL;

    FOREACH_MOVED(disk, disks)
    {
        const char *format = drv_json_string(disk, "format", "raw");
        const char *target_path = drv_json_string(disk, "target_path", "");

        if (!drv_content_copy(drv_json_string(disk, "path", ""), format, target_path, format, TRUE,
                              (guint64)drv_json_int(step, "bandwidth_bps", 0), go_on, outgoing, error))
            return FALSE;
        drv_rewrite_add_disk(rewrite, drv_json_string(disk, "target", ""), target_path, FALSE,
                             drv_json_bool(disk, "flatten"), FALSE);
    }
    domain = drv_hyper_domain(outgoing->ctx->hyper, drv_job_uuid(outgoing->job), error);
    if (!domain)
        return FALSE;
    if (domain->state != DRV_DOMAIN_SHUT_OFF) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "%s has been started meanwhile", domain->name);
        return FALSE;
    }
    after = drv_stamps_take(step);
    if (!drv_stamps_equal(before, after)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "its disks were written to while they were copied");
        return FALSE;
    }
    return drv_hyper_change_definition(outgoing->ctx->hyper, domain->uuid, rewrite, error);
}

/* ---- both ---- */

void drv_storage_move(drv_outgoing *outgoing)
{
    json_object *step = drv_job_step(outgoing->job);
    g_autoptr(json_object) made = json_object_new_array();
    making m = {outgoing, made};
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_domain) domain = NULL;
    gboolean good;

    drv_job_enter(outgoing->job, DRV_STATE_PREPARING);
    domain = drv_hyper_domain(outgoing->ctx->hyper, drv_job_uuid(outgoing->job), &error);
    good = domain && drv_make_images(outgoing->ctx, step, made, keep_made, &m, &error);
    if (good) {
        drv_job_enter(outgoing->job, DRV_STATE_COPYING_DISKS);
        good = domain->state == DRV_DOMAIN_SHUT_OFF ? copy_shut_off(outgoing, &error) : copy_running(outgoing, &error);
    }
    if (drv_node_is_stopping(outgoing->ctx) && !good)
        return;
    if (!good && domain && domain->state != DRV_DOMAIN_SHUT_OFF)
        stop_copies(outgoing);
    end(outgoing, error);
}

void drv_storage_take_up(drv_outgoing *outgoing)
{
    if (drv_job_state(outgoing->job) == DRV_STATE_PLANNED)
        drv_job_enter(outgoing->job, DRV_STATE_PREPARING);
    stop_copies(outgoing);
    end(outgoing, NULL);
}
