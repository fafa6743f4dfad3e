/* SPDX-License-Identifier: Apache-2.0 */
/* The source's links: see connect.h. */
#include "relay/connect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hex.h"

#define CONNECT_MS 10000

struct attempt {
    pthread_t thread;
    const struct drv_link_secret *secret;
    void *credentials;
    const struct sockaddr *address;
    socklen_t address_size;
    int64_t deadline_us;
    unsigned index;
    const struct drv_hello *here;
    struct drv_hello there;
    drv_link *link;
    int rc;
    struct drv_error err;
};

int drv_connect_hello(drv_link *link, const struct drv_link_secret *secret, const struct drv_hello *here,
                      struct drv_error *err)
{
    struct drv_frame frame = {.type = DRV_FRAME_HELLO, .length = DRV_FRAME_HELLO_SIZE};
    struct drv_hello hello = *here;
    int rc = drv_hex_decode(hello.session, sizeof hello.session, secret->session, err);

    if (rc)
        return rc;
    hello.version = DRV_WIRE_VERSION;
    hello.features = DRV_WIRE_FEATURES;
    hello.index = (uint8_t)link->index;
    drv_hello_encode(link->out + DRV_FRAME_HEADER_SIZE, &hello);
    rc = drv_link_send(link, &frame, err);
    return rc ? rc : drv_link_flush(link, err);
}

int drv_connect_read_hello(drv_link *link, const struct drv_link_secret *secret, unsigned links,
                           struct drv_hello *hello, struct drv_error *err)
{
    uint8_t session[DRV_SESSION_ID_SIZE];
    struct drv_frame frame;
    const uint8_t *payload;
    int rc = drv_link_receive(link, &frame, &payload, err);

    if (!rc && frame.type != DRV_FRAME_HELLO)
        rc = drv_error_set(err, EPROTO, "the other relay does not begin with HELLO");
    if (!rc)
        rc = drv_hello_decode(hello, payload, frame.length, err);
    if (!rc)
        rc = drv_hex_decode(session, sizeof session, secret->session, err);
    if (rc)
        return rc;
    if (memcmp(session, hello->session, sizeof session) != 0 || hello->links != links || hello->index >= links)
        return drv_error_set(err, EPROTO, "the other relay is about another session");
    return 0;
}

/* Until there is something to read, or it is too late. */
static int wait_for(int fd, short what, int64_t deadline_us, struct drv_error *err)
{
    struct pollfd wait = {.fd = fd, .events = what};
    int64_t left_us = deadline_us - drv_clock_us();
    int rc;

    do
        rc = poll(&wait, 1, left_us > 0 ? (int)(left_us / 1000) + 1 : 0);
    while (rc < 0 && errno == EINTR);
    if (rc == 0)
        return drv_error_set(err, ETIMEDOUT, "no answer within %d s", CONNECT_MS / 1000);
    return rc < 0 ? drv_error_set(err, errno, "cannot wait: %s", strerror(errno)) : 0;
}

static int connect_tcp(const struct attempt *attempt, int *result, struct drv_error *err)
{
    drv_autoclose int fd = socket(attempt->address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t size = sizeof(int);
    int why = 0;

    if (fd < 0)
        return drv_error_set(err, errno, "cannot make a socket: %s", strerror(errno));
    if (connect(fd, attempt->address, attempt->address_size) && errno != EINPROGRESS) {
        why = errno;
    } else {
        int rc = wait_for(fd, POLLOUT, attempt->deadline_us, err);

        if (rc)
            return rc;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &size))
            why = errno;
    }
    if (why)
        return drv_error_set(err, why, "%s", strerror(why));
    *result = drv_steal_fd(&fd);
    return 0;
}

static int establish(struct attempt *attempt, struct drv_error *err)
{
    int fd = -1;
    int rc = connect_tcp(attempt, &fd, err);

    if (!rc)
        rc = drv_link_new(&attempt->link, fd, false, attempt->credentials, attempt->secret, err);
    if (rc)
        return rc;
    attempt->link->index = attempt->index;
    while ((rc = drv_link_handshake(attempt->link, err)) == -EAGAIN) {
        rc = wait_for(fd, POLLIN, attempt->deadline_us, err);
        if (rc)
            return rc;
    }
    if (!rc)
        rc = drv_connect_hello(attempt->link, attempt->secret, attempt->here, err);
    if (rc)
        return rc;
    while ((rc = drv_connect_read_hello(attempt->link, attempt->secret, attempt->here->links, &attempt->there, err)) ==
           -EAGAIN) {
        rc = wait_for(fd, POLLIN, attempt->deadline_us, err);
        if (rc)
            return rc;
    }
    if (!rc && attempt->there.index != attempt->index)
        rc = drv_error_set(err, EPROTO, "the other relay mixed up its connections");
    return rc;
}

static void *run(void *argument)
{
    struct attempt *attempt = argument;

    attempt->rc = establish(attempt, &attempt->err);
    return NULL;
}

static int resolve(const struct drv_settings *settings, struct addrinfo **address, struct drv_error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    char port[8];

    (void)snprintf(port, sizeof port, "%u", settings->peer_port);
    if (getaddrinfo(settings->peer_host, port, &hints, address))
        return drv_error_set(err, EINVAL, "\"%s\" is not an IP address", settings->peer_host);
    return 0;
}

int drv_connect_links(const struct drv_settings *settings, const struct drv_link_secret *secret,
                      const struct drv_hello *here, drv_link **links, struct drv_hello *there, struct drv_error *err)
{
    struct attempt attempts[16];
    gnutls_psk_client_credentials_t credentials = NULL;
    struct addrinfo *address = NULL;
    unsigned started = 0;
    int rc = resolve(settings, &address, err);

    if (!rc)
        rc = drv_link_client_credentials(&credentials, secret, err);
    for (; !rc && started < settings->links; started++) {
        struct attempt *attempt = &attempts[started];

        *attempt = (struct attempt){.secret = secret,
                                    .credentials = credentials,
                                    .address = address->ai_addr,
                                    .address_size = address->ai_addrlen,
                                    .deadline_us = drv_clock_us() + (int64_t)CONNECT_MS * 1000,
                                    .index = started,
                                    .here = here};
        rc = -pthread_create(&attempt->thread, NULL, run, attempt);
        if (rc) {
            (void)drv_error_set(err, -rc, "cannot start a thread: %s", strerror(-rc));
            break;
        }
    }
    for (unsigned i = 0; i < started; i++) {
        pthread_join(attempts[i].thread, NULL);
        if (attempts[i].rc && !rc) {
            rc = attempts[i].rc;
            *err = attempts[i].err;
            drv_error_prefix(err, "cannot reach the relay behind %s port %u", settings->peer_host, settings->peer_port);
        }
    }
    for (unsigned i = 0; i < started; i++) {
        if (rc)
            drv_link_free(attempts[i].link);
        else
            links[i] = attempts[i].link;
    }
    if (!rc)
        *there = attempts[0].there;
    if (address)
        freeaddrinfo(address);
    if (credentials)
        gnutls_psk_free_client_credentials(credentials);
    return rc;
}
