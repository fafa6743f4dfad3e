/* SPDX-License-Identifier: Apache-2.0 */
/* The relay's side of the admin socket: root asks for counters, watches, hands links, ends. */
#include "relay/admin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "relay/control/admin-wire.h"
#include "relay/daemon.h"
#include "relay/pending.h"
#include "relay/stream.h"

#define EVENT_MS 200

void drv_admin_drop(struct drv_admin_client *client)
{
    close(client->fd);
    client->fd = -1;
}

void drv_admin_accept(struct drv_daemon *daemon)
{
    int fd = accept4(daemon->admin_listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t size = sizeof peer;

    if (fd < 0)
        return;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == 0)
        for (size_t i = 0; i < DRV_ADMIN_CLIENTS_MAX; i++)
            if (daemon->client[i].fd < 0) {
                daemon->client[i] = (struct drv_admin_client){.fd = fd};
                return;
            }
    close(fd);
}

/* Return: was it taken? A client that is gone is noticed when it is read. */
static bool tell(struct drv_admin_client *client, const void *bytes, size_t size)
{
    return send(client->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size;
}

static bool tell_status(struct drv_daemon *daemon, struct drv_admin_client *client, uint8_t kind)
{
    uint8_t bytes[DRV_ADMIN_MAX];
    struct drv_relay_status status;

    drv_session_status(&daemon->session, &status);
    return tell(client, bytes, drv_admin_encode_status(bytes, kind, &status));
}

static void tell_outcome(struct drv_admin_client *client, int rc, const struct drv_error *err)
{
    char bytes[DRV_ADMIN_MAX];
    int size = 1;

    bytes[0] = rc ? DRV_ADMIN_FAILED : DRV_ADMIN_DONE;
    if (rc)
        size += snprintf(bytes + 1, sizeof bytes - 1, "%s", err->message);
    (void)tell(client, bytes, (size_t)size);
}

static int on_resumed(struct drv_daemon *daemon, struct drv_error *err)
{
    struct drv_session *session = &daemon->session;

    if (session->role != DRV_RELAY_TARGET)
        return drv_error_set(err, EINVAL, "only a target's guest is resumed");
    atomic_store(&session->resumed_us, drv_clock_us());
    atomic_store(&session->resumed, true);
    drv_session_mark(session, DRV_MARK_RESUMED);
    drv_session_changed(session);
    return 0;
}

/* The memory is droverd's, and large enough. */
static int on_asked(struct drv_daemon *daemon, int fd, struct drv_error *err)
{
    const size_t room = 4 + DRV_RELAY_ASKED_MAX;
    uint8_t *map = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    size_t size;

    if (map == MAP_FAILED)
        return drv_error_set(err, errno, "cannot show the call: %s", strerror(errno));
    size = drv_stream_asked(&daemon->session, map + 4, DRV_RELAY_ASKED_MAX);
    for (unsigned i = 0; i < 4; i++)
        map[i] = (uint8_t)(size >> (24 - 8 * i));
    (void)munmap(map, room);
    return size ? 0 : drv_error_set(err, EINVAL, "no call waits to be judged");
}

static int on_pass(struct drv_daemon *daemon, struct drv_error *err)
{
    int rc = drv_stream_judged(&daemon->session, err);

    if (rc && rc != -ENOENT)
        drv_session_lose(&daemon->session, err);
    return rc;
}

static int on_deny(struct drv_daemon *daemon, const char *why, struct drv_error *err)
{
    struct drv_error refusal = {0};

    if (!drv_stream_asked(&daemon->session, NULL, DRV_RELAY_ASKED_MAX))
        return drv_error_set(err, ENOENT, "no call waits to be judged");
    (void)drv_error_set(&refusal, EPERM, "%s", why);
    drv_session_lose(&daemon->session, &refusal);
    return 0;
}

void drv_admin_serve(struct drv_daemon *daemon, struct drv_admin_client *client)
{
    struct drv_error err = {0};
    char bytes[DRV_ADMIN_MAX + 1] = "";
    uint8_t kind;
    int fd = -1;
    ssize_t got = drv_fd_receive(client->fd, bytes, DRV_ADMIN_MAX, &fd, &err);

    if (got == -EAGAIN)
        return;
    if (got <= 0) {
        drv_admin_drop(client);
        return;
    }
    kind = (uint8_t)bytes[0];
    bytes[got] = '\0';
    switch (kind) {
    case DRV_ADMIN_ASKED:
        tell_outcome(client, on_asked(daemon, fd, &err), &err);
        break;
    case DRV_ADMIN_PASS:
        tell_outcome(client, on_pass(daemon, &err), &err);
        break;
    case DRV_ADMIN_DENY:
        tell_outcome(client, on_deny(daemon, bytes + 1, &err), &err);
        break;
    case DRV_ADMIN_STATUS:
        (void)tell_status(daemon, client, DRV_ADMIN_STATUS_IS);
        break;
    case DRV_ADMIN_WATCH:
    case DRV_ADMIN_STAND_BY:
        client->watching = true;
        client->quiet = kind == DRV_ADMIN_STAND_BY;
        client->seen_changes = atomic_load(&daemon->session.changes) - 1;
        break;
    case DRV_ADMIN_LINK:
        tell_outcome(client, drv_pending_add(daemon, fd, &err), &err);
        break;
    case DRV_ADMIN_RESUMED:
        tell_outcome(client, on_resumed(daemon, &err), &err);
        break;
    case DRV_ADMIN_NEAR:
        /* The first coder is that of the guest's memory. */
        drv_pace_near(&daemon->session.coding.coder[0].pace);
        tell_outcome(client, 0, &err);
        break;
    case DRV_ADMIN_END:
        daemon->end = true;
        break;
    default:
        (void)drv_error_set(&err, EINVAL, "unknown request %u", kind);
        tell_outcome(client, -EINVAL, &err);
        break;
    }
    /* A link is kept. */
    if (fd >= 0 && kind != DRV_ADMIN_LINK)
        close(fd);
}

int64_t drv_admin_events(struct drv_daemon *daemon, int64_t now_ms)
{
    int64_t soonest_ms = -1;

    for (size_t i = 0; i < DRV_ADMIN_CLIENTS_MAX; i++) {
        struct drv_admin_client *client = &daemon->client[i];
        uint32_t changes = atomic_load(&daemon->session.changes);

        if (client->fd < 0 || !client->watching)
            continue;
        if (client->seen_changes == changes && client->quiet)
            continue;
        if (client->seen_changes != changes || now_ms >= client->next_event_ms) {
            client->behind = !tell_status(daemon, client, DRV_ADMIN_EVENT);
            if (!client->behind)
                client->seen_changes = changes;
            client->next_event_ms = now_ms + EVENT_MS;
        }
        if (soonest_ms < 0 || client->next_event_ms - now_ms < soonest_ms)
            soonest_ms = client->next_event_ms - now_ms;
    }
    return soonest_ms;
}
