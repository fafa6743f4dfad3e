/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target's links on their way in. Anybody may connect and name the session, since
 * its id is readable in the ClientHello: so their number is small, each has a deadline,
 * none can hold up the main thread, and those that do not know the secret disappear.
 */
#include "relay/pending.h"
#include "relay/engine.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "relay/daemon.h"

#define HANDSHAKE_MS 10000

void drv_pending_drop(struct drv_pending *pending)
{
    drv_link_free(pending->link);
    pending->link = NULL;
}

static struct drv_pending *free_place(struct drv_daemon *daemon)
{
    size_t most = daemon->settings.links + DRV_PENDING_MAX - DRV_LINKS_MAX;
    struct drv_pending *oldest = NULL;

    for (size_t i = 0; i < most; i++) {
        struct drv_pending *pending = &daemon->pending[i];

        if (!pending->link)
            return pending;
        if (!oldest || pending->deadline_ms < oldest->deadline_ms)
            oldest = pending;
    }
    /* Real links are quick: the one that has been trying longest makes room. */
    drv_pending_drop(oldest);
    return oldest;
}

static bool is_tcp(int fd)
{
    int type = 0, domain = 0;
    socklen_t size = sizeof(int);

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && (domain == AF_INET || domain == AF_INET6);
}

int drv_pending_add(struct drv_daemon *daemon, int fd, struct drv_error *err)
{
    struct drv_pending *place;
    int rc;

    if (daemon->settings.role != DRV_RELAY_TARGET || fd < 0 || !is_tcp(fd) ||
        atomic_load(&daemon->session.state) != DRV_RELAY_STARTING) {
        if (fd >= 0)
            close(fd);
        return drv_error_set(err, EINVAL, "this relay takes no more connections");
    }
    place = free_place(daemon);
    *place = (struct drv_pending){.deadline_ms = drv_clock_ms() + HANDSHAKE_MS};
    rc = drv_link_new(&place->link, fd, true, daemon->credentials, &daemon->session.secret, err);
    if (rc)
        return rc;
    drv_pending_step(daemon, place);
    return 0;
}

/* The greeting fits: from now on it is a link of the session. */
static int admit(struct drv_daemon *daemon, struct drv_pending *pending, const struct drv_hello *hello,
                 struct drv_error *err)
{
    struct drv_session *session = &daemon->session;
    struct drv_worker *worker = &session->worker[hello->index];
    int rc;

    if (worker->link)
        return drv_error_set(err, EEXIST, "connection %u is there already", hello->index);
    pending->link->index = hello->index;
    rc = drv_connect_hello(pending->link, &session->secret, &session->hello, err);
    if (rc)
        return rc;
    if (hello->index == 0)
        drv_coding_agree(&session->coding, &session->hello, hello);
    worker->link = pending->link;
    pending->link = NULL;
    if (atomic_fetch_add(&session->links_up, 1) + 1 < session->links) {
        drv_session_changed(session);
        return 0;
    }
    for (size_t i = 0; i < DRV_PENDING_MAX; i++)
        if (&daemon->pending[i] != pending)
            drv_pending_drop(&daemon->pending[i]);
    explicit_bzero(session->secret.secret, sizeof session->secret.secret);
    if (drv_session_start(session, &drv_engine, err)) {
        /* Some threads may run: the way out that closes everything at once. */
        drv_log_error("session=%.8s cannot begin: %s", daemon->settings.session, err->message);
        _exit(1);
    }
    return 0;
}

void drv_pending_step(struct drv_daemon *daemon, struct drv_pending *pending)
{
    struct drv_error err;
    struct drv_hello hello;
    int rc = 0;

    if (!pending->authenticated) {
        rc = drv_link_handshake(pending->link, &err);
        pending->authenticated = rc == 0;
    }
    if (!rc)
        rc = drv_connect_read_hello(pending->link, &daemon->session.secret, daemon->session.links, &hello, &err);
    if (!rc)
        rc = admit(daemon, pending, &hello, &err);
    if (!rc || rc == -EAGAIN)
        return;
    drv_log_notice("session=%.8s a connection was refused: %s", daemon->settings.session, err.message);
    drv_pending_drop(pending);
}
