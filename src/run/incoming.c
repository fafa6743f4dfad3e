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
 *
 * A copy that runs by post-copy has begun by itself (libvirt says so by an event) and is never
 * abandoned: when its link is lost it waits for memory, and the source comes with a new session
 * that takes the place of the old one.
 */
#include "run/incoming.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/hex.h"
#include "base/log.h"
#include "run/arrival.h"
#include "run/preflight.h"
#include "run/session.h"

#define BUCKET "session"
#define ASK_SOURCE_MS 1000
#define SAY_WAITING_MS 60000

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
    char *method;         /* of the step */
    json_object *parcel;  /* see arrival.h; of a live move without what libvirt brings */
    json_object *created; /* what was made here: see arrival.h */

    GMutex lock;          /* held while the fate of the copy is decided; guards what follows */
    gboolean resumed;     /* set with the lock held, atomically: lists look without it */
    gboolean told;        /* the source's libvirtd has the Finish reply: its copy never runs again */
    gint64 waiting_ms;    /* since when the source is silent, or 0 */
    gboolean said_waiting;
    gboolean closed;      /* finished or abandoned: nothing is left to do */
    char *complaint;      /* why the last try to resume it failed, as logged */
};

void drv_incoming_unref(drv_incoming *incoming)
{
    if (!incoming || !g_atomic_ref_count_dec(&incoming->references))
        return;
    json_object_put(incoming->created);
    json_object_put(incoming->parcel);
    g_free(incoming->method);
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

gboolean drv_incoming_has(drv_run *run, const char *uuid)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, run->incoming);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        if (g_str_equal(((drv_incoming *)value)->uuid, uuid))
            return TRUE;
    return FALSE;
}

/* An earlier move of the VM away from here that is still being settled releases its disks: not ours. */
static gboolean publish_new(drv_incoming *incoming, GError **error)
{
    drv_run *run = incoming->run;
    gboolean leaving, known;

    g_mutex_lock(&run->lock);
    known = g_hash_table_contains(run->incoming, incoming->session);
    leaving = !g_str_equal(incoming->source, run->node) &&
              g_hash_table_contains(run->outgoing, incoming->uuid);
    if (!leaving && !known) {
        g_atomic_ref_count_inc(&incoming->references);
        g_hash_table_insert(run->incoming, g_strdup(incoming->session), incoming);
    }
    g_mutex_unlock(&run->lock);
    if (leaving)
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                    "%s is still leaving %s by an earlier job ('drover jobs'): wait for its end",
                    incoming->vm, run->node);
    else if (known)
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "the session %s is open already",
                    incoming->session);
    return !leaving && !known;
}

static void unpublish(drv_incoming *incoming)
{
    g_mutex_lock(&incoming->run->lock);
    g_hash_table_remove(incoming->run->incoming, incoming->session);
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
    drv_json_set_string(doc, "method", incoming->method);
    drv_json_set(doc, "parcel", json_object_get(incoming->parcel));
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
    incoming->method = g_strdup(drv_json_string(doc, "method", "pre-copy"));
    incoming->parcel = json_object_get(drv_json_object(doc, "parcel"));
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
    if (incoming->resumed) {
        drv_arrival_settle(incoming->run, incoming->uuid, incoming->parcel);
        drv_arrival_announce(incoming->run, incoming->vm, incoming->uuid, incoming->source,
                             incoming->method, incoming->parcel);
    }
    drv_arrival_unexport(incoming->dir, incoming->created, NULL, NULL);
    drv_session_end_relay(incoming->dir);
    drv_fault("target-relay-ended");
    if (!drv_store_delete(incoming->run->store, BUCKET, incoming->session, DRV_REVISION_ANY,
                          &error) &&
        !g_error_matches(error, DRV_ERROR, DRV_ERROR_NOT_FOUND))
        drv_log_warning("a finished session stays in the store: %s session=%s", error->message,
                        incoming->session);
    drv_fault("target-session-closed");
    unpublish(incoming);
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
    drv_fault("target-before-resume");
    if (!drv_hyper_resume(incoming->run->hyper, incoming->uuid, error))
        return FALSE;
    drv_fault("target-resumed");
    g_atomic_int_set(&incoming->resumed, TRUE);
    /* Behind the resume, which the guest is waiting for: libvirt remembers it as well, it runs. */
    if (!keep(incoming, DRV_REVISION_ANY, &problem))
        drv_log_warning("that %s was resumed could not be recorded: %s session=%s", incoming->vm,
                        problem->message, incoming->session);
    drv_fault("target-resume-recorded");
    return TRUE;
}

/*
 * Whether the copy has ever run, or may have. That it was resumed is recorded behind the
 * resume, so libvirt has a say as well: a copy that arrived has been paused by nothing but
 * its migration (libvirt then says "migration", "user" or "starting-up").
 */
static gboolean has_run(drv_incoming *incoming, const drv_domain *domain)
{
    static const char *const of_an_arrival[] = {"migration", "user", "starting-up", "unknown", NULL};

    if (incoming->resumed || (domain && domain->state == DRV_DOMAIN_RUNNING))
        return TRUE;
    return domain && domain->state == DRV_DOMAIN_PAUSED &&
           !g_strv_contains(of_an_arrival, domain->reason ? domain->reason : "unknown");
}

/* Called with the lock held. Whether the source's copy is known to never run again: then this one is the VM. */
static gboolean was_told(drv_incoming *incoming)
{
    struct drv_relay_status status = {0};
    drv_relay *relay = NULL;

    /* The relay may have heard it while nobody looked. */
    if (!incoming->told && drv_relay_open(incoming->dir, &relay, NULL) == 0) {
        incoming->told = drv_relay_status(relay, &status, NULL) == 0 && status.finish_ok;
        drv_relay_close(relay);
    }
    return incoming->told;
}

/* It runs here by post-copy and lacks memory that the source has. */
static gboolean is_split(const drv_domain *domain)
{
    return domain && domain->state == DRV_DOMAIN_RUNNING &&
           g_str_has_prefix(domain->reason ? domain->reason : "", "postcopy");
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
    if (domain && has_run(incoming, domain)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "%s has run on %s (it is %s now)",
                    incoming->vm, incoming->run->node, drv_domain_state_name(domain->state));
        return FALSE;
    }
    if (domain && was_told(incoming)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                    "%s is about to run on %s: its source has given it away", incoming->vm,
                    incoming->run->node);
        return FALSE;
    }
    if (incoming->resumed) {
        /* An operator has undefined it; what he left of its disks is his. */
        close_session(incoming);
        return TRUE;
    }
    /* First the link, so that nothing more arrives, then the copy, then its images. */
    drv_fault("target-before-abandon");
    drv_arrival_unexport(incoming->dir, incoming->created, NULL, NULL);
    drv_session_end_relay(incoming->dir);
    drv_fault("target-abandon-relay-ended");
    if (!drv_hyper_destroy(incoming->run->hyper, incoming->uuid, TRUE, error))
        return FALSE;
    drv_fault("target-copy-destroyed");
    if (!drv_arrival_remove(incoming->run, incoming->created, error))
        return FALSE;
    drv_fault("target-images-removed");
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

static gboolean is_member(drv_run *run, const char *node)
{
    g_autoptr(GPtrArray) members = run->peers->members(run->peers->data);

    for (guint i = 0; i < members->len; i++)
        if (g_str_equal(((const drv_member *)members->pdata[i])->name, node))
            return TRUE;
    return FALSE;
}

/* Called with the lock held. A paused copy whose source cannot be asked: say so, once. */
static void say_waiting(drv_incoming *incoming, const drv_domain *domain)
{
    gint64 now_ms = drv_clock_ms();

    if (!incoming->waiting_ms)
        incoming->waiting_ms = now_ms;
    if (incoming->said_waiting || now_ms - incoming->waiting_ms < SAY_WAITING_MS)
        return;
    incoming->said_waiting = TRUE;
    drv_log_warning("%s needs attention: it is %s here, arrived from %s, which does not say what "
                    "became of its copy. Once that one is known not to run, 'virsh resume %s' here; "
                    "if it runs there, 'virsh destroy %s' and 'virsh undefine %s' here session=%s",
                    incoming->vm, drv_domain_state_name(domain->state), incoming->source,
                    incoming->uuid, incoming->uuid, incoming->uuid, incoming->session);
}

/* Called with the lock held. The link is gone: libvirtd tears the copy down, unless Finish had come. */
static void settle_orphan(drv_incoming *incoming)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_domain) domain =
        drv_hyper_domain(incoming->run->hyper, incoming->uuid, &error);
    gboolean absent = !domain && g_error_matches(error, DRV_ERROR, DRV_ERROR_NOT_FOUND);

    g_clear_error(&error);
    if (is_split(domain))
        incoming->resumed = TRUE; /* The source recovers it. */
    else if (domain && domain->busy)
        return;
    if (absent && !incoming->resumed) {
        if (!abandon(incoming, &error))
            drv_log_warning("cannot clean up after %s: %s session=%s", incoming->vm, error->message,
                            incoming->session);
        return;
    }
    if (!source_is_through(incoming)) {
        /*
         * The source has the word, or cannot be asked: a paused copy waits. One that runs and
         * whose source has been put out of the cluster has nobody left to settle with.
         */
        if (has_run(incoming, domain) && !is_member(incoming->run, incoming->source))
            close_session(incoming);
        else if (domain && !has_run(incoming, domain))
            say_waiting(incoming, domain);
        return;
    }
    if (has_run(incoming, domain))
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
        if (relay)
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
            incoming->told = TRUE;
        /* Also when the relay has gone meanwhile: libvirtd may have been away when it was told. */
        if (incoming->told)
            resume_now(incoming, linked ? relay : NULL);
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

/* ---- post-copy ---- */

static gpointer tell_arrived(gpointer data)
{
    drv_incoming *incoming = data;
    drv_run *run = incoming->run;
    g_autoptr(GError) error = NULL;
    drv_relay *relay = NULL;

    /* First the relay, which takes the time of it; the record is for a droverd to come. */
    if (drv_relay_open(incoming->dir, &relay, NULL) == 0)
        drv_relay_tell_resumed(relay, NULL);
    drv_relay_close(relay);
    g_mutex_lock(&incoming->lock);
    if (!incoming->resumed && !incoming->closed) {
        incoming->resumed = TRUE;
        if (!keep(incoming, DRV_REVISION_ANY, &error))
            drv_log_warning("that %s runs by post-copy could not be recorded: %s session=%s",
                            incoming->vm, error->message, incoming->session);
    }
    g_mutex_unlock(&incoming->lock);
    drv_incoming_unref(incoming);
    drv_run_thread_ended(run);
    return NULL;
}

/* The session, other than @but, of a VM that comes from @source (any if NULL). Transfer full; NULL. */
static drv_incoming *find_by_uuid(drv_run *run, const char *source, const char *uuid,
                                  const drv_incoming *but)
{
    drv_incoming *found = NULL;
    GHashTableIter iter;
    gpointer value;

    g_mutex_lock(&run->lock);
    g_hash_table_iter_init(&iter, run->incoming);
    while (!found && g_hash_table_iter_next(&iter, NULL, &value)) {
        drv_incoming *incoming = value;

        if (incoming != but && g_str_equal(incoming->uuid, uuid) &&
            (!source || g_str_equal(incoming->source, source))) {
            g_atomic_ref_count_inc(&incoming->references);
            found = incoming;
        }
    }
    g_mutex_unlock(&run->lock);
    return found;
}

void drv_incoming_arrived(drv_run *run, const char *uuid)
{
    drv_incoming *incoming = find_by_uuid(run, NULL, uuid, NULL);

    if (incoming)
        drv_run_thread(run, "arrived", tell_arrived, incoming);
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

static gboolean keep_made(gpointer data, GError **error)
{
    return keep(data, DRV_REVISION_ANY, error);
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

/* The session of a broken post-copy gives way to @next. */
static gboolean take_over(drv_incoming *next, GError **error)
{
    drv_run *run = next->run;
    g_autoptr(drv_domain) domain = drv_hyper_domain(run->hyper, next->uuid, error);
    g_autoptr(drv_incoming) old = NULL;

    if (!domain)
        return FALSE;
    if (!is_split(domain) && domain->state != DRV_DOMAIN_PAUSED) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                    "%s is %s (%s) on %s, which is not a broken post-copy", next->vm,
                    drv_domain_state_name(domain->state), domain->reason, run->node);
        return FALSE;
    }
    next->resumed = TRUE;
    old = find_by_uuid(run, next->source, next->uuid, next);
    if (old) {
        g_mutex_lock(&old->lock);
        json_object_put(next->created);
        next->created = json_object_get(old->created);
    }
    if (!keep(next, DRV_REVISION_NEW, error)) {
        if (old)
            g_mutex_unlock(&old->lock);
        return FALSE;
    }
    if (old) {
        if (!old->closed)
            close_session(old);
        g_mutex_unlock(&old->lock);
    }
    return TRUE;
}

gboolean drv_incoming_open(drv_run *run, const char *source, json_object *request, GError **error)
{
    gboolean recover = drv_json_bool(request, "recover");
    json_object *step = drv_json_object(request, "step");
    const char *session = drv_json_string(request, "session", NULL);
    g_autoptr(json_object) doc = NULL;
    g_autoptr(drv_incoming) incoming = NULL;
    gboolean watch_it = FALSE;
    gboolean ok;

    if (!step || !drv_session_is_id(session) || !drv_json_string(request, "job", NULL)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "a session needs its id, its job and the step");
        return FALSE;
    }
    if (!recover) {
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
    }

    doc = json_object_new_object();
    drv_json_set_string(doc, "session", session);
    drv_json_set_string(doc, "source", source);
    drv_json_set_string(doc, "job", drv_json_string(request, "job", ""));
    drv_json_set_string(doc, "vm", drv_json_string(step, "vm", ""));
    drv_json_set_string(doc, "uuid", drv_json_string(step, "uuid", ""));
    drv_json_set_bool(doc, "was_running", drv_json_bool(step, "was_running"));
    drv_json_set_string(doc, "method", drv_json_string(step, "method", NULL));
    drv_json_set(doc, "parcel", json_object_get(drv_json_object(request, "parcel")));
    incoming = from_record(run, doc);

    g_mutex_lock(&incoming->lock);
    ok = publish_new(incoming, error);
    if (ok && !(recover ? take_over(incoming, error) : keep(incoming, DRV_REVISION_NEW, error))) {
        unpublish(incoming);
        ok = FALSE;
    } else if (ok && recover) {
        /* Not given up when its relay fails: the next attempt takes over from it. */
        ok = start_relay(incoming, request, error);
        watch_it = TRUE;
    } else if (ok) {
        drv_fault("target-session-recorded");
        ok = drv_arrival_make(run, step, incoming->created, keep_made, incoming, error);
        drv_fault("target-images-made");
        ok = ok && start_relay(incoming, request, error);
        drv_fault("target-relay-ready");
        if (!ok && !abandon(incoming, NULL))
            drv_log_warning("what was made for %s could not be removed yet session=%s",
                            incoming->vm, incoming->session);
        /* What could not be removed is tried again by the one who watches. */
        watch_it = !incoming->closed;
    }
    g_mutex_unlock(&incoming->lock);
    if (watch_it)
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
    gboolean resumed = FALSE, told = FALSE;

    if (!is_uuid(uuid)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "'%s' is not a UUID", uuid);
        return NULL;
    }
    if (incoming)
        g_mutex_lock(&incoming->lock);
    domain = drv_hyper_domain(run->hyper, uuid, &problem);
    if (incoming) {
        resumed = has_run(incoming, domain);
        told = domain && was_told(incoming);
        g_mutex_unlock(&incoming->lock);
    }
    if (!domain && !g_error_matches(problem, DRV_ERROR, DRV_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return NULL;
    }
    object = json_object_new_object();
    drv_json_set_string(object, "domain",
                        domain ? drv_domain_state_name(domain->state) : "absent");
    drv_json_set_string(object, "reason", domain ? domain->reason : NULL);
    drv_json_set_bool(object, "busy", domain && domain->busy);
    drv_json_set_bool(object, "resumed", resumed);
    drv_json_set_bool(object, "finish_delivered", told);
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

/* The session that the source may still fill, locked; else NULL. */
static drv_incoming *lock_open(drv_run *run, const char *source, const char *session, GError **error)
{
    drv_incoming *incoming = find(run, session);

    if (incoming && g_str_equal(incoming->source, source)) {
        g_mutex_lock(&incoming->lock);
        if (!incoming->closed && !incoming->resumed)
            return incoming;
        g_mutex_unlock(&incoming->lock);
    }
    drv_incoming_unref(incoming);
    g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "there is no open session %s from %s", session,
                source);
    return NULL;
}

static void unlock_open(drv_incoming *incoming)
{
    g_mutex_unlock(&incoming->lock);
    drv_incoming_unref(incoming);
}

gboolean drv_incoming_export(drv_run *run, const char *source, const char *session,
                             json_object *what, gboolean open, GError **error)
{
    drv_incoming *incoming = lock_open(run, source, session, error);
    gboolean ok;

    if (!incoming)
        return FALSE;
    ok = open ? drv_arrival_export(incoming->dir, incoming->created, what, error)
              : drv_arrival_unexport(incoming->dir, incoming->created, what, error);
    unlock_open(incoming);
    return ok;
}

gboolean drv_incoming_define(drv_run *run, const char *source, const char *session,
                             json_object *parcel, GError **error)
{
    drv_incoming *incoming = lock_open(run, source, session, error);
    gboolean ok;

    if (!incoming)
        return FALSE;
    json_object_put(incoming->parcel);
    incoming->parcel = json_object_get(parcel);
    ok = drv_arrival_define(run, incoming->uuid, parcel, incoming->created, keep_made, incoming,
                            error);
    unlock_open(incoming);
    return ok;
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
    } else {
        /* The session was finished before and the answer was lost: the VM must be here, as it was. */
        g_autoptr(drv_domain) domain = drv_hyper_domain(run->hyper, uuid, error);

        ok = domain && (domain->state == DRV_DOMAIN_RUNNING ||
                        (domain->state == DRV_DOMAIN_PAUSED && !drv_json_bool(about, "was_running")));
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
