/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target's end of a migration.
 *
 * Theory of operation. A session is recorded in the store before anything is made for
 * it, so that a later droverd can remove it. A thread per session waits for the relay to
 * say that the source's libvirtd has the Finish reply, and resumes the guest at once.
 * Exactly one of two things ever happens to a copy, decided under the session's lock
 * and recorded first: it is resumed, or it is abandoned. When the link is lost before
 * either, the source is asked how its job ended.
 */
#include "run/incoming.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hex.h"
#include "base/log.h"
#include "run/preflight.h"
#include "run/session.h"

#define BUCKET "session"
#define ASK_SOURCE_MS 1000

struct drv_incoming {
    gatomicrefcount references;
    drv_run *run;
    char *session; /* these do not change */
    char *dir;
    char *source;
    char *job;
    char *vm;
    char *uuid;
    gboolean was_running;
    json_object *created; /* paths of images made here */

    GMutex lock;          /* held while the fate of the copy is decided; guards what follows */
    gboolean resumed;     /* set with the lock held, atomically: lists look without it */
    gboolean closed;      /* finished or abandoned: nothing is left to do */
    char *complaint;      /* why the last try to resume it failed, as logged */
};

void drv_incoming_unref(drv_incoming *incoming)
{
    if (!incoming || !g_atomic_ref_count_dec(&incoming->references))
        return;
    json_object_put(incoming->created);
    g_free(incoming->session);
    g_free(incoming->dir);
    g_free(incoming->source);
    g_free(incoming->job);
    g_free(incoming->vm);
    g_free(incoming->uuid);
    g_free(incoming->complaint);
    g_mutex_clear(&incoming->lock);
    g_free(incoming);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_incoming, drv_incoming_unref)

static drv_incoming *find(drv_run *run, const char *session)
{
    drv_incoming *incoming;

    g_mutex_lock(&run->lock);
    incoming = g_hash_table_lookup(run->incoming, session);
    if (incoming)
        g_atomic_ref_count_inc(&incoming->references);
    g_mutex_unlock(&run->lock);
    return incoming;
}

static void publish(drv_incoming *incoming)
{
    g_atomic_ref_count_inc(&incoming->references);
    g_mutex_lock(&incoming->run->lock);
    g_hash_table_insert(incoming->run->incoming, g_strdup(incoming->session), incoming);
    g_mutex_unlock(&incoming->run->lock);
}

/* ---- the record ---- */

static gboolean keep(drv_incoming *incoming, gint64 expected, GError **error)
{
    g_autoptr(json_object) doc = json_object_new_object();

    drv_json_set_string(doc, "session", incoming->session);
    drv_json_set_string(doc, "source", incoming->source);
    drv_json_set_string(doc, "job", incoming->job);
    drv_json_set_string(doc, "vm", incoming->vm);
    drv_json_set_string(doc, "uuid", incoming->uuid);
    drv_json_set_bool(doc, "was_running", incoming->was_running);
    drv_json_set_bool(doc, "resumed", incoming->resumed);
    drv_json_set(doc, "created", json_object_get(incoming->created));
    return drv_store_put(incoming->run->store, BUCKET, incoming->session,
                         json_object_to_json_string(doc), expected, NULL, error);
}

static drv_incoming *from_record(drv_run *run, json_object *doc)
{
    drv_incoming *incoming = g_new0(drv_incoming, 1);

    g_atomic_ref_count_init(&incoming->references);
    g_mutex_init(&incoming->lock);
    incoming->run = run;
    incoming->session = g_strdup(drv_json_string(doc, "session", ""));
    incoming->dir = drv_session_dir(run->sessions_dir, incoming->session);
    incoming->source = g_strdup(drv_json_string(doc, "source", ""));
    incoming->job = g_strdup(drv_json_string(doc, "job", ""));
    incoming->vm = g_strdup(drv_json_string(doc, "vm", ""));
    incoming->uuid = g_strdup(drv_json_string(doc, "uuid", ""));
    incoming->was_running = drv_json_bool(doc, "was_running");
    incoming->resumed = drv_json_bool(doc, "resumed");
    incoming->created = drv_json_array(doc, "created")
                            ? json_object_get(drv_json_array(doc, "created"))
                            : json_object_new_array();
    return incoming;
}

/* Called with the lock held, when the copy's fate is decided and carried out. */
static void close_session(drv_incoming *incoming)
{
    g_autoptr(GError) error = NULL;

    incoming->closed = TRUE;
    drv_session_end_relay(incoming->dir);
    if (!drv_store_delete(incoming->run->store, BUCKET, incoming->session, DRV_REVISION_ANY,
                          &error) &&
        !g_error_matches(error, DRV_ERROR, DRV_ERROR_NOT_FOUND))
        drv_log_warning("a finished session stays in the store: %s session=%s", error->message,
                        incoming->session);
    g_mutex_lock(&incoming->run->lock);
    g_hash_table_remove(incoming->run->incoming, incoming->session);
    g_mutex_unlock(&incoming->run->lock);
}

/* ---- the two fates ---- */

/* Called with the lock held. */
static gboolean resume(drv_incoming *incoming, GError **error)
{
    g_autoptr(GError) problem = NULL;

    if (!incoming->was_running) {
        g_atomic_int_set(&incoming->resumed, TRUE);
        return TRUE;
    }
    if (!drv_hyper_resume(incoming->run->hyper, incoming->uuid, error))
        return FALSE;
    g_atomic_int_set(&incoming->resumed, TRUE);
    /* Behind the resume, which the guest is waiting for: libvirt remembers it as well, it runs. */
    if (!keep(incoming, DRV_REVISION_ANY, &problem))
        drv_log_warning("that %s was resumed could not be recorded: %s session=%s", incoming->vm,
                        problem->message, incoming->session);
    return TRUE;
}

static gboolean remove_images(drv_incoming *incoming, GError **error)
{
    for (gsize i = 0; i < drv_json_length(incoming->created); i++) {
        const char *path =
            json_object_get_string(json_object_array_get_idx(incoming->created, i));

        if (!drv_hyper_disk_remove(incoming->run->hyper, path, error))
            return FALSE;
    }
    return TRUE;
}

/* Called with the lock held. Nothing that has ever run is touched. */
static gboolean abandon(drv_incoming *incoming, GError **error)
{
    g_autoptr(drv_domain) domain = NULL;
    g_autoptr(GError) problem = NULL;

    if (incoming->closed)
        return TRUE;
    domain = drv_hyper_domain(incoming->run->hyper, incoming->uuid, &problem);
    if (!domain && !g_error_matches(problem, DRV_ERROR, DRV_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return FALSE;
    }
    if (incoming->resumed || (domain && domain->state == DRV_DOMAIN_RUNNING)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "%s already runs on %s", incoming->vm,
                    incoming->run->node);
        return FALSE;
    }
    /* First the link, so that nothing more arrives, then the copy, then its images. */
    drv_session_end_relay(incoming->dir);
    if (!drv_hyper_destroy(incoming->run->hyper, incoming->uuid, TRUE, error) ||
        !remove_images(incoming, error))
        return FALSE;
    drv_log_notice("abandoned the copy of %s from %s session=%s", incoming->vm, incoming->source,
                   incoming->session);
    close_session(incoming);
    return TRUE;
}

/* ---- watching ---- */

/* Whether the source says that its job has ended and it holds the VM or has given it away for good. */
static gboolean source_is_through(drv_incoming *incoming)
{
    g_autofree char *path = g_strdup_printf("/v1/peer/jobs/%s", incoming->job);
    g_autoptr(json_object) job = drv_run_call(incoming->run, incoming->source, "GET", path, NULL,
                                              DRV_RUN_PEER_TIMEOUT_MS, NULL);

    return job && drv_json_bool(job, "ended") &&
           !g_str_equal(drv_json_string(job, "state", ""),
                        drv_state_get(DRV_STATE_NEEDS_ATTENTION)->name);
}

/* Called with the lock held. The link is gone: libvirtd tears the copy down, unless Finish had come. */
static void settle_orphan(drv_incoming *incoming)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_domain) domain =
        drv_hyper_domain(incoming->run->hyper, incoming->uuid, &error);
    gboolean absent = !domain && g_error_matches(error, DRV_ERROR, DRV_ERROR_NOT_FOUND);

    g_clear_error(&error);
    if (domain && domain->busy)
        return;
    if (absent && !incoming->resumed) {
        if (!abandon(incoming, &error))
            drv_log_warning("cannot clean up after %s: %s session=%s", incoming->vm, error->message,
                            incoming->session);
        return;
    }
    if (!source_is_through(incoming))
        return; /* The source has the word, or cannot be asked: a paused copy waits. */
    if (incoming->resumed || (domain && domain->state == DRV_DOMAIN_RUNNING))
        close_session(incoming);
    else if (!abandon(incoming, &error))
        drv_log_warning("cannot clean up after %s: %s session=%s", incoming->vm, error->message,
                        incoming->session);
}

/* Called with the lock held. */
static void resume_now(drv_incoming *incoming, drv_relay *relay)
{
    g_autoptr(GError) error = NULL;

    if (incoming->resumed || incoming->closed)
        return;
    if (resume(incoming, &error)) {
        drv_relay_tell_resumed(relay, NULL);
        return;
    }
    if (g_error_matches(error, DRV_ERROR, DRV_ERROR_NOT_FOUND)) {
        /* The source has given it away already: its images are the only ones now. */
        drv_log_error("%s was removed by somebody before it could go on here; its images stay "
                      "session=%s",
                      incoming->vm, incoming->session);
        close_session(incoming);
    } else if (g_strcmp0(error->message, incoming->complaint) != 0) {
        /* It is tried again and again. */
        drv_log_error("cannot resume %s: %s session=%s", incoming->vm, error->message,
                      incoming->session);
        g_free(incoming->complaint);
        incoming->complaint = g_strdup(error->message);
    }
}

static gpointer watch(gpointer data)
{
    drv_incoming *incoming = data;
    drv_run *run = incoming->run;
    drv_relay *relay = NULL;
    gboolean linked = drv_relay_open(incoming->dir, &relay, NULL) == 0;
    gboolean closed = FALSE;

    while (!closed && !drv_run_stopping(run)) {
        struct drv_relay_status status = {.state = DRV_RELAY_LOST};
        int rc = linked ? drv_relay_next(relay, &status, 500, NULL) : -ECONNRESET;

        if (rc == -ETIMEDOUT)
            continue;
        g_mutex_lock(&incoming->lock);
        if (rc == 0 && status.finish_ok)
            resume_now(incoming, relay);
        if (rc != 0 || status.state == DRV_RELAY_LOST || status.state == DRV_RELAY_ENDED) {
            linked = FALSE;
            if (!incoming->closed)
                settle_orphan(incoming);
        }
        closed = incoming->closed;
        g_mutex_unlock(&incoming->lock);
        if (!closed && !linked)
            drv_run_pause(run, ASK_SOURCE_MS);
    }
    drv_relay_close(relay);
    drv_incoming_unref(incoming);
    drv_run_thread_ended(run);
    return NULL;
}

static void start_watching(drv_incoming *incoming)
{
    g_atomic_ref_count_inc(&incoming->references);
    drv_run_thread(incoming->run, "arrival", watch, incoming);
}

void drv_incoming_take_up(drv_run *run, const char *json)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) doc = drv_json_parse(json, "a stored session", &error);
    g_autoptr(drv_incoming) incoming = NULL;

    if (!doc || !drv_session_is_id(drv_json_string(doc, "session", NULL))) {
        drv_log_error("a stored session cannot be read%s%s", error ? ": " : "",
                      error ? error->message : "");
        return;
    }
    incoming = from_record(run, doc);
    drv_log_notice("taking up an arrival after a restart vm=%s session=%s", incoming->vm,
                   incoming->session);
    publish(incoming);
    start_watching(incoming);
}

/* ---- opening ---- */

static gboolean make_images(drv_incoming *incoming, json_object *disks, GError **error)
{
    for (gsize i = 0; i < drv_json_length(disks); i++) {
        json_object *disk = json_object_array_get_idx(disks, i);
        const char *path = drv_json_string(disk, "path", NULL);

        if (!drv_run_is_copied(disk))
            continue;
        /* What exists must never get into the list of what may be removed. */
        if (!path || g_file_test(path, G_FILE_TEST_EXISTS)) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "%s exists already on %s",
                        path ? path : "the disk", incoming->run->node);
            return FALSE;
        }
        json_object_array_add(incoming->created, json_object_new_string(path));
        if (!keep(incoming, DRV_REVISION_ANY, error) ||
            !drv_hyper_disk_create(incoming->run->hyper, path,
                                   drv_json_string(disk, "format", "raw"),
                                   (guint64)drv_json_int(disk, "capacity_bytes", 0),
                                   (guint64)drv_json_int(disk, "allocation_bytes", 0), error))
            return FALSE;
    }
    return TRUE;
}

static gboolean start_relay(drv_incoming *incoming, json_object *request, GError **error)
{
    struct drv_relay_config config = {.role = DRV_RELAY_TARGET,
                                      .links = (unsigned)drv_json_int(request, "links", 0),
                                      .directory = incoming->dir,
                                      .libvirt_fd = -1,
                                      .program = incoming->run->relay_program,
                                      .user = drv_session_relay_user(),
                                      .group = drv_session_qemu_group()};
    struct drv_error problem = {0};
    int rc;

    if (drv_hex_decode(config.secret, sizeof config.secret,
                       drv_json_string(request, "secret", ""), &problem) < 0) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "the session's secret: %s",
                    problem.message);
        return FALSE;
    }
    g_strlcpy(config.session, incoming->session, sizeof config.session);
    if (!drv_session_make_dir(incoming->dir, error))
        return FALSE;
    config.libvirt_fd = drv_hyper_libvirt_socket(incoming->run->hyper, error);
    if (config.libvirt_fd < 0)
        return FALSE;
    rc = drv_relay_spawn(&config, &problem);
    close(config.libvirt_fd);
    explicit_bzero(config.secret, sizeof config.secret);
    if (rc < 0)
        drv_gerror_from(error, DRV_ERROR_FAILED, &problem);
    return rc == 0;
}

/* A session for the same VM that its source has given up: it is in the way. */
static void clear_leftovers(drv_run *run, const char *source, const char *uuid)
{
    g_autoptr(GPtrArray) old = g_ptr_array_new_with_free_func((GDestroyNotify)drv_incoming_unref);
    GHashTableIter iter;
    gpointer value;

    g_mutex_lock(&run->lock);
    g_hash_table_iter_init(&iter, run->incoming);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        drv_incoming *incoming = value;

        if (g_str_equal(incoming->uuid, uuid) && g_str_equal(incoming->source, source)) {
            g_atomic_ref_count_inc(&incoming->references);
            g_ptr_array_add(old, incoming);
        }
    }
    g_mutex_unlock(&run->lock);
    for (guint i = 0; i < old->len; i++) {
        drv_incoming *incoming = old->pdata[i];

        g_mutex_lock(&incoming->lock);
        abandon(incoming, NULL);
        g_mutex_unlock(&incoming->lock);
    }
}

gboolean drv_incoming_open(drv_run *run, const char *source, json_object *request, GError **error)
{
    json_object *step = drv_json_object(request, "step");
    const char *session = drv_json_string(request, "session", NULL);
    g_autoptr(json_object) doc = NULL;
    g_autoptr(drv_incoming) incoming = NULL;
    gboolean ok;

    if (!step || !drv_session_is_id(session) || !drv_json_string(request, "job", NULL)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "a session needs its id, its job and the step");
        return FALSE;
    }
    if (drv_run_is_leaving(run, drv_json_string(step, "uuid", ""))) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                    "%s has not yet finished the move of %s away from it, and would remove its "
                    "images: 'drover jobs' shows when it has",
                    run->node, drv_json_string(step, "vm", "?"));
        return FALSE;
    }
    clear_leftovers(run, source, drv_json_string(step, "uuid", ""));
    if (!drv_run_preflight(run, step, error))
        return FALSE;

    doc = json_object_new_object();
    drv_json_set_string(doc, "session", session);
    drv_json_set_string(doc, "source", source);
    drv_json_set_string(doc, "job", drv_json_string(request, "job", ""));
    drv_json_set_string(doc, "vm", drv_json_string(step, "vm", ""));
    drv_json_set_string(doc, "uuid", drv_json_string(step, "uuid", ""));
    drv_json_set_bool(doc, "was_running", drv_json_bool(step, "was_running"));
    incoming = from_record(run, doc);

    g_mutex_lock(&incoming->lock);
    ok = keep(incoming, DRV_REVISION_NEW, error);
    if (ok) {
        publish(incoming);
        ok = make_images(incoming, drv_json_array(step, "disks"), error) &&
             start_relay(incoming, request, error);
        if (!ok && !abandon(incoming, NULL))
            drv_log_warning("what was made for %s could not be removed yet session=%s",
                            incoming->vm, incoming->session);
    }
    g_mutex_unlock(&incoming->lock);
    if (ok)
        start_watching(incoming);
    return ok;
}

/* ---- what the source asks ---- */

static gboolean is_uuid(const char *text)
{
    return g_uuid_string_is_valid(text);
}

json_object *drv_incoming_look(drv_run *run, const char *session, json_object *about, GError **error)
{
    const char *uuid = drv_json_string(about, "uuid", "");
    g_autoptr(drv_incoming) incoming = find(run, session);
    g_autoptr(drv_domain) domain = NULL;
    g_autoptr(GError) problem = NULL;
    json_object *object;
    gboolean resumed = FALSE;

    if (!is_uuid(uuid)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "'%s' is not a UUID", uuid);
        return NULL;
    }
    if (incoming) {
        g_mutex_lock(&incoming->lock);
        resumed = incoming->resumed;
    }
    domain = drv_hyper_domain(run->hyper, uuid, &problem);
    if (incoming)
        g_mutex_unlock(&incoming->lock);
    if (!domain && !g_error_matches(problem, DRV_ERROR, DRV_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return NULL;
    }
    object = json_object_new_object();
    drv_json_set_string(object, "domain",
                        domain ? drv_domain_state_name(domain->state) : "absent");
    drv_json_set_bool(object, "busy", domain && domain->busy);
    drv_json_set_bool(object, "resumed", resumed);
    return object;
}

static json_object *completed_json(drv_run *run, const char *uuid)
{
    drv_job_stats stats = {0};
    json_object *object = NULL;

    if (drv_hyper_job_completed(run->hyper, uuid, &stats, NULL)) {
        object = json_object_new_object();
        drv_json_set_int(object, "downtime_ms", (gint64)stats.downtime_ms);
        drv_json_set_int(object, "elapsed_ms", (gint64)stats.elapsed_ms);
        drv_json_set_int(object, "rounds", (gint64)stats.rounds);
    }
    return object;
}

json_object *drv_incoming_finish(drv_run *run, const char *session, json_object *about,
                                 GError **error)
{
    const char *uuid = drv_json_string(about, "uuid", "");
    g_autoptr(drv_incoming) incoming = find(run, session);
    json_object *object;
    gboolean ok = TRUE;

    if (!is_uuid(uuid)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "'%s' is not a UUID", uuid);
        return NULL;
    }
    if (incoming) {
        g_mutex_lock(&incoming->lock);
        ok = incoming->resumed || resume(incoming, error);
        if (ok && !incoming->closed)
            close_session(incoming);
        g_mutex_unlock(&incoming->lock);
    } else if (drv_json_bool(about, "was_running")) {
        /* The session was finished before and the answer was lost: the VM must be here and run. */
        g_autoptr(drv_domain) domain = drv_hyper_domain(run->hyper, uuid, error);

        ok = domain && domain->state == DRV_DOMAIN_RUNNING;
        if (domain && !ok)
            g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                        "%s is %s on %s and its session is unknown there", domain->name,
                        drv_domain_state_name(domain->state), run->node);
    }
    if (!ok)
        return NULL;
    object = json_object_new_object();
    drv_json_set(object, "completed", completed_json(run, uuid));
    return object;
}

gboolean drv_incoming_abandon(drv_run *run, const char *source, const char *session,
                              GError **error)
{
    g_autoptr(drv_incoming) incoming = find(run, session);
    gboolean ok;

    if (!incoming)
        return TRUE;
    if (!g_str_equal(incoming->source, source)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED, "the session is between %s and %s",
                    incoming->source, run->node);
        return FALSE;
    }
    g_mutex_lock(&incoming->lock);
    ok = abandon(incoming, error);
    g_mutex_unlock(&incoming->lock);
    return ok;
}

gboolean drv_incoming_is_arriving(drv_run *run, const char *uuid)
{
    GHashTableIter iter;
    gpointer value;
    gboolean arriving = FALSE;

    g_mutex_lock(&run->lock);
    g_hash_table_iter_init(&iter, run->incoming);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        drv_incoming *incoming = value;

        arriving |= g_str_equal(incoming->uuid, uuid) && !g_atomic_int_get(&incoming->resumed);
    }
    g_mutex_unlock(&run->lock);
    return arriving;
}

gboolean drv_incoming_hand_link(drv_run *run, const char *session, int fd, GError **error)
{
    g_autoptr(drv_incoming) incoming = drv_session_is_id(session) ? find(run, session) : NULL;
    struct drv_error problem = {0};
    drv_relay *relay = NULL;
    int rc;

    if (!incoming) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "there is no session %s here", session);
        return FALSE;
    }
    rc = drv_relay_open(incoming->dir, &relay, &problem);
    if (rc == 0)
        rc = drv_relay_hand_link(relay, fd, &problem);
    drv_relay_close(relay);
    if (rc < 0)
        drv_gerror_from(error, DRV_ERROR_FAILED, &problem);
    return rc == 0;
}
