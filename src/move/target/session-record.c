/* SPDX-License-Identifier: Apache-2.0 */
/* The session of an arrival: its lookup, its record, its end. See session-record.h. */
#include "move/target/session-record.h"

#include <glib/gstdio.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "cache/retained.h"
#include "hyper/connection.h"
#include "model/json.h"
#include "move/target/arrival.h"
#include "move/target/judge.h"
#include "move/target/stand-in.h"
#include "node/relay-session.h"

void drv_incoming_unref(drv_incoming *incoming)
{
    if (!incoming || !g_atomic_ref_count_dec(&incoming->references))
        return;
    json_object_put(incoming->created);
    json_object_put(incoming->parcel);
    json_object_put(incoming->step);
    g_free(incoming->method);
    g_free(incoming->dir);
    g_free(incoming->complaint);
    drv_decision_free(incoming->decision);
    g_mutex_clear(&incoming->lock);
    g_free(incoming);
}

drv_incoming *drv_incoming_find(drv_context *ctx, const char *session)
{
    drv_incoming *incoming;

    g_mutex_lock(&ctx->lock);
    incoming = g_hash_table_lookup(ctx->incoming, session);
    if (incoming)
        g_atomic_ref_count_inc(&incoming->references);
    g_mutex_unlock(&ctx->lock);
    return incoming;
}

static void insert_locked(drv_incoming *incoming)
{
    g_hash_table_insert(incoming->ctx->coming, g_strdup(incoming->session.text), g_strdup(incoming->uuid.text));
    g_hash_table_insert(incoming->ctx->incoming, g_strdup(incoming->session.text), incoming);
}

void drv_incoming_publish(drv_incoming *incoming)
{
    g_atomic_ref_count_inc(&incoming->references);
    g_mutex_lock(&incoming->ctx->lock);
    insert_locked(incoming);
    g_mutex_unlock(&incoming->ctx->lock);
}

/* The session, other than @but, of a VM that comes from @source (any if NULL). Transfer full; NULL. */
drv_incoming *drv_incoming_find_by_uuid(drv_context *ctx, const char *source, const char *uuid, const drv_incoming *but)
{
    drv_incoming *found = NULL;
    GHashTableIter iter;
    gpointer value;

    g_mutex_lock(&ctx->lock);
    g_hash_table_iter_init(&iter, ctx->incoming);
    while (!found && g_hash_table_iter_next(&iter, NULL, &value)) {
        drv_incoming *incoming = value;

        if (incoming != but && g_str_equal(incoming->uuid.text, uuid) &&
            (!source || g_str_equal(incoming->source.text, source))) {
            g_atomic_ref_count_inc(&incoming->references);
            found = incoming;
        }
    }
    g_mutex_unlock(&ctx->lock);
    return found;
}

gboolean drv_incoming_is_arriving(drv_context *ctx, const char *uuid)
{
    GHashTableIter iter;
    gpointer value;
    gboolean arriving = FALSE;

    g_mutex_lock(&ctx->lock);
    g_hash_table_iter_init(&iter, ctx->incoming);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        drv_incoming *incoming = value;

        arriving |= g_str_equal(incoming->uuid.text, uuid) && !g_atomic_int_get(&incoming->resumed);
    }
    g_mutex_unlock(&ctx->lock);
    return arriving;
}

/* An earlier move of the VM away from here that is still being settled releases its disks: not ours. */
gboolean drv_incoming_publish_new(drv_incoming *incoming, GError **error)
{
    drv_context *ctx = incoming->ctx;
    gboolean leaving, known;

    g_mutex_lock(&ctx->lock);
    known = g_hash_table_contains(ctx->incoming, incoming->session.text);
    leaving =
        !g_str_equal(incoming->source.text, ctx->node) && g_hash_table_contains(ctx->leaving, incoming->uuid.text);
    if (!leaving && !known) {
        g_atomic_ref_count_inc(&incoming->references);
        insert_locked(incoming);
    }
    g_mutex_unlock(&ctx->lock);
    if (leaving)
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                    "%s is still leaving %s by an earlier job ('drover jobs'): wait for its end", incoming->vm.text,
                    ctx->node);
    else if (known)
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "the session %s is open already", incoming->session.text);
    return !leaving && !known;
}

void drv_incoming_unpublish(drv_incoming *incoming)
{
    g_mutex_lock(&incoming->ctx->lock);
    g_hash_table_remove(incoming->ctx->incoming, incoming->session.text);
    g_hash_table_remove(incoming->ctx->coming, incoming->session.text);
    g_mutex_unlock(&incoming->ctx->lock);
}

/* ---- the record ---- */

gboolean drv_incoming_keep(drv_incoming *incoming, gint64 expected, GError **error)
{
    g_autoptr(json_object) doc = json_object_new_object();

    drv_json_set_string(doc, "session", incoming->session.text);
    drv_json_set_string(doc, "source", incoming->source.text);
    drv_json_set_string(doc, "job", incoming->job.text);
    drv_json_set_string(doc, "vm", incoming->vm.text);
    drv_json_set_string(doc, "uuid", incoming->uuid.text);
    drv_json_set_int(doc, "opened_ms", incoming->opened_ms);
    drv_json_set_bool(doc, "was_running", incoming->was_running);
    drv_json_set_bool(doc, "may_start", incoming->may_start);
    drv_json_set_bool(doc, "resumed", incoming->resumed);
    drv_json_set(doc, "created", json_object_get(incoming->created));
    drv_json_set_string(doc, "method", incoming->method);
    drv_json_set(doc, "parcel", json_object_get(incoming->parcel));
    drv_json_set(doc, "step", json_object_get(incoming->step));
    return drv_store_put(incoming->ctx->store, DRV_SESSION_BUCKET, incoming->session.text,
                         json_object_to_json_string(doc), expected, NULL, error);
}

drv_incoming *drv_incoming_from_record(drv_context *ctx, json_object *doc, GError **error)
{
    drv_incoming *incoming = g_new0(drv_incoming, 1);
    struct drv_error problem = {0};

    g_atomic_ref_count_init(&incoming->references);
    g_mutex_init(&incoming->lock);
    incoming->ctx = ctx;
    incoming->written = -1;
    if (drv_session_id_parse(&incoming->session, drv_json_string(doc, "session", NULL), &problem) < 0 ||
        drv_node_name_parse(&incoming->source, drv_json_string(doc, "source", NULL), &problem) < 0 ||
        drv_job_name_parse(&incoming->job, drv_json_string(doc, "job", NULL), &problem) < 0 ||
        drv_vm_name_parse(&incoming->vm, drv_json_string(doc, "vm", NULL), &problem) < 0 ||
        drv_uuid_parse(&incoming->uuid, drv_json_string(doc, "uuid", NULL), &problem) < 0) {
        drv_gerror_from(error, DRV_ERROR_INVALID, &problem);
        drv_incoming_unref(incoming);
        return NULL;
    }
    incoming->dir = drv_session_dir(ctx->sessions_dir, &incoming->session);
    incoming->opened_ms = drv_json_int(doc, "opened_ms", drv_clock_real_ms());
    incoming->was_running = drv_json_bool(doc, "was_running");
    incoming->may_start = drv_json_bool(doc, "may_start");
    incoming->resumed = drv_json_bool(doc, "resumed");
    incoming->method = g_strdup(drv_json_string(doc, "method", "pre-copy"));
    incoming->parcel = json_object_get(drv_json_object(doc, "parcel"));
    incoming->step = json_object_get(drv_json_object(doc, "step"));
    incoming->created =
        drv_json_array(doc, "created") ? json_object_get(drv_json_array(doc, "created")) : json_object_new_array();
    return incoming;
}

void drv_incoming_stand_in(drv_incoming *incoming, gboolean anew)
{
    drv_context *ctx = incoming->ctx;
    g_autofree char *path = drv_decision_path(incoming->dir);
    g_autoptr(GError) error = NULL;
    g_autofree char *record = g_build_filename(ctx->resumed_dir, incoming->session.text, NULL);
    const drv_stand_in it = {.dir = incoming->dir,
                             .session = incoming->session.text,
                             .record = record,
                             .uuid = incoming->uuid.text,
                             .vm = incoming->vm.text};

    if (!incoming->was_running || incoming->resumed || !ctx->stand_in_program)
        return;
    /* Resumed by a stand-in, and the host died before droverd knew. */
    if (anew && g_file_test(record, G_FILE_TEST_EXISTS)) {
        incoming->resumed = TRUE;
        return;
    }
    incoming->decision = anew ? drv_decision_open(path) : drv_decision_make(path, &error);
    if (incoming->decision)
        drv_stand_in_start(ctx->stand_in_program, drv_hyper_uri(ctx->hyper), &it);
    else if (error)
        drv_log_warning("nobody stands in for droverd when %s arrives: %s session=%s", incoming->vm.text,
                        error->message, incoming->session.text);
}

/* What older images of its disks have spared the way here. */
static guint64 seed_bytes(const drv_incoming *incoming)
{
    struct drv_relay_status status = {0};
    drv_relay *relay = NULL;

    if (drv_relay_open(incoming->dir, &relay, NULL) < 0)
        return 0;
    if (drv_relay_status(relay, &status, NULL) < 0)
        status = (struct drv_relay_status){0};
    drv_relay_close(relay);
    return status.channel[DRV_CHANNEL_DISK].pages.older * DRV_RELAY_PAGE_BYTES;
}

gboolean drv_incoming_flush(drv_incoming *incoming, GError **error)
{
    g_autoptr(GError) problem = NULL;

    drv_fault("target-before-flush");
    if (drv_arrival_flush(incoming->vm.text, &incoming->uuid, incoming->created, &problem))
        return TRUE;
    g_propagate_prefixed_error(error, g_steal_pointer(&problem),
                               "%s is on %s, but its disks there cannot be flushed: ", incoming->vm.text,
                               incoming->ctx->node);
    return FALSE;
}

/* Called with the lock held, when the copy's fate is decided and carried out. */
void drv_incoming_close(drv_incoming *incoming)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = drv_decision_path(incoming->dir);
    g_autofree char *record = g_build_filename(incoming->ctx->resumed_dir, incoming->session.text, NULL);

    incoming->closed = TRUE;
    drv_decision_end(path);
    if (incoming->resumed) {
        drv_arrival_settle(incoming->ctx, incoming->uuid.text, incoming->parcel, drv_judge_saved(incoming));
        drv_arrival_announce(incoming->ctx, incoming->vm.text, incoming->uuid.text, incoming->source.text,
                             incoming->method, incoming->parcel);
        drv_kept_forget(incoming->ctx->content, incoming->uuid.text, seed_bytes(incoming));
    }
    drv_arrival_unexport(incoming->dir, incoming->created, NULL, &incoming->written, NULL);
    drv_session_end_relay(incoming->dir);
    drv_fault("target-relay-ended");
    if (!drv_store_delete(incoming->ctx->store, DRV_SESSION_BUCKET, incoming->session.text, DRV_REVISION_ANY, &error) &&
        !g_error_matches(error, DRV_ERROR, DRV_ERROR_NOT_FOUND))
        drv_log_warning("a finished session stays in the store: %s session=%s", error->message, incoming->session.text);
    g_unlink(record); /* behind what it says of */
    drv_fault("target-session-closed");
    drv_incoming_unpublish(incoming);
}
