/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target's end of a migration: what its source asks for.
 *
 * A session is recorded in the store before anything is made for it, so that a later droverd
 * can remove it. What becomes of the copy is decided in decide.c.
 */
#include "move/target/session.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/hex.h"
#include "base/log.h"
#include "cache/cache.h"
#include "facts/base-images.h"
#include "facts/link-probe.h"
#include "facts/preflight.h"
#include "hyper/domain-xml.h"
#include "hyper/domain.h"
#include "hyper/job.h"
#include "hyper/qemu-log.h"
#include "hyper/socket.h"
#include "move/step.h"
#include "move/target/arrival.h"
#include "move/target/decide.h"
#include "move/target/session-record.h"
#include "node/names.h"
#include "node/relay-memory.h"
#include "node/relay-session.h"
#include "relay/control/settings.h"
#include "relay/control/spawn.h"

/* What libvirt does within milliseconds, unless it or its QEMU hangs. */
#define SLOW_RESUME_MS 2000

void drv_incoming_take_up(drv_context *ctx, const char *json)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) doc = drv_json_parse(json, "a stored session", &error);
    g_autoptr(drv_incoming) incoming = NULL;

    incoming = doc ? drv_incoming_from_record(ctx, doc, &error) : NULL;
    if (!incoming) {
        drv_log_error("a stored session cannot be read: %s", error->message);
        return;
    }
    incoming->rebooted = !g_file_test(incoming->dir, G_FILE_TEST_IS_DIR);
    drv_log_notice("taking up an arrival after a restart vm=%s session=%s", incoming->vm.text, incoming->session.text);
    drv_incoming_stand_in(incoming, TRUE);
    drv_incoming_publish(incoming);
    drv_incoming_watch(incoming);
}

/* ---- opening ---- */

static gboolean keep_made(gpointer data, GError **error)
{
    return drv_incoming_keep(data, DRV_REVISION_ANY, error);
}

/* What is known of the VM here, too. Return: NULL: nothing is to be used or kept. */
static drv_content_session *look_for_content(drv_incoming *incoming, json_object *request, json_object *answer,
                                             guint cache_mib)
{
    json_object *offer = drv_json_object(request, "content");
    const char *owner = offer ? drv_json_string(offer, "owner", NULL) : NULL;
    drv_content_session *content = owner ? drv_content_begin(incoming->ctx->content, incoming->session.text,
                                                             incoming->uuid.text, incoming->vm.text, owner)
                                         : NULL;
    json_object *known;

    if (content)
        drv_content_limit(content, cache_mib);
    known = content ? drv_content_answer(content, offer) : NULL;

    if (known)
        drv_json_set(answer, "content", known);
    else
        g_clear_pointer(&content, drv_content_end);
    return content;
}

/* The source's relay remembers no more than its host could reserve. */
static guint cache_wanted(json_object *request)
{
    return (guint)CLAMP(drv_json_int(request, "cache_mib", drv_relay_cache_mib()), 0, drv_relay_cache_mib());
}

static gboolean start_relay(drv_incoming *incoming, json_object *request, json_object *answer, GError **error)
{
    g_autoptr(drv_content_session) content = NULL;
    struct drv_relay_config config = {.role = DRV_RELAY_TARGET,
                                      .links = (unsigned)drv_json_int(request, "links", 0),
                                      .directory = incoming->dir,
                                      .libvirt_fd = -1,
                                      .judged = true,
                                      .program = incoming->ctx->relay_program,
                                      .user = drv_session_relay_user(),
                                      .group = drv_session_qemu_group()};
    int older[DRV_OLDER_IMAGES];
    struct drv_error problem = {0};
    int rc;

    if (drv_hex_decode(config.secret, sizeof config.secret, drv_json_string(request, "secret", ""), &problem) < 0) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "the session's secret: %s", problem.message);
        return FALSE;
    }
    g_strlcpy(config.session, incoming->session.text, sizeof config.session);
    config.memory_fd = drv_reserve(incoming->ctx, incoming->dir, cache_wanted(request),
                                   drv_json_bool(request, "recover"), &config.cache_mib, error);
    if (config.memory_fd < 0)
        return FALSE;
    content = look_for_content(incoming, request, answer, config.cache_mib);
    if (!drv_session_make_dir(incoming->dir, error) ||
        (config.libvirt_fd = drv_hyper_libvirt_socket(incoming->ctx->hyper, error)) < 0) {
        close(config.memory_fd);
        return FALSE;
    }
    if (content)
        drv_content_hand(content, &config);
    if (!drv_json_bool(request, "recover"))
        config.older_count =
            drv_seeds_open(incoming->ctx, incoming->dir, drv_json_object(request, "step"), older, answer);
    config.older_fds = older;
    drv_fault("target-seeds-open");
    rc = drv_relay_spawn(&config, &problem);
    for (guint i = 0; i < config.older_count; i++)
        close(older[i]);
    close(config.libvirt_fd);
    close(config.memory_fd);
    explicit_bzero(config.secret, sizeof config.secret);
    if (rc < 0)
        drv_gerror_from(error, DRV_ERROR_FAILED, &problem);
    return rc == 0;
}

/* A session for the same VM that its source has given up: it is in the way. */
static void clear_leftovers(drv_context *ctx, const char *source, const char *uuid)
{
    g_autoptr(GPtrArray) old = g_ptr_array_new_with_free_func((GDestroyNotify)drv_incoming_unref);
    GHashTableIter iter;
    gpointer value;

    g_mutex_lock(&ctx->lock);
    g_hash_table_iter_init(&iter, ctx->incoming);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        drv_incoming *incoming = value;

        if (g_str_equal(incoming->uuid.text, uuid) && g_str_equal(incoming->source.text, source)) {
            g_atomic_ref_count_inc(&incoming->references);
            g_ptr_array_add(old, incoming);
        }
    }
    g_mutex_unlock(&ctx->lock);
    for (guint i = 0; i < old->len; i++) {
        drv_incoming *incoming = old->pdata[i];

        g_mutex_lock(&incoming->lock);
        drv_incoming_give_up(incoming, NULL);
        g_mutex_unlock(&incoming->lock);
    }
}

/* The session of a broken post-copy gives way to @next. */
static gboolean take_over(drv_incoming *next, GError **error)
{
    drv_context *ctx = next->ctx;
    g_autoptr(drv_domain) domain = drv_hyper_domain(ctx->hyper, next->uuid.text, error);
    g_autoptr(drv_incoming) old = NULL;

    if (!domain)
        return FALSE;
    if (!drv_incoming_is_split(domain) && domain->state != DRV_DOMAIN_PAUSED) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "%s is %s (%s) on %s, which is not a broken post-copy",
                    next->vm.text, drv_domain_state_name(domain->state), domain->reason, ctx->node);
        return FALSE;
    }
    next->resumed = TRUE;
    old = drv_incoming_find_by_uuid(ctx, next->source.text, next->uuid.text, next);
    if (old) {
        g_mutex_lock(&old->lock);
        json_object_put(next->created);
        next->created = json_object_get(old->created);
    }
    if (!drv_incoming_keep(next, DRV_REVISION_NEW, error)) {
        if (old)
            g_mutex_unlock(&old->lock);
        return FALSE;
    }
    if (old) {
        old->resumed = FALSE; /* it is announced once, when all of it is here */
        if (!old->closed)
            drv_incoming_close(old);
        g_mutex_unlock(&old->lock);
    }
    return TRUE;
}

/*
 * A request that a link held up may arrive when its move is long over, perhaps amid the
 * VM's next one: only the source knows whether it still waits for this session.
 */
static gboolean is_awaited(drv_context *ctx, const char *source, const char *session, const char *job, GError **error)
{
    g_autofree char *path = g_strdup_printf("/v1/peer/jobs/%s", job);
    g_autoptr(json_object) view = drv_node_call(ctx, source, "GET", path, NULL, DRV_NODE_PEER_TIMEOUT_MS, error);

    if (!view)
        return FALSE;
    if (!drv_json_bool(view, "ended") && g_strcmp0(drv_json_string(view, "session", NULL), session) == 0)
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                "the request for a session of job %s came too late: %s does not wait for it any more", job, source);
    return FALSE;
}

static gboolean may_post_copy(json_object *step)
{
    const char *method = drv_json_string(step, "method", "");

    return g_str_equal(method, "post-copy") || g_str_equal(method, "hybrid") ||
           g_str_equal(drv_json_string(step, "post_copy", "never"), "if-needed");
}

json_object *drv_incoming_open(drv_context *ctx, const char *source, json_object *request, GError **error)
{
    g_autoptr(json_object) answer = json_object_new_object();
    gboolean recover = drv_json_bool(request, "recover");
    json_object *step = drv_json_object(request, "step");
    g_autoptr(json_object) doc = NULL;
    g_autoptr(drv_incoming) incoming = NULL;
    gboolean watch_it = FALSE;
    drv_step_names names;
    gboolean ok;

    if (!step) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "a session needs its id, its job and the step");
        return NULL;
    }
    if (!drv_step_parse(step, &names, error))
        return NULL;
    doc = json_object_new_object();
    drv_json_set_string(doc, "session", drv_json_string(request, "session", NULL));
    drv_json_set_string(doc, "source", source);
    drv_json_set_string(doc, "job", drv_json_string(request, "job", NULL));
    drv_json_set_string(doc, "vm", names.vm.text);
    drv_json_set_string(doc, "uuid", names.uuid.text);
    drv_json_set_bool(doc, "was_running", drv_json_bool(step, "was_running"));
    drv_json_set_bool(doc, "may_start", may_post_copy(step));
    drv_json_set_string(doc, "method", drv_json_string(step, "method", NULL));
    drv_json_set(doc, "parcel", json_object_get(drv_json_object(request, "parcel")));
    drv_json_set(doc, "step", json_object_get(step));
    incoming = drv_incoming_from_record(ctx, doc, error);
    if (!incoming || !is_awaited(ctx, source, incoming->session.text, incoming->job.text, error))
        return NULL;
    if (!recover) {
        if (drv_node_is_leaving(ctx, names.uuid.text)) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                        "%s has not yet finished the move of %s away from it, and would remove its "
                        "images: 'drover jobs' shows when it has",
                        ctx->node, names.vm.text);
            return NULL;
        }
        clear_leftovers(ctx, source, names.uuid.text);
        if (!drv_facts_preflight(ctx, step, error))
            return NULL;
    }

    g_mutex_lock(&incoming->lock);
    ok = drv_incoming_publish_new(incoming, error);
    if (ok && !(recover ? take_over(incoming, error) : drv_incoming_keep(incoming, DRV_REVISION_NEW, error))) {
        drv_incoming_unpublish(incoming);
        ok = FALSE;
    } else if (ok && recover) {
        /* Not given up when its relay fails: the next attempt takes over from it. */
        ok = start_relay(incoming, request, answer, error);
        watch_it = TRUE;
    } else if (ok) {
        drv_fault("target-session-recorded");
        ok = drv_make_images(ctx, step, incoming->created, keep_made, incoming, error);
        drv_fault("target-images-made");
        ok = ok && start_relay(incoming, request, answer, error);
        drv_fault("target-relay-ready");
        if (ok)
            drv_incoming_stand_in(incoming, FALSE);
        if (!ok && !drv_incoming_give_up(incoming, NULL))
            drv_log_warning("what was made for %s could not be removed yet session=%s", incoming->vm.text,
                            incoming->session.text);
        /* What could not be removed is tried again by the one who watches. */
        watch_it = !incoming->closed;
    }
    g_mutex_unlock(&incoming->lock);
    if (watch_it)
        drv_incoming_watch(incoming);
    return ok ? g_steal_pointer(&answer) : NULL;
}

/* ---- what the source asks ---- */

/*
 * The session, or the one that the source has given up for a new id (which never came here) to recover
 * a broken post-copy: what that knows is true of the copy still. Transfer full; NULL.
 */
static drv_incoming *find_of_job(drv_context *ctx, const char *session, json_object *about)
{
    drv_incoming *incoming = drv_incoming_find(ctx, session);

    if (incoming)
        return incoming;
    incoming = drv_incoming_find_by_uuid(ctx, NULL, drv_json_string(about, "uuid", ""), NULL);
    if (incoming && !g_str_equal(incoming->job.text, drv_json_string(about, "job", "")))
        g_clear_pointer(&incoming, drv_incoming_unref);
    return incoming;
}

json_object *drv_incoming_look(drv_context *ctx, const char *session, json_object *about, GError **error)
{
    g_autoptr(drv_incoming) incoming = find_of_job(ctx, session, about);
    g_autoptr(drv_domain) domain = NULL;
    g_autoptr(GError) problem = NULL;
    json_object *object;
    gboolean resumed = FALSE, told = FALSE;
    gint64 since_ms;
    drv_uuid uuid;

    if (!drv_door_uuid(&uuid, drv_json_string(about, "uuid", NULL), error))
        return NULL;
    if (incoming && (since_ms = incoming->resuming_ms) && drv_clock_ms() - since_ms >= SLOW_RESUME_MS) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE,
                    "%s stands still: libvirtd on %s was told to resume it and is not done; if it answers nobody "
                    "('virsh list' there) restart it ('systemctl restart libvirtd'; guests go on)",
                    incoming->vm.text, ctx->node);
        return NULL;
    }
    if (incoming)
        g_mutex_lock(&incoming->lock);
    domain = drv_hyper_domain(ctx->hyper, uuid.text, &problem);
    if (incoming) {
        resumed = drv_incoming_has_run(incoming, domain);
        told = domain && drv_incoming_was_told(incoming);
        g_mutex_unlock(&incoming->lock);
    }
    if (!domain && !g_error_matches(problem, DRV_ERROR, DRV_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return NULL;
    }
    object = json_object_new_object();
    drv_json_set_string(object, "domain", domain ? drv_domain_state_name(domain->state) : "absent");
    drv_json_set_string(object, "reason", domain ? domain->reason : NULL);
    drv_json_set_bool(object, "busy", domain && domain->busy);
    drv_json_set_bool(object, "resumed", resumed);
    drv_json_set_bool(object, "finish_delivered", told);
    return object;
}

static json_object *completed_json(drv_context *ctx, const char *uuid)
{
    drv_job_stats stats = {0};
    json_object *object = NULL;

    if (drv_hyper_job_completed(ctx->hyper, uuid, &stats, NULL)) {
        object = json_object_new_object();
        drv_json_set_int(object, "downtime_ms", (gint64)stats.downtime_ms);
        drv_json_set_int(object, "elapsed_ms", (gint64)stats.elapsed_ms);
        drv_json_set_int(object, "rounds", (gint64)stats.rounds);
    }
    return object;
}

/* The session that the source may still fill, locked; else NULL. */
static drv_incoming *lock_open(drv_context *ctx, const char *source, const char *session, GError **error)
{
    drv_incoming *incoming = drv_incoming_find(ctx, session);

    if (incoming && g_str_equal(incoming->source.text, source)) {
        g_mutex_lock(&incoming->lock);
        if (!incoming->closed && !incoming->resumed)
            return incoming;
        g_mutex_unlock(&incoming->lock);
    }
    drv_incoming_unref(incoming);
    g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "there is no open session %s from %s", session, source);
    return NULL;
}

static void unlock_open(drv_incoming *incoming)
{
    g_mutex_unlock(&incoming->lock);
    drv_incoming_unref(incoming);
}

gboolean drv_incoming_export(drv_context *ctx, const char *source, const char *session, json_object *what,
                             gboolean open, GError **error)
{
    drv_incoming *incoming = lock_open(ctx, source, session, error);
    gboolean ok;

    if (!incoming)
        return FALSE;
    ok = open ? drv_arrival_export(incoming->dir, incoming->step, incoming->created, what, &incoming->written, error)
              : drv_arrival_unexport(incoming->dir, incoming->created, what, &incoming->written, error);
    unlock_open(incoming);
    return ok;
}

gboolean drv_incoming_define(drv_context *ctx, const char *source, const char *session, json_object *parcel,
                             GError **error)
{
    drv_incoming *incoming = lock_open(ctx, source, session, error);
    gboolean ok;

    if (!incoming)
        return FALSE;
    json_object_put(incoming->parcel);
    incoming->parcel = json_object_get(parcel);
    ok = drv_arrival_define(ctx, &incoming->uuid, incoming->vm.text, incoming->step, parcel, incoming->created,
                            keep_made, incoming, error);
    unlock_open(incoming);
    return ok;
}

json_object *drv_incoming_finish(drv_context *ctx, const char *session, json_object *about, GError **error)
{
    g_autoptr(drv_incoming) incoming = find_of_job(ctx, session, about);
    json_object *object;
    gboolean ok = TRUE;
    drv_uuid uuid;

    if (!drv_door_uuid(&uuid, drv_json_string(about, "uuid", NULL), error))
        return NULL;
    if (incoming) {
        g_mutex_lock(&incoming->lock);
        ok = incoming->resumed || drv_incoming_resume(incoming, error);
        g_mutex_unlock(&incoming->lock);
        /* What is resumed is never given up: who looks at it need not wait for the disks. */
        ok = ok && drv_incoming_flush(incoming, error);
        g_mutex_lock(&incoming->lock);
        if (ok && !incoming->closed)
            drv_incoming_close(incoming);
        g_mutex_unlock(&incoming->lock);
    } else {
        /* The session was finished before and the answer was lost: the VM must be here, as it was. */
        g_autoptr(drv_domain) domain = drv_hyper_domain(ctx->hyper, uuid.text, error);

        ok = domain && (domain->state == DRV_DOMAIN_RUNNING ||
                        (domain->state == DRV_DOMAIN_PAUSED && !drv_json_bool(about, "was_running")));
        if (domain && !ok)
            g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "%s is %s on %s and its session is unknown there",
                        domain->name, drv_domain_state_name(domain->state), ctx->node);
    }
    if (!ok)
        return NULL;
    object = json_object_new_object();
    drv_json_set(object, "completed", completed_json(ctx, uuid.text));
    return object;
}

/* Of a copy whose QEMU has ended by itself, which the source wants to know why. Transfer full; NULL. */
static char *last_words(drv_incoming *incoming)
{
    g_autoptr(GError) problem = NULL;
    g_autoptr(drv_domain) domain = drv_hyper_domain(incoming->ctx->hyper, incoming->uuid.text, &problem);

    if (domain ? domain->state != DRV_DOMAIN_SHUT_OFF && domain->state != DRV_DOMAIN_CRASHED
               : !g_error_matches(problem, DRV_ERROR, DRV_ERROR_NOT_FOUND))
        return NULL;
    return drv_qemu_log_read(&incoming->vm, incoming->opened_ms);
}

json_object *drv_incoming_abandon(drv_context *ctx, const char *source, const char *session, GError **error)
{
    g_autoptr(drv_incoming) incoming = drv_incoming_find(ctx, session);
    g_autoptr(json_object) answer = json_object_new_object();
    g_autofree char *words = NULL;
    gboolean ok;

    if (!incoming)
        return g_steal_pointer(&answer);
    if (!g_str_equal(incoming->source.text, source)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED, "the session is between %s and %s", incoming->source.text,
                    ctx->node);
        return NULL;
    }
    g_mutex_lock(&incoming->lock);
    words = incoming->closed ? NULL : last_words(incoming);
    ok = drv_incoming_give_up(incoming, error);
    g_mutex_unlock(&incoming->lock);
    if (words)
        drv_json_set_string(answer, "qemu_words", words);
    return ok ? g_steal_pointer(&answer) : NULL;
}

gboolean drv_incoming_hand_link(drv_context *ctx, const char *session, int fd, GError **error)
{
    g_autoptr(drv_incoming) incoming = drv_incoming_find(ctx, session);
    g_autofree char *dir = incoming ? g_strdup(incoming->dir) : drv_links_probe_dir(ctx, session);
    struct drv_error problem = {0};
    drv_relay *relay = NULL;
    int rc;

    if (!dir) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "there is no session %s here", session);
        return FALSE;
    }
    rc = drv_relay_open(dir, &relay, &problem);
    if (rc == 0)
        rc = drv_relay_hand_link(relay, fd, &problem);
    drv_relay_close(relay);
    if (rc < 0)
        drv_gerror_from(error, DRV_ERROR_FAILED, &problem);
    return rc == 0;
}
