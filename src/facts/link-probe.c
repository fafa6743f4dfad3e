/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One probe of a link: see links.h.
 *
 * The source's droverd stands in for QEMU: it writes noise, which no codec makes smaller, into the
 * session's RAM socket; the target's listens where QEMU would and throws away what comes. The rate is
 * what the relay's counter of bytes on the wire says, the beginning left out.
 */
#include "facts/link-probe.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/hex.h"
#include "base/log.h"
#include "model/json.h"
#include "node/names.h"
#include "node/relay-memory.h"
#include "node/relay-session.h"
#include "relay/control/spawn.h"

#define NOISE_BYTES (G_GUINT64_CONSTANT(256) << 10)
/* A probe ends after so long, or so many bytes once it has lasted long enough to say something. */
#define MOST_US 400000
#define LEAST_US 150000
#define MOST_BYTES (G_GUINT64_CONSTANT(24) << 20)
/* Full queues and a first burst say nothing about the rate. */
#define WARM_US 60000
#define LOOK_US 10000
#define FAR_END_MS 15000
#define MOST_FAR_ENDS 4
#define FORGET_MS 5000

/* ---- the end that is written to ---- */

typedef struct {
    drv_context *ctx;
    drv_session_id session;
    char *dir;
    int listener;
} far_end;

char *drv_links_probe_dir(drv_context *ctx, const char *session)
{
    char *dir;

    g_mutex_lock(&ctx->lock);
    dir = g_strdup(g_hash_table_lookup(ctx->probes, session));
    g_mutex_unlock(&ctx->lock);
    return dir;
}

static void forget(far_end *it)
{
    drv_context *ctx = it->ctx;

    drv_session_end_relay(it->dir);
    g_mutex_lock(&ctx->lock);
    g_hash_table_remove(ctx->probes, it->session.text);
    g_cond_broadcast(&ctx->idle);
    g_mutex_unlock(&ctx->lock);
    if (it->listener >= 0)
        close(it->listener);
    g_free(it->dir);
    g_free(it);
}

/* Return: whether there is something to read, before it is too late. */
static gboolean readable(drv_context *ctx, int fd, gint64 until_ms)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};

    while (!drv_node_is_stopping(ctx) && drv_clock_ms() < until_ms)
        if (poll(&wait, 1, 200) > 0)
            return TRUE;
    return FALSE;
}

static gpointer swallow_thread(gpointer data)
{
    far_end *it = data;
    drv_context *ctx = it->ctx;
    gint64 until_ms = drv_clock_ms() + FAR_END_MS;
    g_autofree guint8 *bytes = g_malloc(NOISE_BYTES);
    drv_autoclose int fd = readable(ctx, it->listener, until_ms) ? accept4(it->listener, NULL, NULL, SOCK_CLOEXEC) : -1;

    while (fd >= 0 && readable(ctx, fd, until_ms) && read(fd, bytes, NOISE_BYTES) > 0)
        ;
    forget(it);
    drv_node_thread_ended(ctx);
    return NULL;
}

static gboolean start_far_end(far_end *it, json_object *request, GError **error)
{
    g_autofree char *path = g_build_filename(it->dir, DRV_SOCKET_RAM, NULL);
    struct drv_relay_config config = {.role = DRV_RELAY_TARGET,
                                      .links = (unsigned)drv_json_int(request, "links", 0),
                                      .directory = it->dir,
                                      .program = it->ctx->relay_program,
                                      .user = drv_session_relay_user(),
                                      .group = drv_session_qemu_group()};
    struct drv_error problem = {0};
    int pair[2], rc;

    rc = drv_hex_decode(config.secret, sizeof config.secret, drv_json_string(request, "secret", ""), &problem);
    if (rc == 0 && ((config.memory_fd = drv_reserve(it->ctx, it->dir, 0, FALSE, &config.cache_mib, error)) < 0 ||
                    !drv_session_make_dir(it->dir, error))) {
        if (config.memory_fd >= 0)
            close(config.memory_fd);
        return FALSE;
    }
    if (rc == 0)
        rc = it->listener = drv_fd_unix_listen(path, SOCK_STREAM, &problem);
    /* The relay comes as the group of QEMU, which the directory hands on. */
    if (rc >= 0 && chmod(path, 0660))
        rc = drv_error_set(&problem, errno, "cannot set up %s: %s", path, g_strerror(errno));
    /* It has no libvirtd to talk to, and takes none for granted. */
    if (rc >= 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        rc = drv_error_set(&problem, errno, "no sockets: %s", g_strerror(errno));
    if (rc >= 0) {
        g_strlcpy(config.session, it->session.text, sizeof config.session);
        config.libvirt_fd = pair[0];
        rc = drv_relay_spawn(&config, &problem);
        close(pair[0]);
        close(pair[1]);
    }
    explicit_bzero(config.secret, sizeof config.secret);
    if (config.memory_fd > 0)
        close(config.memory_fd);
    if (rc < 0)
        drv_gerror_from(error, DRV_ERROR_FAILED, &problem);
    return rc >= 0;
}

json_object *drv_links_answer(drv_context *ctx, json_object *request, GError **error)
{
    drv_session_id session;
    gboolean room;
    far_end *it;

    if (!drv_door_session(&session, drv_json_string(request, "session", NULL), error))
        return NULL;
    it = g_new0(far_end, 1);
    *it =
        (far_end){.ctx = ctx, .session = session, .listener = -1, .dir = drv_session_dir(ctx->sessions_dir, &session)};
    g_mutex_lock(&ctx->lock);
    room = g_hash_table_size(ctx->probes) < MOST_FAR_ENDS && !g_hash_table_contains(ctx->probes, session.text) &&
           !g_hash_table_contains(ctx->incoming, session.text);
    if (room)
        g_hash_table_insert(ctx->probes, g_strdup(session.text), g_strdup(it->dir));
    g_mutex_unlock(&ctx->lock);
    if (!room) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "%s answers as many probes as it may: try again later",
                    ctx->node);
        g_free(it->dir);
        g_free(it);
        return NULL;
    }
    if (!start_far_end(it, request, error)) {
        forget(it);
        return NULL;
    }
    drv_node_thread(ctx, "probe", swallow_thread, it);
    return json_object_new_object();
}

void drv_links_forget(drv_context *ctx, const char *session)
{
    gint64 until = g_get_monotonic_time() + FORGET_MS * 1000;

    g_mutex_lock(&ctx->lock);
    while (g_hash_table_contains(ctx->probes, session) && !ctx->stopping &&
           g_cond_wait_until(&ctx->idle, &ctx->lock, until))
        ;
    g_mutex_unlock(&ctx->lock);
}

/* ---- the end that writes ---- */

static gboolean find_member(drv_context *ctx, const char *name, char **address, guint16 *port, GError **error)
{
    g_autoptr(GPtrArray) members = ctx->peers->members(ctx->peers->data);

    for (guint i = 0; i < members->len; i++) {
        const drv_member *member = members->pdata[i];

        if (g_str_equal(member->name, name)) {
            *address = g_strdup(member->address);
            *port = (guint16)member->port;
            return TRUE;
        }
    }
    g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "there is no node %s; 'drover node list' shows all", name);
    return FALSE;
}

static gboolean ask_far_end(drv_context *ctx, const char *to, const char *session,
                            const guint8 secret[DRV_SESSION_SECRET_SIZE], GError **error)
{
    g_autoptr(json_object) request = json_object_new_object();
    g_autoptr(json_object) answer = NULL;
    char text[2 * DRV_SESSION_SECRET_SIZE + 1];

    drv_hex_encode(text, secret, DRV_SESSION_SECRET_SIZE);
    drv_json_set_string(request, "session", session);
    drv_json_set_string(request, "secret", text);
    drv_json_set_int(request, "links", drv_session_links());
    answer = drv_node_call(ctx, to, "POST", "/v1/peer/probes", request, DRV_NODE_PEER_TIMEOUT_MS, error);
    explicit_bzero(text, sizeof text);
    return answer != NULL;
}

/* It ends by itself; who asked shall find nothing of it any more. */
static void end_far_end(drv_context *ctx, const char *to, const char *session)
{
    g_autofree char *path = g_strdup_printf("/v1/peer/probes/%s", session);

    json_object_put(drv_node_call(ctx, to, "DELETE", path, NULL, DRV_NODE_PEER_TIMEOUT_MS, NULL));
}

/* Writes what the socket takes until @until_us. Return: -errno when it is gone. */
static int write_until(int fd, const guint8 *noise, gint64 until_us)
{
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    gint64 left_us;

    while ((left_us = until_us - drv_clock_us()) > 0) {
        ssize_t sent;

        if (poll(&wait, 1, (int)((left_us + 999) / 1000)) <= 0)
            continue;
        sent = send(fd, noise, NOISE_BYTES, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
    }
    return 0;
}

static int measure(drv_relay *relay, int fd, const guint8 *noise, guint64 *rate_bps, guint64 *rtt_us,
                   struct drv_error *err)
{
    struct drv_relay_status first, status;
    gint64 began_us = drv_clock_us(), first_us = 0, now_us = 0;
    gboolean enough = FALSE;

    while (!enough) {
        int rc = write_until(fd, noise, first_us ? drv_clock_us() + LOOK_US : began_us + WARM_US);

        if (rc)
            return drv_error_set(err, -rc, "the relay takes no more: %s", g_strerror(-rc));
        rc = drv_relay_status(relay, &status, err);
        if (rc)
            return rc;
        now_us = drv_clock_us();
        if (!first_us) {
            first = status;
            first_us = now_us;
            continue;
        }
        enough = now_us - began_us >= MOST_US || (now_us - began_us >= LEAST_US && status.wire_out_bytes >= MOST_BYTES);
    }
    *rate_bps = (status.wire_out_bytes - first.wire_out_bytes) * 1000000 / (guint64)(now_us - first_us);
    *rtt_us = status.rtt_us;
    return 0;
}

static int carry_noise(const char *dir, guint64 *rate_bps, guint64 *rtt_us, struct drv_error *err)
{
    g_autofree char *path = g_build_filename(dir, DRV_SOCKET_RAM, NULL);
    g_autofree guint8 *noise = g_malloc(NOISE_BYTES);
    GRand *rand = g_rand_new();
    drv_relay *relay = NULL;
    drv_autoclose int fd = -1;
    int rc;

    for (gsize i = 0; i < NOISE_BYTES; i += sizeof(guint32))
        *(guint32 *)(gpointer)(noise + i) = g_rand_int(rand);
    g_rand_free(rand);
    rc = drv_relay_open(dir, &relay, err);
    if (rc == 0) {
        fd = drv_fd_unix_connect(path, SOCK_STREAM, err);
        rc = fd < 0 ? fd : measure(relay, fd, noise, rate_bps, rtt_us, err);
    }
    drv_relay_close(relay);
    return rc;
}

static gboolean probe(drv_context *ctx, const char *to, const char *address, guint16 port, guint64 *rate_bps,
                      guint64 *rtt_us, GError **error)
{
    struct drv_relay_config config = {.role = DRV_RELAY_SOURCE,
                                      .links = drv_session_links(),
                                      .libvirt_fd = -1,
                                      .program = ctx->relay_program,
                                      .peer_host = address,
                                      .peer_port = port,
                                      .user = drv_session_relay_user(),
                                      .group = drv_session_qemu_group()};
    drv_session_id session;
    g_autofree char *dir =
        drv_session_new_id(&session, config.secret, error) ? drv_session_dir(ctx->sessions_dir, &session) : NULL;
    struct drv_error problem = {0};
    int rc;

    if (!dir || (config.memory_fd = drv_reserve(ctx, dir, 0, FALSE, &config.cache_mib, error)) < 0)
        return FALSE;
    if (!ask_far_end(ctx, to, session.text, config.secret, error) || !drv_session_make_dir(dir, error)) {
        close(config.memory_fd);
        return FALSE;
    }
    config.directory = dir;
    g_strlcpy(config.session, session.text, sizeof config.session);
    rc = drv_relay_spawn(&config, &problem);
    close(config.memory_fd);
    explicit_bzero(config.secret, sizeof config.secret);
    if (rc == 0)
        rc = carry_noise(dir, rate_bps, rtt_us, &problem);
    drv_session_end_relay(dir);
    end_far_end(ctx, to, session.text);
    if (rc < 0)
        drv_gerror_from(error, DRV_ERROR_UNREACHABLE, &problem);
    return rc == 0;
}

gboolean drv_probing_probe(drv_context *ctx, const char *to, guint64 *rate_bps, guint64 *rtt_us, GError **error)
{
    g_autofree char *address = NULL;
    guint16 port;
    gboolean ok;

    if (g_str_equal(to, ctx->node)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "%s has no link to itself: name another node", to);
        return FALSE;
    }
    if (!find_member(ctx, to, &address, &port, error))
        return FALSE;
    g_mutex_lock(&ctx->lock);
    ok = !ctx->probing;
    ctx->probing = TRUE;
    g_mutex_unlock(&ctx->lock);
    if (!ok) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "%s is probing a link already: try again in a second",
                    ctx->node);
        return FALSE;
    }
    ok = probe(ctx, to, address, port, rate_bps, rtt_us, error);
    g_mutex_lock(&ctx->lock);
    ctx->probing = FALSE;
    g_mutex_unlock(&ctx->lock);
    return ok;
}
