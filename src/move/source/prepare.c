/* SPDX-License-Identifier: Apache-2.0 */
/* Making a session from the source's end, in a thread that a cancel may leave behind: see prepare.h. */
#include "move/source/prepare.h"

#include "base/fault.h"
#include "base/hex.h"
#include "cache/cache.h"
#include "hyper/domain-xml.h"
#include "hyper/domain.h"
#include "move/job.h"
#include "move/source/belongings.h"
#include "move/source/finish.h"
#include "node/relay-memory.h"
#include "node/relay-session.h"
#include "relay/control/settings.h"
#include "relay/control/spawn.h"

/* Until a cancel stops waiting for what is being prepared; that is then cleared up behind its back. */
#define CANCEL_PATIENCE_MS 700

typedef struct {
    gatomicrefcount references;
    GMutex lock;
    drv_outgoing *outgoing; /* NULL once nobody waits any more; guarded by lock */
    drv_context *ctx;       /* what follows does not change */
    drv_job *job;
    drv_session_id session;
    char *dir;
    gboolean recover;
    guint8 secret[DRV_SESSION_SECRET_SIZE];
    drv_content_session *content; /* what may be known of the VM, or NULL */
    unsigned cache_mib;           /* of its relays */
    int memory_fd;                /* its reservation until the relay has it, or -1 */
    GPtrArray *older;             /* of char*: exports of which the target has older images */
} preparation;

static void preparation_unref(preparation *it)
{
    if (!g_atomic_ref_count_dec(&it->references))
        return;
    explicit_bzero(it->secret, sizeof it->secret);
    if (it->memory_fd >= 0)
        close(it->memory_fd);
    drv_content_end(it->content);
    g_ptr_array_unref(it->older);
    g_mutex_clear(&it->lock);
    drv_job_unref(it->job);
    g_free(it->dir);
    g_free(it);
}

/* What the VM is kept under is written in its own metadata. */
static void look_for_content(preparation *it)
{
    const char *uuid = drv_job_uuid(it->job);
    g_autoptr(drv_domain) domain =
        it->recover || !it->ctx->content ? NULL : drv_hyper_domain(it->ctx->hyper, uuid, NULL);

    if (domain)
        it->content = drv_content_begin(it->ctx->content, it->session.text, uuid, domain->name, domain->owner);
    if (it->content)
        drv_content_limit(it->content, it->cache_mib);
}

static gboolean ask_target(preparation *it, GError **error)
{
    json_object *step = drv_job_step(it->job);
    g_autoptr(json_object) request = json_object_new_object();
    g_autoptr(json_object) parcel = it->recover ? NULL : drv_departure_parcel(it->ctx, step, error);
    g_autoptr(json_object) answer = NULL;
    char text[2 * DRV_SESSION_SECRET_SIZE + 1];

    if (!it->recover && !parcel)
        return FALSE;
    drv_hex_encode(text, it->secret, DRV_SESSION_SECRET_SIZE);
    drv_json_set_string(request, "session", it->session.text);
    drv_json_set_string(request, "secret", text);
    drv_json_set_string(request, "job", drv_job_id(it->job));
    drv_json_set_int(request, "links", drv_session_links());
    drv_json_set_int(request, "cache_mib", it->cache_mib);
    drv_json_set_bool(request, "recover", it->recover);
    drv_json_set(request, "step", json_object_get(step));
    drv_json_set(request, "content", it->content ? drv_content_offer(it->content) : NULL);
    drv_json_set(request, "parcel", parcel ? json_object_get(parcel) : NULL);
    answer = drv_node_call(it->ctx, drv_job_target(it->job), "POST", "/v1/peer/sessions", request,
                           DRV_NODE_PREPARE_TIMEOUT_MS, error);
    explicit_bzero(text, sizeof text);
    if (answer && it->content && !drv_content_accept(it->content, drv_json_object(answer, "content")))
        g_clear_pointer(&it->content, drv_content_end);
    for (gsize i = 0; answer && i < MIN(drv_json_length(drv_json_array(answer, "older")), DRV_OLDER_IMAGES); i++)
        g_ptr_array_add(
            it->older, g_strdup(json_object_get_string(json_object_array_get_idx(drv_json_array(answer, "older"), i))));
    return answer != NULL;
}

static gboolean start_relay(preparation *it, GError **error)
{
    drv_context *ctx = it->ctx;
    g_autoptr(GPtrArray) members = ctx->peers->members(ctx->peers->data);
    struct drv_relay_config config = {.role = DRV_RELAY_SOURCE,
                                      .links = drv_session_links(),
                                      .directory = it->dir,
                                      .libvirt_fd = -1,
                                      .cache_mib = it->cache_mib,
                                      .memory_fd = it->memory_fd,
                                      .program = ctx->relay_program,
                                      .user = drv_session_relay_user(),
                                      .group = drv_session_qemu_group()};
    struct drv_error problem = {0};
    int rc;

    for (guint i = 0; i < members->len; i++) {
        const drv_member *member = members->pdata[i];

        if (g_str_equal(member->name, drv_job_target(it->job))) {
            config.peer_host = member->address;
            config.peer_port = member->port;
        }
    }
    if (!config.peer_host) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "%s is no longer a node of this cluster",
                    drv_job_target(it->job));
        return FALSE;
    }
    if (!drv_session_make_dir(it->dir, error))
        return FALSE;
    g_strlcpy(config.session, it->session.text, sizeof config.session);
    memcpy(config.secret, it->secret, sizeof config.secret);
    if (it->content)
        drv_content_hand(it->content, &config);
    config.older_disks = (const char *const *)it->older->pdata;
    config.older_count = it->older->len;
    rc = drv_relay_spawn(&config, &problem);
    explicit_bzero(config.secret, sizeof config.secret);
    close(it->memory_fd);
    it->memory_fd = -1;
    g_clear_pointer(&it->content, drv_content_end);
    if (rc < 0) {
        drv_gerror_from(error, DRV_ERROR_UNREACHABLE, &problem);
        return FALSE;
    }
    return TRUE;
}

/* Nobody waits for it any more: neither end shall keep anything. */
static void clear_up(preparation *it)
{
    g_autofree char *path = g_strdup_printf("/v1/peer/sessions/%s", it->session.text);
    g_autoptr(json_object) answer = NULL;

    drv_session_end_relay(it->dir);
    /* What it cannot be told it finds out by itself. */
    answer = drv_node_call(it->ctx, drv_job_target(it->job), "DELETE", path, NULL, DRV_NODE_PEER_TIMEOUT_MS, NULL);
}

static gpointer prepare_thread(gpointer data)
{
    preparation *it = data;
    drv_context *ctx = it->ctx;
    g_autoptr(GError) error = NULL;
    gboolean ok;

    it->memory_fd = drv_reserve(ctx, it->dir, drv_relay_cache_mib(), it->recover, &it->cache_mib, &error);
    if (it->memory_fd >= 0)
        look_for_content(it);
    ok = it->memory_fd >= 0 && ask_target(it, &error);

    drv_fault("source-target-ready");
    ok = ok && start_relay(it, &error);
    drv_fault("source-relay-ready");
    g_mutex_lock(&it->lock);
    if (it->outgoing) {
        drv_outgoing *outgoing = it->outgoing;

        g_mutex_lock(&outgoing->lock);
        outgoing->prepared = TRUE;
        outgoing->prepare_error = ok ? NULL : g_steal_pointer(&error);
        g_cond_broadcast(&outgoing->changed);
        g_mutex_unlock(&outgoing->lock);
        g_mutex_unlock(&it->lock);
    } else {
        g_mutex_unlock(&it->lock);
        clear_up(it);
    }
    preparation_unref(it);
    drv_node_thread_ended(ctx);
    return NULL;
}

/* Return: FALSE when a cancel came in between and the thread was left to itself. */
static gboolean wait_prepared(drv_outgoing *outgoing)
{
    gint64 until = 0;

    g_mutex_lock(&outgoing->lock);
    while (!outgoing->prepared) {
        gboolean cancelled = drv_job_cancel_requested(outgoing->job);

        if (!until && cancelled)
            until = g_get_monotonic_time() + CANCEL_PATIENCE_MS * 1000;
        if (!until)
            g_cond_wait(&outgoing->changed, &outgoing->lock);
        else if (!g_cond_wait_until(&outgoing->changed, &outgoing->lock, until))
            break;
    }
    g_mutex_unlock(&outgoing->lock);
    return outgoing->prepared;
}

gboolean drv_prepare(drv_outgoing *outgoing, gboolean recover, GError **error)
{
    guint8 secret[DRV_SESSION_SECRET_SIZE];
    preparation *it;
    gboolean ok;

    g_free(outgoing->dir);
    outgoing->dir = NULL;
    if (!drv_session_new_id(&outgoing->session, secret, error))
        return FALSE;
    outgoing->dir = drv_session_dir(outgoing->ctx->sessions_dir, &outgoing->session);
    ok = drv_job_set_session(outgoing->job, &outgoing->session, error);
    drv_fault("source-session-recorded");
    if (!ok)
        return FALSE;

    it = g_new0(preparation, 1);
    g_atomic_ref_count_init(&it->references);
    g_atomic_ref_count_inc(&it->references);
    g_mutex_init(&it->lock);
    it->outgoing = outgoing;
    it->ctx = outgoing->ctx;
    it->job = drv_job_ref(outgoing->job);
    it->session = outgoing->session;
    it->dir = g_strdup(outgoing->dir);
    it->recover = recover;
    it->memory_fd = -1;
    it->older = g_ptr_array_new_with_free_func(g_free);
    memcpy(it->secret, secret, sizeof secret);
    explicit_bzero(secret, sizeof secret);
    g_mutex_lock(&outgoing->lock);
    outgoing->prepared = FALSE;
    g_clear_error(&outgoing->prepare_error);
    g_mutex_unlock(&outgoing->lock);
    drv_node_thread(outgoing->ctx, "prepare", prepare_thread, it);

    ok = wait_prepared(outgoing);
    g_mutex_lock(&it->lock);
    it->outgoing = NULL;
    g_mutex_unlock(&it->lock);
    preparation_unref(it);
    if (!ok && !outgoing->prepared) {
        outgoing->left_behind = TRUE;
        g_set_error(error, DRV_ERROR, DRV_ERROR_CANCELLED, "cancelled while it was prepared");
        return FALSE;
    }
    if (outgoing->prepare_error) {
        g_propagate_error(error, g_steal_pointer(&outgoing->prepare_error));
        return FALSE;
    }
    return TRUE;
}
