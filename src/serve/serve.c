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
    drv_run *run = data;
    drv_outgoing *outgoing;

    if (event == DRV_MOVE_ARRIVED) {
        drv_incoming_arrived(run, uuid);
        return;
    }
    g_mutex_lock(&run->lock);
    outgoing = g_hash_table_lookup(run->outgoing, uuid);
    if (outgoing)
        drv_outgoing_event(outgoing, event, when_us);
    g_mutex_unlock(&run->lock);
}

drv_run *drv_run_new(const drv_run_config *config, GError **error)
{
    drv_run *run = g_new0(drv_run, 1);

    run->node = g_strdup(config->node);
    run->answer = drv_run_peer;
    run->started_ms = drv_clock_real_ms();
    run->looked = config->looked;
    run->looked_data = config->looked_data;
    run->hyper = config->hyper;
    run->store = config->store;
    run->shared = config->shared;
    run->peers = config->peers;
    run->relay_program = g_strdup(config->relay_program);
    run->relay_memory_bytes = config->relay_memory_bytes;
    run->stand_in_program = g_strdup(config->stand_in_program);
    run->resumed_dir = g_strdup(config->resumed_dir ? config->resumed_dir : config->sessions_dir);
    if (g_mkdir_with_parents(run->resumed_dir, 0700) < 0)
        drv_log_warning("cannot make %s: %s", run->resumed_dir, g_strerror(errno));
    run->sessions_dir = g_strdup(config->sessions_dir);
    if (config->content_dir) {
        const drv_content_config content = {.dir = config->content_dir,
                                            .sessions_dir = config->sessions_dir,
                                            .most_bytes = config->content_most_bytes,
                                            .age_s = config->content_age_s,
                                            .store = config->store};

        run->content = drv_content_open(&content);
    }
    g_mutex_init(&run->lock);
    g_cond_init(&run->idle);
    run->jobs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, unref_job);
    run->attention = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, unref_job);
    run->outgoing = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    run->leaving = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    run->in_need = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    run->coming = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    run->incoming = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, unref_incoming);
    run->presence = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    run->operations = drv_operations_of(run);
    run->probes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    drv_hyper_on_move(run->hyper, guest_moves, run);
    drv_run_lead_start(run);
    return run;
}

static void take_up_jobs(drv_run *run, GHashTable *known_sessions)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) stored = drv_store_list(run->store, "job", 0, &error);

    if (!stored) {
        drv_log_error("the jobs cannot be read: %s", error->message);
        return;
    }
    for (guint i = 0; i < stored->len; i++) {
        const drv_document *document = stored->pdata[i];
        g_autoptr(drv_job) job = drv_job_load(run->store, document->json, &error);
        drv_step_names names;

        if (!job || (!drv_job_ended(job) && !drv_step_parse(drv_job_step(job), &names, &error))) {
            drv_log_error("job %s cannot be taken up: %s", document->key, error->message);
            g_clear_error(&error);
        } else if (drv_job_state(job) == DRV_STATE_NEEDS_ATTENTION) {
            g_hash_table_insert(run->attention, g_strdup(drv_job_id(job)), drv_job_ref(job));
            g_hash_table_insert(run->in_need, g_strdup(drv_job_id(job)), g_strdup(drv_job_uuid(job)));
        } else if (!drv_job_ended(job)) {
            drv_session_id session;

            if (drv_job_session(job, &session))
                g_hash_table_add(known_sessions, g_strdup(session.text));
            drv_outgoing_start(run, job, TRUE);
        }
    }
}

static void take_up_sessions(drv_run *run, GHashTable *known_sessions)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) stored = drv_store_list(run->store, "session", 0, &error);

    if (!stored) {
        drv_log_error("the sessions cannot be read: %s", error->message);
        return;
    }
    for (guint i = 0; i < stored->len; i++) {
        const drv_document *document = stored->pdata[i];

        g_hash_table_add(known_sessions, g_strdup(document->key));
        drv_incoming_take_up(run, document->json);
    }
}

static void remove_stray_decision(drv_run *run, GHashTable *known_sessions, const char *name)
{
    g_autofree char *text = g_strndup(name, strlen(name) - strlen(DRV_DECISION_SUFFIX));
    g_autofree char *path = NULL, *dir = NULL;
    drv_session_id session;

    if (drv_session_id_parse(&session, text, NULL) < 0 || g_hash_table_contains(known_sessions, text))
        return;
    dir = drv_session_dir(run->sessions_dir, &session);
    path = drv_decision_path(dir);
    drv_decision_end(path);
}

/* Directories and relays that no job and no session knows of: of moves that have ended. */
static void remove_strays(drv_run *run, GHashTable *known_sessions)
{
    g_autoptr(GDir) directory = g_dir_open(run->sessions_dir, 0, NULL);
    const char *name;

    while (directory && (name = g_dir_read_name(directory))) {
        g_autofree char *path = NULL;
        drv_session_id session;

        if (g_str_has_suffix(name, DRV_DECISION_SUFFIX)) {
            remove_stray_decision(run, known_sessions, name);
            continue;
        }
        if (drv_session_id_parse(&session, name, NULL) < 0 || g_hash_table_contains(known_sessions, name))
            continue;
        path = drv_session_dir(run->sessions_dir, &session);
        drv_log_notice("removing what is left of an ended move session=%s", name);
        drv_session_end_relay(path);
    }
}

typedef struct {
    drv_run *run;
    GPtrArray *left;
} clearing;

/* In a thread: a network file system that hangs must not keep droverd from what runs. */
static gpointer clear_markers(gpointer data)
{
    clearing *what = data;

    drv_markers_clear(what->run->store, what->left);
    g_ptr_array_unref(what->left);
    drv_run_thread_ended(what->run);
    g_free(what);
    return NULL;
}

static void remove_markers(drv_run *run)
{
    g_autoptr(GPtrArray) left = drv_markers_left(run->store);
    clearing *what;

    if (!left || !left->len)
        return;
    what = g_new0(clearing, 1);
    what->run = run;
    what->left = g_steal_pointer(&left);
    drv_run_thread(run, "markers", clear_markers, what);
}

void drv_run_start(drv_run *run)
{
    g_autoptr(GHashTable) known_sessions =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    take_up_jobs(run, known_sessions);
    take_up_sessions(run, known_sessions);
    remove_strays(run, known_sessions);
    remove_markers(run);
    drv_run_reconcile_start(run);
    drv_outbox_start(run);
    drv_operations_start(run->operations);
    drv_observe_start(run);
    drv_links_start(run);
    drv_first_look_start(run);
}

void drv_run_free(drv_run *run)
{
    GHashTableIter iter;
    gpointer value;

    if (!run)
        return;
    drv_hyper_on_move(run->hyper, NULL, NULL);
    if (run->shared)
        drv_store_stop_waiting(run->shared);
    drv_store_stop_waiting(run->store);
    g_mutex_lock(&run->lock);
    run->stopping = TRUE;
    g_hash_table_iter_init(&iter, run->outgoing);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        drv_outgoing_wake(value);
    g_cond_broadcast(&run->idle);
    drv_operations_wake(run->operations);
    while (run->threads)
        g_cond_wait(&run->idle, &run->lock);
    g_mutex_unlock(&run->lock);
    drv_operations_free(run->operations);
    json_object_put(run->node_settings);
    g_hash_table_unref(run->jobs);
    g_hash_table_unref(run->attention);
    g_hash_table_unref(run->outgoing);
    g_hash_table_unref(run->incoming);
    g_hash_table_unref(run->leaving);
    g_hash_table_unref(run->in_need);
    g_hash_table_unref(run->coming);
    g_hash_table_unref(run->presence);
    g_hash_table_unref(run->probes);
    g_mutex_clear(&run->lock);
    g_cond_clear(&run->idle);
    drv_content_close(run->content);
    drv_run_lead_free(run);
    g_free(run->node);
    g_free(run->relay_program);
    g_free(run->stand_in_program);
    g_free(run->resumed_dir);
    g_free(run->sessions_dir);
    g_free(run);
}

gboolean drv_run_hand_link(drv_run *run, const char *session, int fd, GError **error)
{
    return drv_incoming_hand_link(run, session, fd, error);
}
