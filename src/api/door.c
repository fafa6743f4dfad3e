/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one port: see door.h.
 *
 * One thread, one epoll. A connection waits here, edge-triggered, until its ClientHello
 * is whole: each arrival of bytes wakes it once and it looks (MSG_PEEK) at what is
 * there, so bytes that are not enough cost nothing. Then it goes to the HTTP server,
 * which has a thread for each, or to a small pool that hands it to its session's relay
 * (this may block for a moment). Nothing here trusts a byte; connections.h says who has
 * to go when there are too many.
 */
#include "api/door.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "api/port-owner.h"
#include "api/sni.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/paths.h"

#define EVENTS 64
#define ACCEPTS_AT_ONCE 16
#define RELAY_THREADS 4
#define RELAY_QUEUE_MOST 64
#define REST_MS 100 /* without descriptors: how long no connection is taken */

/* What epoll says is ready: the listening socket and the wake-up have no connection. */
typedef struct {
    drv_connection *connection;
    int fd;
    struct sockaddr_storage from;
    socklen_t size;
} waiting;

struct drv_door {
    drv_door_config config;
    int listen_fd;
    int epoll_fd;
    int wake_fd;
    guint16 port;
    GThread *thread;
    GThreadPool *relays;
    GHashTable *waiting; /* set of waiting; the door's thread only */
    gboolean resting;    /* the listening socket is out of the epoll */
};

typedef struct {
    char session[DRV_SESSION_ID_TEXT + 1];
    char address[64];
    int fd;
} relay_task;

static void hand_to_relay(gpointer data, gpointer user_data)
{
    g_autofree relay_task *task = data;
    drv_door *door = user_data;

    drv_fd_set_nonblocking(task->fd, false);
    door->config.to_relay(door->config.data, task->session, task->fd, task->address);
    close(task->fd);
}

/* ---- listening ---- */

static int try_listen(int family, const struct sockaddr *address, socklen_t size)
{
    int one = 1, zero = 0, failure;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    if (!bind(fd, address, size) && !listen(fd, 1024))
        return fd;
    failure = errno;
    close(fd);
    return -failure;
}

static int listen_on(const char *address, guint16 port)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd;

    if (address && inet_pton(AF_INET, address, &four.sin_addr) == 1)
        return try_listen(AF_INET, (struct sockaddr *)&four, sizeof four);
    if (address && inet_pton(AF_INET6, address, &six.sin6_addr) != 1)
        return -EINVAL;
    fd = try_listen(AF_INET6, (struct sockaddr *)&six, sizeof six);
    /* A host without IPv6. */
    if (!address && (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL))
        fd = try_listen(AF_INET, (struct sockaddr *)&four, sizeof four);
    return fd;
}

static gboolean watch(drv_door *door, int fd, guint32 events, void *data)
{
    struct epoll_event event = {.events = events, .data.ptr = data};

    return epoll_ctl(door->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

drv_door *drv_door_open(const drv_door_config *config, GError **error)
{
    drv_door *door;
    struct sockaddr_storage own;
    socklen_t size = sizeof own;
    int fd = listen_on(config->address, config->port);

    if (fd < 0) {
        g_autofree char *owner = fd == -EADDRINUSE ? drv_port_owner(config->port) : NULL;

        if (fd == -EADDRINUSE)
            g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                        "cannot listen on port %u: %s has it already; stop that program, Drover has "
                        "no second port",
                        config->port, owner ?: "another program");
        else
            g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot listen on port %u: %s", config->port,
                        g_strerror(-fd));
        return NULL;
    }
    door = g_new0(drv_door, 1);
    door->config = *config;
    door->config.address = NULL;
    door->listen_fd = fd;
    getsockname(fd, (struct sockaddr *)&own, &size);
    door->port = ntohs(own.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&own)->sin6_port
                                                 : ((struct sockaddr_in *)&own)->sin_port);
    door->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    door->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    door->waiting = g_hash_table_new(NULL, NULL);
    door->relays = g_thread_pool_new(hand_to_relay, door, RELAY_THREADS, FALSE, NULL);
    if (door->epoll_fd < 0 || door->wake_fd < 0 || !watch(door, door->listen_fd, EPOLLIN, &door->listen_fd) ||
        !watch(door, door->wake_fd, EPOLLIN, &door->wake_fd)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot watch port %u: %s", door->port, g_strerror(errno));
        drv_door_free(door);
        return NULL;
    }
    return door;
}

guint16 drv_door_port(drv_door *door)
{
    return door->port;
}

/* ---- one connection ---- */

/* Takes it out of the epoll and the set; the descriptor is left to the caller. */
static int let_go(drv_door *door, waiting *one)
{
    int fd = one->fd;

    epoll_ctl(door->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    g_hash_table_remove(door->waiting, one);
    return fd;
}

static void turn_away(drv_door *door, waiting *one)
{
    int fd = let_go(door, one);

    drv_connections_remove(door->config.connections, one->connection);
    close(fd);
    g_free(one);
}

/* "<32 hex digits>.relay.drover" */
static gboolean session_of(const char *name, char session[DRV_SESSION_ID_TEXT + 1])
{
    guint8 id[DRV_SESSION_ID_SIZE];

    if (strlen(name) != DRV_SESSION_ID_TEXT + strlen(DRV_RELAY_SUFFIX) || !g_str_has_suffix(name, DRV_RELAY_SUFFIX))
        return FALSE;
    memcpy(session, name, DRV_SESSION_ID_TEXT);
    session[DRV_SESSION_ID_TEXT] = '\0';
    return !drv_hex_decode(id, sizeof id, session, NULL);
}

static void route(drv_door *door, waiting *one, const char *name)
{
    char session[DRV_SESSION_ID_TEXT + 1];
    int fd;

    if (session_of(name, session)) {
        relay_task *task;

        if (g_thread_pool_unprocessed(door->relays) >= RELAY_QUEUE_MOST) {
            turn_away(door, one);
            return;
        }
        fd = let_go(door, one);
        task = g_new0(relay_task, 1);
        task->fd = fd;
        memcpy(task->session, session, sizeof session);
        g_strlcpy(task->address, one->connection->address, sizeof task->address);
        drv_connections_remove(door->config.connections, one->connection);
        g_free(one);
        g_thread_pool_push(door->relays, task, NULL);
        return;
    }
    if (!drv_connections_hand(door->config.connections, one->connection)) {
        turn_away(door, one);
        return;
    }
    fd = let_go(door, one);
    door->config.to_api(door->config.data, one->connection, fd, (struct sockaddr *)&one->from, one->size);
    g_free(one);
}

static void look(drv_door *door, waiting *one, guint32 events)
{
    guint8 bytes[DRV_SNI_MOST_BYTES];
    char name[DRV_SNI_NAME_MOST + 1];
    ssize_t size;

    do
        size = recv(one->fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    while (size < 0 && errno == EINTR);
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && !(events & (EPOLLHUP | EPOLLERR)))
        return;
    if (size <= 0) {
        turn_away(door, one);
        return;
    }
    switch (drv_sni_parse(bytes, (size_t)size, name)) {
    case DRV_SNI_MORE:
        if (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) /* no more will come */
            turn_away(door, one);
        break;
    case DRV_SNI_FOUND:
        route(door, one, name);
        break;
    case DRV_SNI_BAD:
        turn_away(door, one);
        break;
    }
}

/* ---- accepting ---- */

static void rest(drv_door *door)
{
    epoll_ctl(door->epoll_fd, EPOLL_CTL_DEL, door->listen_fd, NULL);
    door->resting = TRUE;
}

static void accept_some(drv_door *door)
{
    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        struct sockaddr_storage from;
        socklen_t size = sizeof from;
        int one = 1;
        int fd = accept4(door->listen_fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        waiting *new;

        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                drv_log_warning("no more connections for a moment: %s", g_strerror(errno));
                drv_connections_relieve(door->config.connections);
                rest(door);
            }
            return;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        new = g_new0(waiting, 1);
        new->fd = fd;
        new->from = from;
        new->size = size;
        new->connection = drv_connections_add(door->config.connections, fd, (struct sockaddr *)&from);
        if (!new->connection) {
            close(fd);
            g_free(new);
            continue;
        }
        g_hash_table_add(door->waiting, new);
        if (!watch(door, fd, EPOLLIN | EPOLLRDHUP | EPOLLET, new))
            turn_away(door, new);
    }
}

static gpointer serve(gpointer data)
{
    drv_door *door = data;

    for (;;) {
        struct epoll_event events[EVENTS];
        int wait_ms = drv_connections_reap(door->config.connections);
        int count;

        if (door->resting)
            wait_ms = wait_ms < 0 ? REST_MS : MIN(wait_ms, REST_MS);
        count = epoll_wait(door->epoll_fd, events, EVENTS, wait_ms);
        if (door->resting && watch(door, door->listen_fd, EPOLLIN, &door->listen_fd))
            door->resting = FALSE;
        for (int i = 0; i < count; i++) {
            void *what = events[i].data.ptr;

            if (what == &door->wake_fd)
                return NULL;
            if (what == &door->listen_fd)
                accept_some(door);
            else if (g_hash_table_contains(door->waiting, what))
                look(door, what, events[i].events);
        }
    }
}

void drv_door_start(drv_door *door)
{
    door->thread = g_thread_new("door", serve, door);
}

void drv_door_stop(drv_door *door)
{
    guint64 one = 1;
    GHashTableIter iter;
    gpointer key;

    if (door->thread) {
        if (write(door->wake_fd, &one, sizeof one) < 0)
            drv_log_error("cannot wake the door: %s", g_strerror(errno));
        g_thread_join(g_steal_pointer(&door->thread));
    }
    if (door->listen_fd >= 0)
        close(door->listen_fd);
    door->listen_fd = -1;
    g_hash_table_iter_init(&iter, door->waiting);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        waiting *one_waiting = key;

        drv_connections_remove(door->config.connections, one_waiting->connection);
        close(one_waiting->fd);
        g_hash_table_iter_remove(&iter);
        g_free(one_waiting);
    }
    if (door->relays)
        g_thread_pool_free(g_steal_pointer(&door->relays), FALSE, TRUE);
}

void drv_door_free(drv_door *door)
{
    if (!door)
        return;
    drv_door_stop(door);
    g_hash_table_unref(door->waiting);
    if (door->epoll_fd >= 0)
        close(door->epoll_fd);
    if (door->wake_fd >= 0)
        close(door->wake_fd);
    g_free(door);
}
