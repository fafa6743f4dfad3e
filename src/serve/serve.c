/* SPDX-License-Identifier: Apache-2.0 */
/* The executor: what it holds, its threads, and taking up what an earlier droverd left. */
#include "serve/serve.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cache/cache.h"
#include "cache/store.h"
#include "facts/first-look.h"
#include "facts/links.h"
#include "facts/memory-sampler.h"
#include "facts/probe-markers.h"
#include "fleet/operations-drive.h"
#include "fleet/operations.h"
#include "hyper/connection.h"
#include "move/job.h"
#include "move/resume-decision.h"
#include "move/source/migration.h"
#include "move/source/reconcile.h"
#include "move/state.h"
#include "move/step.h"
#include "move/target/decide.h"
#include "move/target/session-record.h"
#include "move/target/session.h"
#include "node/context.h"
#include "node/history.h"
#include "node/leader.h"
#include "node/relay-session.h"
#include "serve/peer-routes.h"

static void unref_job(gpointer job)
{
    drv_job_unref(job);
}

static void unref_incoming(gpointer incoming)
{
    drv_incoming_unref(incoming);
}

static void guest_moves(const char *uuid, drv_move_event event, gint64 when_us, gpointer data)
{
    drv_context *ctx = data;
    drv_outgoing *outgoing;

    if (event == DRV_MOVE_ARRIVED) {
        drv_incoming_arrived(ctx, uuid);
        return;
    }
    g_mutex_lock(&ctx->lock);
    outgoing = g_hash_table_lookup(ctx->outgoing, uuid);
    if (outgoing)
        drv_outgoing_event(outgoing, event, when_us);
    g_mutex_unlock(&ctx->lock);
}

drv_context *drv_serve_new(const drv_serve_config *config, GError **error)
{
    drv_context *ctx = g_new0(drv_context, 1);

    ctx->node = g_strdup(config->node);
    ctx->answer = drv_serve_peer;
    ctx->started_ms = drv_clock_real_ms();
    ctx->looked = config->looked;
    ctx->looked_data = config->looked_data;
    ctx->hyper = config->hyper;
    ctx->store = config->store;
    ctx->shared = config->shared;
    ctx->peers = config->peers;
    ctx->relay_program = g_strdup(config->relay_program);
    ctx->relay_memory_bytes = config->relay_memory_bytes;
    ctx->stand_in_program = g_strdup(config->stand_in_program);
    ctx->resumed_dir = g_strdup(config->resumed_dir ? config->resumed_dir : config->sessions_dir);
    if (g_mkdir_with_parents(ctx->resumed_dir, 0700) < 0)
        drv_log_warning("cannot make %s: %s", ctx->resumed_dir, g_strerror(errno));
    ctx->sessions_dir = g_strdup(config->sessions_dir);
    if (config->content_dir) {
        const drv_content_config content = {.dir = config->content_dir,
                                            .sessions_dir = config->sessions_dir,
                                            .most_bytes = config->content_most_bytes,
                                            .age_s = config->content_age_s,
                                            .store = config->store};

        ctx->content = drv_content_open(&content);
    }
    g_mutex_init(&ctx->lock);
    g_cond_init(&ctx->idle);
    ctx->jobs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, unref_job);
    ctx->attention = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, unref_job);
    ctx->outgoing = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    ctx->leaving = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    ctx->in_need = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    ctx->coming = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    ctx->incoming = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, unref_incoming);
    ctx->presence = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    ctx->operations = drv_operations_of(ctx);
    ctx->probes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    drv_hyper_on_move(ctx->hyper, guest_moves, ctx);
    drv_leader_start(ctx);
    return ctx;
}

static void take_up_jobs(drv_context *ctx, GHashTable *known_sessions)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) stored = drv_store_list(ctx->store, "job", 0, &error);

    if (!stored) {
        drv_log_error("the jobs cannot be read: %s", error->message);
        return;
    }
    for (guint i = 0; i < stored->len; i++) {
        const drv_document *document = stored->pdata[i];
        g_autoptr(drv_job) job = drv_job_load(ctx->store, document->json, &error);
        drv_step_names names;

        if (!job || (!drv_job_ended(job) && !drv_step_parse(drv_job_step(job), &names, &error))) {
            drv_log_error("job %s cannot be taken up: %s", document->key, error->message);
            g_clear_error(&error);
        } else if (drv_job_state(job) == DRV_STATE_NEEDS_ATTENTION) {
            g_hash_table_insert(ctx->attention, g_strdup(drv_job_id(job)), drv_job_ref(job));
            g_hash_table_insert(ctx->in_need, g_strdup(drv_job_id(job)), g_strdup(drv_job_uuid(job)));
        } else if (!drv_job_ended(job)) {
            drv_session_id session;

            if (drv_job_session(job, &session))
                g_hash_table_add(known_sessions, g_strdup(session.text));
            drv_outgoing_start(ctx, job, TRUE);
        }
    }
}

static void take_up_sessions(drv_context *ctx, GHashTable *known_sessions)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) stored = drv_store_list(ctx->store, "session", 0, &error);

    if (!stored) {
        drv_log_error("the sessions cannot be read: %s", error->message);
        return;
    }
    for (guint i = 0; i < stored->len; i++) {
        const drv_document *document = stored->pdata[i];

        g_hash_table_add(known_sessions, g_strdup(document->key));
        drv_incoming_take_up(ctx, document->json);
    }
}

static void remove_stray_decision(drv_context *ctx, GHashTable *known_sessions, const char *name)
{
    g_autofree char *text = g_strndup(name, strlen(name) - strlen(DRV_DECISION_SUFFIX));
    g_autofree char *path = NULL, *dir = NULL;
    drv_session_id session;

    if (drv_session_id_parse(&session, text, NULL) < 0 || g_hash_table_contains(known_sessions, text))
        return;
    dir = drv_session_dir(ctx->sessions_dir, &session);
    path = drv_decision_path(dir);
    drv_decision_end(path);
}

/* Directories and relays that no job and no session knows of: of moves that have ended. */
static void remove_strays(drv_context *ctx, GHashTable *known_sessions)
{
    g_autoptr(GDir) directory = g_dir_open(ctx->sessions_dir, 0, NULL);
    const char *name;

    while (directory && (name = g_dir_read_name(directory))) {
        g_autofree char *path = NULL;
        drv_session_id session;

        if (g_str_has_suffix(name, DRV_DECISION_SUFFIX)) {
            remove_stray_decision(ctx, known_sessions, name);
            continue;
        }
        if (drv_session_id_parse(&session, name, NULL) < 0 || g_hash_table_contains(known_sessions, name))
            continue;
        path = drv_session_dir(ctx->sessions_dir, &session);
        drv_log_notice("removing what is left of an ended move session=%s", name);
        drv_session_end_relay(path);
    }
}

typedef struct {
    drv_context *ctx;
    GPtrArray *left;
} clearing;

/* In a thread: a network file system that hangs must not keep droverd from what runs. */
static gpointer clear_markers(gpointer data)
{
    clearing *what = data;

    drv_markers_clear(what->ctx->store, what->left);
    g_ptr_array_unref(what->left);
    drv_node_thread_ended(what->ctx);
    g_free(what);
    return NULL;
}

static void remove_markers(drv_context *ctx)
{
    g_autoptr(GPtrArray) left = drv_markers_left(ctx->store);
    clearing *what;

    if (!left || !left->len)
        return;
    what = g_new0(clearing, 1);
    what->ctx = ctx;
    what->left = g_steal_pointer(&left);
    drv_node_thread(ctx, "markers", clear_markers, what);
}

void drv_serve_start(drv_context *ctx)
{
    g_autoptr(GHashTable) known_sessions = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    take_up_jobs(ctx, known_sessions);
    take_up_sessions(ctx, known_sessions);
    remove_strays(ctx, known_sessions);
    remove_markers(ctx);
    drv_move_reconcile_start(ctx);
    drv_outbox_start(ctx);
    drv_operations_start(ctx->operations);
    drv_observe_start(ctx);
    drv_links_start(ctx);
    drv_first_look_start(ctx);
}

void drv_serve_free(drv_context *ctx)
{
    GHashTableIter iter;
    gpointer value;

    if (!ctx)
        return;
    drv_hyper_on_move(ctx->hyper, NULL, NULL);
    if (ctx->shared)
        drv_store_stop_waiting(ctx->shared);
    drv_store_stop_waiting(ctx->store);
    g_mutex_lock(&ctx->lock);
    ctx->stopping = TRUE;
    g_hash_table_iter_init(&iter, ctx->outgoing);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        drv_outgoing_wake(value);
    g_cond_broadcast(&ctx->idle);
    drv_operations_wake(ctx->operations);
    while (ctx->threads)
        g_cond_wait(&ctx->idle, &ctx->lock);
    g_mutex_unlock(&ctx->lock);
    drv_operations_free(ctx->operations);
    json_object_put(ctx->node_settings);
    g_hash_table_unref(ctx->jobs);
    g_hash_table_unref(ctx->attention);
    g_hash_table_unref(ctx->outgoing);
    g_hash_table_unref(ctx->incoming);
    g_hash_table_unref(ctx->leaving);
    g_hash_table_unref(ctx->in_need);
    g_hash_table_unref(ctx->coming);
    g_hash_table_unref(ctx->presence);
    g_hash_table_unref(ctx->probes);
    g_mutex_clear(&ctx->lock);
    g_cond_clear(&ctx->idle);
    drv_content_close(ctx->content);
    drv_leader_free(ctx);
    g_free(ctx->node);
    g_free(ctx->relay_program);
    g_free(ctx->stand_in_program);
    g_free(ctx->resumed_dir);
    g_free(ctx->sessions_dir);
    g_free(ctx);
}

gboolean drv_serve_hand_link(drv_context *ctx, const char *session, int fd, GError **error)
{
    return drv_incoming_hand_link(ctx, session, fd, error);
}
