/* SPDX-License-Identifier: Apache-2.0 */
/* droverd's side of a relay's admin socket: see control.h. Starting one is in spawn.c. */
#include "relay/control/control.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "relay/control/admin-wire.h"

#define ANSWER_MS 5000

struct drv_relay {
    int fd;
    bool watching;
    bool has_event; /* one that came while an answer was awaited */
    struct drv_relay_status event;
};

int drv_relay_open(const char *directory, drv_relay **relay, struct drv_error *err)
{
    char path[128];
    drv_autoclose int fd = -1;
    drv_relay *made;

    if ((size_t)snprintf(path, sizeof path, "%s/%s", directory, DRV_SOCKET_ADMIN) >= sizeof path)
        return drv_error_set(err, ENAMETOOLONG, "the session directory's path is too long: %s", directory);
    fd = drv_fd_unix_connect(path, SOCK_SEQPACKET, err);
    if (fd < 0) {
        int rc = fd;

        drv_error_prefix(err, "no relay answers");
        return rc;
    }
    made = calloc(1, sizeof *made);
    if (!made)
        return drv_error_set(err, ENOMEM, "no memory");
    made->fd = drv_steal_fd(&fd);
    *relay = made;
    return 0;
}

void drv_relay_close(drv_relay *relay)
{
    if (!relay)
        return;
    close(relay->fd);
    free(relay);
}

static int died(struct drv_error *err)
{
    return drv_error_set(err, ECONNRESET, "the relay has died");
}

/* One message, or -ETIMEDOUT without an error set. */
static int receive(drv_relay *relay, uint8_t *bytes, size_t *size, int64_t until_us, struct drv_error *err)
{
    for (;;) {
        struct pollfd wait = {.fd = relay->fd, .events = POLLIN};
        int64_t left_us = until_us - drv_clock_us();
        int rc = poll(&wait, 1, left_us > 0 ? (int)((left_us + 999) / 1000) : 0);
        ssize_t got;

        if (rc < 0 && errno == EINTR)
            continue;
        if (rc == 0)
            return -ETIMEDOUT;
        got = recv(relay->fd, bytes, DRV_ADMIN_MAX, 0);
        if (got <= 0)
            return died(err);
        *size = (size_t)got;
        return 0;
    }
}

static int request(drv_relay *relay, uint8_t kind, int fd, struct drv_error *err)
{
    int rc = drv_fd_send(relay->fd, &kind, 1, fd, err);

    return rc == -EPIPE || rc == -ECONNRESET ? died(err) : rc;
}

/* Waits for an answer; an event that comes first is kept for drv_relay_next(). */
static int await(drv_relay *relay, uint8_t kind, uint8_t *bytes, size_t *size, struct drv_error *err)
{
    int64_t until_us = drv_clock_us() + (int64_t)ANSWER_MS * 1000;

    for (;;) {
        int rc = receive(relay, bytes, size, until_us, err);

        if (rc == -ETIMEDOUT)
            return drv_error_set(err, ETIMEDOUT, "the relay does not answer");
        if (rc)
            return rc;
        if (bytes[0] == DRV_ADMIN_EVENT) {
            rc = drv_admin_decode_status(&relay->event, bytes, *size, err);
            if (rc)
                return rc;
            relay->has_event = true;
        } else if (bytes[0] == DRV_ADMIN_FAILED) {
            return drv_error_set(err, EINVAL, "the relay refuses: %.*s", (int)*size - 1, (const char *)bytes + 1);
        } else if (bytes[0] == kind) {
            return 0;
        }
    }
}

int drv_relay_status(drv_relay *relay, struct drv_relay_status *status, struct drv_error *err)
{
    uint8_t bytes[DRV_ADMIN_MAX];
    size_t size;
    int rc = request(relay, DRV_ADMIN_STATUS, -1, err);

    if (!rc)
        rc = await(relay, DRV_ADMIN_STATUS_IS, bytes, &size, err);
    return rc ? rc : drv_admin_decode_status(status, bytes, size, err);
}

int drv_relay_next(drv_relay *relay, struct drv_relay_status *status, int timeout_ms, struct drv_error *err)
{
    int64_t until_us = drv_clock_us() + (int64_t)timeout_ms * 1000;
    uint8_t bytes[DRV_ADMIN_MAX];
    size_t size = 0;
    int rc;

    if (!relay->watching) {
        rc = request(relay, DRV_ADMIN_WATCH, -1, err);
        if (rc)
            return rc;
        relay->watching = true;
    }
    if (relay->has_event) {
        relay->has_event = false;
        *status = relay->event;
        return 0;
    }
    do
        rc = receive(relay, bytes, &size, until_us, err);
    while (!rc && bytes[0] != DRV_ADMIN_EVENT);
    if (rc == -ETIMEDOUT)
        return drv_error_set(err, ETIMEDOUT, "the relay said nothing for %d ms", timeout_ms);
    return rc ? rc : drv_admin_decode_status(status, bytes, size, err);
}

int drv_relay_stand_by(drv_relay *relay, struct drv_error *err)
{
    int rc = request(relay, DRV_ADMIN_STAND_BY, -1, err);

    relay->watching = rc == 0;
    return rc;
}

static int command(drv_relay *relay, uint8_t kind, int fd, struct drv_error *err)
{
    uint8_t bytes[DRV_ADMIN_MAX];
    size_t size;
    int rc = request(relay, kind, fd, err);

    return rc ? rc : await(relay, DRV_ADMIN_DONE, bytes, &size, err);
}

int drv_relay_hand_link(drv_relay *relay, int tcp_fd, struct drv_error *err)
{
    return command(relay, DRV_ADMIN_LINK, tcp_fd, err);
}

int drv_relay_tell_resumed(drv_relay *relay, struct drv_error *err)
{
    return command(relay, DRV_ADMIN_RESUMED, -1, err);
}

ssize_t drv_relay_asked(drv_relay *relay, uint8_t **bytes, struct drv_error *err)
{
    drv_autoclose int fd = memfd_create("asked", MFD_CLOEXEC);
    const size_t room = 4 + DRV_RELAY_ASKED_MAX;
    uint8_t *map;
    ssize_t size;
    int rc;

    if (fd < 0 || ftruncate(fd, (off_t)room) < 0)
        return drv_error_set(err, errno, "no memory for a call: %s", strerror(errno));
    rc = command(relay, DRV_ADMIN_ASKED, fd, err);
    if (rc)
        return rc;
    map = mmap(NULL, room, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return drv_error_set(err, errno, "no memory for a call: %s", strerror(errno));
    size = (ssize_t)((uint32_t)map[0] << 24 | (uint32_t)map[1] << 16 | (uint32_t)map[2] << 8 | map[3]);
    *bytes = size <= 0 || size > (ssize_t)DRV_RELAY_ASKED_MAX ? NULL : malloc((size_t)size);
    if (*bytes)
        memcpy(*bytes, map + 4, (size_t)size);
    (void)munmap(map, room);
    return *bytes ? size : drv_error_set(err, EPROTO, "the relay shows no call");
}

int drv_relay_judge(drv_relay *relay, const char *refusal, struct drv_error *err)
{
    uint8_t bytes[DRV_ADMIN_MAX];
    size_t size;
    int length = snprintf((char *)bytes, sizeof bytes, "%c%s", refusal ? DRV_ADMIN_DENY : DRV_ADMIN_PASS,
                          refusal ? refusal : "");
    int rc = drv_fd_send(relay->fd, bytes, length < (int)sizeof bytes ? (size_t)length : sizeof bytes - 1, -1, err);

    if (rc == -EPIPE || rc == -ECONNRESET)
        return died(err);
    return rc ? rc : await(relay, DRV_ADMIN_DONE, bytes, &size, err);
}

int drv_relay_tell_near(drv_relay *relay, struct drv_error *err)
{
    return command(relay, DRV_ADMIN_NEAR, -1, err);
}

int drv_relay_end(drv_relay *relay, struct drv_error *err)
{
    int64_t until_us = drv_clock_us() + (int64_t)ANSWER_MS * 1000;
    uint8_t bytes[DRV_ADMIN_MAX];
    size_t size;
    int rc = request(relay, DRV_ADMIN_END, -1, err);

    if (rc == -ECONNRESET)
        return 0;
    do
        rc = rc ? rc : receive(relay, bytes, &size, until_us, NULL);
    while (!rc);
    if (rc == -ETIMEDOUT)
        return drv_error_set(err, ETIMEDOUT, "the relay was told to end but does not");
    return rc == -ECONNRESET ? 0 : rc;
}
