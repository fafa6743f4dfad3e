/* SPDX-License-Identifier: Apache-2.0 */
/* The main thread of drover-relay: see daemon.h. */
#include "relay/daemon.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "relay/admin.h"
#include "relay/event.h"
#include "relay/pending.h"
#include "relay/stream.h"

#define LINKS_MS 30000      /* until all links must be there */
#define AFTERLIFE_MS 60000  /* how long the counters of a dead session can be read */
#define UNUSED_MS 600000    /* up, but nobody has ever come */
#define HANG_UP_MS 1000     /* the other end has had time to hear why */
#define CONNECT_RETRY_MS 10 /* a local listener's queue is full */
#define CONNECT_MS 10000
#define HOLD_LOOK_MS 50
#define FINISH_POLL_NS 50000 /* on the critical path of the guest's pause */

static const char *const socket_names[DRV_CHANNELS] = {
    [DRV_CHANNEL_CONTROL] = DRV_SOCKET_CONTROL,
    [DRV_CHANNEL_RAM] = DRV_SOCKET_RAM,
    [DRV_CHANNEL_DISK] = DRV_SOCKET_DISK,
};

static int listen_at(const char *directory, const char *name, int type, mode_t mode, gid_t group, struct drv_error *err)
{
    char path[160];
    drv_autoclose int fd = -1;

    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    fd = drv_fd_unix_listen(path, type, err);
    if (fd < 0)
        return fd;
    if (drv_fd_set_nonblocking(fd, true) || chown(path, 0, group) || chmod(path, mode)) {
        int why = errno;

        (void)unlink(path);
        return drv_error_set(err, why, "cannot set up %s: %s", path, strerror(why));
    }
    return drv_steal_fd(&fd);
}

int drv_daemon_open(struct drv_daemon *daemon, gid_t group, struct drv_error *err)
{
    const char *directory = daemon->settings.directory;
    struct stat info;

    if (stat(directory, &info))
        return drv_error_set(err, errno, "cannot use the session directory %s: %s", directory, strerror(errno));
    if (!S_ISDIR(info.st_mode) || info.st_uid != 0)
        return drv_error_set(err, EPERM, "the session directory %s must be a directory of root", directory);
    for (size_t i = 0; daemon->settings.role == DRV_RELAY_SOURCE && i < DRV_CHANNELS; i++) {
        /* libvirtd is root, QEMU has the group. */
        mode_t mode = i == DRV_CHANNEL_CONTROL ? 0600 : 0660;
        int fd = listen_at(directory, socket_names[i], SOCK_STREAM, mode, group, err);

        if (fd < 0)
            return fd;
        daemon->listener[i] = fd;
    }
    daemon->admin_listener = listen_at(directory, DRV_SOCKET_ADMIN, SOCK_SEQPACKET, 0600, 0, err);
    return daemon->admin_listener < 0 ? daemon->admin_listener : 0;
}

static void remove_socket(const struct drv_daemon *daemon, const char *name)
{
    char path[160];

    (void)snprintf(path, sizeof path, "%s/%s", daemon->inside ? "" : daemon->settings.directory, name);
    (void)unlink(path);
}

static void close_listeners(struct drv_daemon *daemon)
{
    for (size_t i = 0; i < DRV_CHANNELS; i++) {
        if (daemon->listener[i] < 0)
            continue;
        close(daemon->listener[i]);
        daemon->listener[i] = -1;
        remove_socket(daemon, socket_names[i]);
    }
}

void drv_daemon_close(struct drv_daemon *daemon)
{
    close_listeners(daemon);
    if (daemon->admin_listener >= 0) {
        close(daemon->admin_listener);
        daemon->admin_listener = -1;
        remove_socket(daemon, DRV_SOCKET_ADMIN);
    }
}

/* Source: QEMU or libvirtd has connected. */
static void accept_stream(struct drv_daemon *daemon, enum drv_relay_channel channel)
{
    struct drv_session *session = &daemon->session;
    int fd = accept4(daemon->listener[channel], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct drv_stream *stream = NULL;
    uint32_t live = 0;

    if (fd < 0)
        return;
    for (size_t i = 0; i < DRV_CHANNELS; i++)
        live += atomic_load(&session->channel[i].open);
    if (live < DRV_STREAMS_LIVE_MAX && atomic_load(&session->state) == DRV_RELAY_UP) {
        atomic_store(&session->last_id_seen, session->last_id + 1);
        stream = drv_stream_new(session, session->last_id + 1, channel, fd);
    }
    if (!stream) {
        close(fd);
        return;
    }
    session->last_id++;
    pthread_mutex_lock(&stream->lock);
    stream->connecting = false;
    stream->coder_number = drv_coding_take(&session->coding, channel);
    if (stream->coder_number)
        stream->coder = &session->coding.coder[stream->coder_number - 1];
    (void)drv_window_grant(&stream->window);
    drv_stream_due_locked(session, stream, DRV_DUE_OPEN | DRV_DUE_CREDIT);
    /* The session may have been lost since it was looked at. */
    if (atomic_load(&session->state) != DRV_RELAY_UP)
        drv_stream_close_locked(session, stream);
    pthread_mutex_unlock(&stream->lock);
}

/* Return: a connected descriptor, or -errno. */
static int connect_local(struct drv_session *session, enum drv_relay_channel channel)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    drv_autoclose int fd = -1;

    if (channel == DRV_CHANNEL_CONTROL) {
        int libvirt = drv_steal_fd(&session->libvirt_fd);

        return libvirt >= 0 ? libvirt : -EBUSY;
    }
    (void)snprintf(address.sun_path, sizeof address.sun_path, "/%s", socket_names[channel]);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address))
        return -errno;
    return drv_steal_fd(&fd);
}

/* Target: connect the streams that were opened. Return: must it be tried again soon? */
static bool connect_streams(struct drv_daemon *daemon, int64_t now_ms)
{
    struct drv_session *session = &daemon->session;
    bool again = false;

    for (size_t i = 0; i < DRV_STREAMS_MAX; i++) {
        struct drv_stream *stream = &session->stream[i];
        int fd;

        pthread_mutex_lock(&stream->lock);
        if (!atomic_load(&stream->id) || !stream->connecting) {
            daemon->connect_until_ms[i] = 0;
            pthread_mutex_unlock(&stream->lock);
            continue;
        }
        if (!daemon->connect_until_ms[i])
            daemon->connect_until_ms[i] = now_ms + CONNECT_MS;
        fd = connect_local(session, stream->channel);
        if (fd >= 0) {
            drv_stream_attach_locked(session, stream, fd);
        } else if (fd == -EAGAIN && now_ms < daemon->connect_until_ms[i]) {
            again = true;
        } else {
            drv_log_warning("session=%.8s cannot connect to %s: %s", daemon->settings.session,
                            socket_names[stream->channel], strerror(-fd));
            drv_stream_due_locked(session, stream, DRV_DUE_RESET);
        }
        pthread_mutex_unlock(&stream->lock);
    }
    return again;
}

static bool anybody_asks(const struct drv_daemon *daemon)
{
    for (size_t i = 0; i < DRV_ADMIN_CLIENTS_MAX; i++)
        if (daemon->client[i].fd >= 0 && !daemon->client[i].quiet)
            return true;
    return false;
}

/* A copy that waits to hear what the target has of the disk does not wait for long. Return: does one wait? */
static bool end_holds(struct drv_session *session)
{
    bool held = false;

    for (unsigned i = 0; session->ahead.count && session->role == DRV_RELAY_SOURCE && i < DRV_STREAMS_MAX; i++) {
        struct drv_stream *stream = &session->stream[i];
        struct drv_older *older;

        pthread_mutex_lock(&stream->lock);
        older = atomic_load(&stream->id) && stream->coder ? stream->coder->older : NULL;
        if (older && drv_older_lose_patience(older, drv_clock_us()))
            drv_stream_arm_locked(session, stream);
        held |= older && older->held_us;
        pthread_mutex_unlock(&stream->lock);
    }
    return held;
}

/* What time brings. Return: ms until it should be looked at again. */
static int64_t check_time(struct drv_daemon *daemon, int64_t now_ms)
{
    struct drv_session *session = &daemon->session;
    int state = atomic_load(&session->state);

    if (state == DRV_RELAY_STARTING && now_ms - daemon->began_ms >= LINKS_MS) {
        struct drv_error err;

        (void)drv_error_set(&err, ETIMEDOUT, "only %u of %u connections came from the source",
                            atomic_load(&session->links_up), session->links);
        drv_session_lose(session, &err);
    }
    for (size_t i = 0; i < DRV_PENDING_MAX; i++)
        if (daemon->pending[i].link && now_ms >= daemon->pending[i].deadline_ms)
            drv_pending_drop(&daemon->pending[i]);
    if (state == DRV_RELAY_LOST || state == DRV_RELAY_ENDED) {
        if (!daemon->over_ms) {
            daemon->over_ms = now_ms;
            close_listeners(daemon);
            if (session->libvirt_fd >= 0)
                close(drv_steal_fd(&session->libvirt_fd));
            drv_log_notice("session=%.8s is over%s%s", daemon->settings.session, session->error[0] ? ": " : "",
                           session->error);
        }
        if (now_ms - daemon->over_ms >= HANG_UP_MS)
            drv_session_hang_up(session);
        if (now_ms - daemon->over_ms >= AFTERLIFE_MS)
            daemon->end = true;
    }
    if (state == DRV_RELAY_UP && !anybody_asks(daemon) && !drv_session_any_open(session)) {
        bool used = atomic_load(&session->channel[DRV_CHANNEL_CONTROL].opened) > 0;

        if (!daemon->idle_ms)
            daemon->idle_ms = now_ms;
        if (now_ms - daemon->idle_ms >= (used ? AFTERLIFE_MS : UNUSED_MS))
            daemon->end = true;
    } else {
        daemon->idle_ms = 0;
    }
    return end_holds(session) ? HOLD_LOOK_MS : 1000;
}

/* What to wait for; `source` says what each entry is about. */
struct waits {
    struct pollfd fd[2 + DRV_CHANNELS + DRV_ADMIN_CLIENTS_MAX + DRV_PENDING_MAX];
    struct {
        enum { ON_EVENT, ON_ADMIN, ON_LISTENER, ON_CLIENT, ON_PENDING } what;
        size_t index;
    } source[2 + DRV_CHANNELS + DRV_ADMIN_CLIENTS_MAX + DRV_PENDING_MAX];
    nfds_t count;
};

static void wait_on(struct waits *waits, int fd, int what, size_t index)
{
    if (fd < 0)
        return;
    waits->fd[waits->count] = (struct pollfd){.fd = fd, .events = POLLIN};
    waits->source[waits->count].what = what;
    waits->source[waits->count++].index = index;
}

static void collect(struct drv_daemon *daemon, struct waits *waits)
{
    waits->count = 0;
    wait_on(waits, daemon->session.main_event, ON_EVENT, 0);
    wait_on(waits, daemon->admin_listener, ON_ADMIN, 0);
    /* What is encoded begins when both ends know what they know: until then QEMU's bytes wait. */
    for (size_t i = 0; i < DRV_CHANNELS; i++)
        if (i == DRV_CHANNEL_CONTROL || atomic_load(&daemon->session.known.settled))
            wait_on(waits, daemon->listener[i], ON_LISTENER, i);
    for (size_t i = 0; i < DRV_ADMIN_CLIENTS_MAX; i++)
        wait_on(waits, daemon->client[i].fd, ON_CLIENT, i);
    for (size_t i = 0; i < DRV_PENDING_MAX; i++)
        if (daemon->pending[i].link)
            wait_on(waits, daemon->pending[i].link->fd, ON_PENDING, i);
}

static void serve(struct drv_daemon *daemon, const struct waits *waits)
{
    for (nfds_t i = 0; i < waits->count && !daemon->end; i++) {
        size_t index = waits->source[i].index;

        if (!waits->fd[i].revents)
            continue;
        switch (waits->source[i].what) {
        case ON_EVENT:
            drv_event_clear(daemon->session.main_event);
            break;
        case ON_ADMIN:
            drv_admin_accept(daemon);
            break;
        case ON_LISTENER:
            accept_stream(daemon, (enum drv_relay_channel)index);
            break;
        case ON_CLIENT:
            drv_admin_serve(daemon, &daemon->client[index]);
            break;
        case ON_PENDING:
            if (daemon->pending[index].link)
                drv_pending_step(daemon, &daemon->pending[index]);
            break;
        }
    }
}

void drv_daemon_run(struct drv_daemon *daemon)
{
    struct drv_session *session = &daemon->session;
    int64_t finish_until_ms = 0;

    daemon->began_ms = drv_clock_ms();
    while (!daemon->end) {
        int64_t now_ms = drv_clock_ms();
        int64_t left_ms = check_time(daemon, now_ms);
        int64_t event_ms;
        struct timespec timeout = {0};
        struct waits waits;

        if (daemon->end)
            break;
        if (atomic_exchange(&session->connect_due, false) && connect_streams(daemon, now_ms)) {
            atomic_store(&session->connect_due, true);
            left_ms = CONNECT_RETRY_MS;
        }
        if (drv_session_check_finish(session)) {
            /* libvirtd reads within microseconds, or it hangs: then there is no hurry. */
            if (!finish_until_ms)
                finish_until_ms = now_ms + 1000;
            timeout.tv_nsec = now_ms < finish_until_ms ? FINISH_POLL_NS : 20 * FINISH_POLL_NS;
            left_ms = 0;
        }
        event_ms = drv_admin_events(daemon, now_ms);
        if (event_ms >= 0 && event_ms < left_ms)
            left_ms = event_ms;
        timeout.tv_sec = left_ms / 1000;
        timeout.tv_nsec += left_ms % 1000 * 1000000;
        collect(daemon, &waits);
        if (ppoll(waits.fd, waits.count, &timeout, NULL) > 0)
            serve(daemon, &waits);
    }
    /* Local peers hear it first, then the other relay. */
    for (size_t i = 0; i < DRV_STREAMS_MAX; i++) {
        pthread_mutex_lock(&session->stream[i].lock);
        if (atomic_load(&session->stream[i].id))
            drv_stream_close_locked(session, &session->stream[i]);
        pthread_mutex_unlock(&session->stream[i].lock);
    }
    drv_session_stop(session);
    for (size_t i = 0; i < DRV_PENDING_MAX; i++)
        drv_pending_drop(&daemon->pending[i]);
    for (unsigned i = 0; i < session->links; i++)
        drv_link_free(session->worker[i].link);
    drv_daemon_close(daemon);
    /* Who has told it to end waits for the end of its connection: the rest is not in its way. */
    if (session->libvirt_fd >= 0)
        close(drv_steal_fd(&session->libvirt_fd));
    for (size_t i = 0; i < DRV_ADMIN_CLIENTS_MAX; i++)
        if (daemon->client[i].fd >= 0)
            drv_admin_drop(&daemon->client[i]);
}
