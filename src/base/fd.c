/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors: see fd.h. */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

int drv_fd_write_all(int fd, const void *bytes, size_t size, struct drv_error *err)
{
    const char *at = bytes;

    while (size) {
        ssize_t written = write(fd, at, size);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return drv_error_set(err, errno, "cannot write: %s", strerror(errno));
        at += written;
        size -= (size_t)written;
    }
    return 0;
}

int drv_fd_set_nonblocking(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0)
        return -errno;
    flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
}

static int unix_address(struct sockaddr_un *address, const char *path, struct drv_error *err)
{
    size_t length = strlen(path);

    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (length >= sizeof address->sun_path)
        return drv_error_set(err, ENAMETOOLONG, "the socket path %s is longer than %zu bytes", path,
                             sizeof address->sun_path - 1);
    memcpy(address->sun_path, path, length);
    return 0;
}

int drv_fd_unix_listen(const char *path, int type, struct drv_error *err)
{
    drv_autoclose int fd = -1;
    struct sockaddr_un address;
    int rc = unix_address(&address, path, err);

    if (rc)
        return rc;
    fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 16) < 0)
        return drv_error_set(err, errno, "cannot listen on %s: %s", path, strerror(errno));
    return drv_steal_fd(&fd);
}

int drv_fd_unix_connect(const char *path, int type, struct drv_error *err)
{
    drv_autoclose int fd = -1;
    struct sockaddr_un address;
    int rc = unix_address(&address, path, err);

    if (rc)
        return rc;
    fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return drv_error_set(err, errno, "cannot connect to %s: %s", path, strerror(errno));
    return drv_steal_fd(&fd);
}

int drv_fd_send(int sock, const void *bytes, size_t size, int fd, struct drv_error *err)
{
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec part = {.iov_base = (void *)(size_t)bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t sent;

    if (fd >= 0) {
        struct cmsghdr *header;

        message.msg_control = control.space;
        message.msg_controllen = sizeof control.space;
        header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    do
        sent = sendmsg(sock, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return drv_error_set(err, errno, "cannot send a message: %s", strerror(errno));
    if ((size_t)sent != size)
        return drv_error_set(err, EMSGSIZE, "only %zd of %zu bytes were sent", sent, size);
    return 0;
}

ssize_t drv_fd_receive(int sock, void *bytes, size_t size, int *fd, struct drv_error *err)
{
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec part = {.iov_base = bytes, .iov_len = size};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
    ssize_t received;

    *fd = -1;
    do
        received = recvmsg(sock, &message, MSG_CMSG_CLOEXEC);
    while (received < 0 && errno == EINTR);
    if (received < 0)
        return drv_error_set(err, errno, "cannot receive a message: %s", strerror(errno));
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header))
        if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
            header->cmsg_len == CMSG_LEN(sizeof *fd))
            memcpy(fd, CMSG_DATA(header), sizeof *fd);
    return received;
}
