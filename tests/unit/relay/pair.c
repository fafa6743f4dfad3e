/* SPDX-License-Identifier: Apache-2.0 */
/* Two real relays back to back: see pair.h. */
#include "pair.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/hex.h"
#include "relay/control/spawn.h"

#define WAIT_MS 10000

static const char *const local_names[DRV_CHANNELS] = {
    [DRV_CHANNEL_RAM] = DRV_SOCKET_RAM,
    [DRV_CHANNEL_DISK] = DRV_SOCKET_DISK,
};

static const char *relay_group(void)
{
    return getgrnam("libvirt-qemu") ? "libvirt-qemu" : "nogroup";
}

const char *pair_program(void)
{
    return getenv("DRV_RELAY_PROGRAM");
}

const char *pair_unavailable(void)
{
    if (geteuid() != 0)
        return "needs root: a relay begins as root";
    if (!pair_program())
        return "DRV_RELAY_PROGRAM is not set";
    if (!getpwnam("nobody") || !getgrnam(relay_group()))
        return "there is no user nobody or no group for the relay";
    return NULL;
}

static int make_directory(char *path, size_t size, struct drv_error *err)
{
    (void)snprintf(path, size, "/tmp/drover-relay-XXXXXX");
    if (!mkdtemp(path) || chown(path, 0, getgrnam(relay_group())->gr_gid) || chmod(path, 02775))
        return drv_error_set(err, errno, "cannot make %s: %s", path, strerror(errno));
    return 0;
}

static int listen_tcp(struct pair *pair, struct drv_error *err)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;

    pair->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (pair->tcp < 0 || bind(pair->tcp, (struct sockaddr *)&address, size) || listen(pair->tcp, 64) ||
        getsockname(pair->tcp, (struct sockaddr *)&address, &size))
        return drv_error_set(err, errno, "cannot listen: %s", strerror(errno));
    pair->port = ntohs(address.sin_port);
    return 0;
}

static int listen_local(struct pair *pair, enum drv_relay_channel channel, struct drv_error *err)
{
    char path[128];

    (void)snprintf(path, sizeof path, "%s/%s", pair->directory[PAIR_TARGET], local_names[channel]);
    pair->local[channel] = drv_fd_unix_listen(path, SOCK_STREAM, err);
    if (pair->local[channel] < 0)
        return pair->local[channel];
    return chmod(path, 0777) ? drv_error_set(err, errno, "chmod: %s", strerror(errno)) : 0;
}

int pair_prepare(struct pair *pair, unsigned links, struct drv_error *err)
{
    uint8_t id[DRV_SESSION_ID_SIZE];
    struct drv_relay_config *source = &pair->config[PAIR_SOURCE];
    int rc;

    memset(pair, 0, sizeof *pair);
    pthread_mutex_init(&pair->lock, NULL);
    pair->links = links;
    pair->libvirt = pair->tcp = pair->stop[0] = pair->stop[1] = -1;
    for (size_t i = 0; i < DRV_CHANNELS; i++)
        pair->local[i] = -1;
    pair->program = pair_program();
    rc = make_directory(pair->directory[PAIR_SOURCE], sizeof pair->directory[0], err);
    if (!rc)
        rc = make_directory(pair->directory[PAIR_TARGET], sizeof pair->directory[0], err);
    if (!rc)
        rc = listen_tcp(pair, err);
    if (!rc)
        rc = listen_local(pair, DRV_CHANNEL_RAM, err);
    if (!rc)
        rc = listen_local(pair, DRV_CHANNEL_DISK, err);
    if (rc)
        return rc;
    if (getrandom(id, sizeof id, 0) < 0 || getrandom(source->secret, sizeof source->secret, 0) < 0)
        return drv_error_set(err, errno, "getrandom: %s", strerror(errno));
    drv_hex_encode(source->session, id, sizeof id);
    source->links = links;
    source->program = pair->program;
    source->user = "nobody";
    source->group = relay_group();
    source->peer_host = "127.0.0.1";
    source->peer_port = pair->port;
    source->libvirt_fd = -1;
    source->role = DRV_RELAY_SOURCE;
    pair->config[PAIR_TARGET] = *source;
    pair->config[PAIR_TARGET].role = DRV_RELAY_TARGET;
    for (size_t end = 0; end < PAIR_ENDS; end++)
        pair->config[end].directory = pair->directory[end];
    return 0;
}

static void *accept_links(void *argument)
{
    struct pair *pair = argument;
    drv_relay *relay = NULL;

    if (drv_relay_open(pair->directory[PAIR_TARGET], &relay, NULL))
        return NULL;
    for (;;) {
        struct pollfd wait[2] = {{.fd = pair->tcp, .events = POLLIN}, {.fd = pair->stop[0], .events = POLLIN}};
        int fd;

        if (poll(wait, 2, -1) < 0 || wait[1].revents)
            break;
        fd = accept4(pair->tcp, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        (void)drv_relay_hand_link(relay, fd, NULL);
        pthread_mutex_lock(&pair->lock);
        if (!pair->release && pair->handed_count < sizeof pair->handed / sizeof pair->handed[0])
            pair->handed[pair->handed_count++] = drv_steal_fd(&fd);
        pthread_mutex_unlock(&pair->lock);
        if (fd >= 0)
            close(fd);
    }
    drv_relay_close(relay);
    return NULL;
}

int pair_start_target(struct pair *pair, struct drv_error *err)
{
    int ends[2];
    int rc;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) || pipe2(pair->stop, O_CLOEXEC))
        return drv_error_set(err, errno, "socketpair: %s", strerror(errno));
    pair->libvirt = ends[0];
    pair->config[PAIR_TARGET].libvirt_fd = ends[1];
    rc = drv_relay_spawn(&pair->config[PAIR_TARGET], err);
    close(ends[1]);
    if (!rc)
        rc = drv_relay_open(pair->directory[PAIR_TARGET], &pair->relay[PAIR_TARGET], err);
    if (rc)
        return rc;
    rc = -pthread_create(&pair->acceptor, NULL, accept_links, pair);
    if (rc)
        return drv_error_set(err, -rc, "pthread_create: %s", strerror(-rc));
    pair->accepting = true;
    return 0;
}

int pair_start_source(struct pair *pair, struct drv_error *err)
{
    int rc = drv_relay_spawn(&pair->config[PAIR_SOURCE], err);

    return rc ? rc : drv_relay_open(pair->directory[PAIR_SOURCE], &pair->relay[PAIR_SOURCE], err);
}

int pair_start(struct pair *pair, unsigned links, struct drv_error *err)
{
    int rc = pair_prepare(pair, links, err);

    if (!rc)
        rc = pair_start_target(pair, err);
    return rc ? rc : pair_start_source(pair, err);
}

int pair_connect(struct pair *pair, enum drv_relay_channel channel, struct drv_error *err)
{
    char path[128];

    (void)snprintf(path, sizeof path, "%s/%s", pair->directory[PAIR_SOURCE],
                   channel == DRV_CHANNEL_CONTROL ? DRV_SOCKET_CONTROL : local_names[channel]);
    return drv_fd_unix_connect(path, SOCK_STREAM, err);
}

int pair_accept(struct pair *pair, enum drv_relay_channel channel, struct drv_error *err)
{
    struct pollfd wait = {.fd = pair->local[channel], .events = POLLIN};
    int fd;

    if (poll(&wait, 1, WAIT_MS) != 1)
        return drv_error_set(err, ETIMEDOUT, "the relay did not connect to %s", local_names[channel]);
    fd = accept4(pair->local[channel], NULL, NULL, SOCK_CLOEXEC);
    return fd < 0 ? drv_error_set(err, errno, "accept: %s", strerror(errno)) : fd;
}

int pair_stream(struct pair *pair, enum drv_relay_channel channel, int ends[PAIR_ENDS], struct drv_error *err)
{
    ends[PAIR_SOURCE] = pair_connect(pair, channel, err);
    if (ends[PAIR_SOURCE] < 0)
        return ends[PAIR_SOURCE];
    ends[PAIR_TARGET] = pair_accept(pair, channel, err);
    return ends[PAIR_TARGET] < 0 ? ends[PAIR_TARGET] : 0;
}

void pair_cut(struct pair *pair, unsigned index)
{
    pthread_mutex_lock(&pair->lock);
    if (index < pair->handed_count)
        (void)shutdown(pair->handed[index], SHUT_RDWR);
    pthread_mutex_unlock(&pair->lock);
}

void pair_release(struct pair *pair)
{
    pthread_mutex_lock(&pair->lock);
    pair->release = true;
    while (pair->handed_count)
        close(pair->handed[--pair->handed_count]);
    pthread_mutex_unlock(&pair->lock);
}

pid_t pair_pid(struct pair *pair, enum pair_end end)
{
    char path[128];
    struct ucred peer = {0};
    socklen_t size = sizeof peer;
    int fd;

    (void)snprintf(path, sizeof path, "%s/%s", pair->directory[end], DRV_SOCKET_ADMIN);
    fd = drv_fd_unix_connect(path, SOCK_SEQPACKET, NULL);
    if (fd < 0)
        return -1;
    (void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
    close(fd);
    return peer.pid;
}

static void remove_directory(const char *path)
{
    DIR *directory = *path ? opendir(path) : NULL;
    struct dirent *entry;

    if (!directory)
        return;
    while ((entry = readdir(directory)))
        if (entry->d_name[0] != '.')
            (void)unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
    (void)rmdir(path);
}

void pair_stop(struct pair *pair)
{
    if (pair->accepting) {
        (void)!write(pair->stop[1], "", 1);
        pthread_join(pair->acceptor, NULL);
    }
    pair_release(pair);
    for (size_t end = 0; end < PAIR_ENDS; end++) {
        if (pair->relay[end])
            (void)drv_relay_end(pair->relay[end], NULL);
        drv_relay_close(pair->relay[end]);
        remove_directory(pair->directory[end]);
    }
    for (size_t i = 0; i < DRV_CHANNELS; i++)
        if (pair->local[i] >= 0)
            close(pair->local[i]);
    for (size_t i = 0; i < 2; i++)
        if (pair->stop[i] >= 0)
            close(pair->stop[i]);
    if (pair->tcp >= 0)
        close(pair->tcp);
    if (pair->libvirt >= 0)
        close(pair->libvirt);
}
