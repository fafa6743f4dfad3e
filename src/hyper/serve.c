/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images that a relay shall only read. The relay gets no path but a connection to a qemu-nbd, which
 * knows all formats and takes the locks that keep writers away. That is told to listen as systemd tells its
 * services: descriptor 3. So the connection is made before the process, the socket's name can go at once,
 * and as qemu-nbd ends with its last client nothing is left over, whoever dies.
 */
#include "hyper/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <linux/close_range.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/shares.h"

#define OPEN_MS 10000
#define LISTEN_FD 3
#define LOCK_FD 4

/* Bytes of an image file that QEMU locks (block/file-posix.c): who writes, who lets nobody write. */
#define WRITES 101
#define LETS_NOBODY_WRITE 201
#define ABOVE 16
#define SAID_MOST 2048

/*
 * qemu-nbd lets others write to a raw image that it reads. QEMU's locks are shared ones of the open file: this
 * one lasts as long as somebody has the descriptor. Return: it, or -1.
 */
static int keep_writers_away(const char *path, GError **error)
{
    struct flock mine = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = LETS_NOBODY_WRITE, .l_len = 1};
    struct flock writer = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = WRITES, .l_len = 1};
    drv_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot open %s: %s", path, g_strerror(errno));
        return -1;
    }
    /* Where there are no such locks QEMU does without as well. */
    if (fcntl(fd, F_OFD_SETLK, &mine) < 0)
        return drv_steal_fd(&fd);
    if (fcntl(fd, F_OFD_GETLK, &writer) == 0 && writer.l_type != F_UNLCK) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "%s is being written to: by a VM, perhaps", path);
        return -1;
    }
    return drv_steal_fd(&fd);
}

/* A listener with one connection that waits in its queue. Return: that one, or -1. */
static int connect_to_itself(const char *socket_path, int *listener, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct drv_error problem = {0};
    drv_autoclose int fd = -1;

    unlink(socket_path);
    *listener = drv_fd_unix_listen(socket_path, SOCK_STREAM, &problem);
    if (*listener < 0) {
        drv_gerror_from(error, DRV_ERROR_FAILED, &problem);
        return -1;
    }
    g_strlcpy(address.sun_path, socket_path, sizeof address.sun_path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot connect to %s: %s", socket_path, g_strerror(errno));
        unlink(socket_path);
        return -1;
    }
    unlink(socket_path);
    return drv_steal_fd(&fd);
}

/* Between fork and exec: only what is safe there. @pid_text: where LISTEN_PID's number goes. */
static void become_server(char *const *argv, char *const *environment, char *pid_text, int listener, int lock, int out)
{
    struct sigaction normal = {.sa_handler = SIG_DFL};
    char digits[16];
    pid_t pid = getpid();
    unsigned count = 0;
    sigset_t none;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    for (int number = 1; number < NSIG; number++)
        (void)sigaction(number, &normal, NULL);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    do
        digits[count++] = (char)('0' + pid % 10);
    while ((pid /= 10) && count < sizeof digits);
    while (count)
        *pid_text++ = digits[--count];
    *pid_text = '\0';
    /* First out of the way of the numbers that they shall get. */
    listener = fcntl(listener, F_DUPFD, ABOVE);
    lock = fcntl(lock, F_DUPFD, ABOVE);
    out = fcntl(out, F_DUPFD, ABOVE);
    if (null < 0 || listener < 0 || lock < 0 || out < 0 || dup2(null, STDIN_FILENO) < 0 ||
        dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0 || dup2(listener, LISTEN_FD) < 0 ||
        dup2(lock, LOCK_FD) < 0 || close_range(LOCK_FD + 1, ~0u, 0) < 0 || chdir("/") < 0)
        _exit(126);
    execvpe(argv[0], argv, environment);
    dprintf(STDERR_FILENO, "%s: %s (Debian: apt install qemu-utils)\n", argv[0], strerror(errno));
    _exit(127);
}

/* No child of ours: nobody waits for its end. */
static gboolean start_server(const char *path, const char *format, int listener, int lock, int out, GError **error)
{
    const char *argv[] = {"qemu-nbd", "--read-only", "-f", format, "--", path, NULL};
    char pid_text[32] = "LISTEN_PID=";
    char *path_text = g_strdup_printf("PATH=%s", g_getenv("PATH") ? g_getenv("PATH") : "/usr/bin:/bin");
    char *environment[] = {pid_text, (char *)"LISTEN_FDS=1", path_text, NULL};
    pid_t child = fork();
    int status;

    if (child == 0) {
        pid_t server;

        (void)setsid();
        drv_shares_raise(); /* a relay waits for it */
        server = fork();
        if (server == 0)
            become_server((char *const *)argv, environment, pid_text + strlen(pid_text), listener, lock, out);
        _exit(server < 0 ? 125 : 0);
    }
    g_free(path_text);
    if (child < 0) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot start a process: %s", g_strerror(errno));
        return FALSE;
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return TRUE;
}

/* Its first words come when the image is open; its end without any: why. */
static gboolean has_opened(int fd, int out, const char *path, GError **error)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    char said[SAID_MOST + 1], byte;
    char *line;
    ssize_t got;

    if (poll(&wait, 1, OPEN_MS) == 0) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "%s does not open within %d s", path, OPEN_MS / 1000);
        return FALSE;
    }
    if (recv(fd, &byte, 1, MSG_PEEK) == 1)
        return TRUE;
    got = pread(out, said, SAID_MOST, 0);
    said[MAX(got, 0)] = '\0';
    g_strstrip(said);
    line = strrchr(said, '\n');
    g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "%s cannot be read: %s", path,
                line    ? line + 1
                : *said ? said
                        : "qemu-nbd ended without a reason");
    return FALSE;
}

int drv_serve_image(const char *path, const char *format, const char *socket_path, GError **error)
{
    drv_autoclose int listener = -1;
    drv_autoclose int out = memfd_create("output", MFD_CLOEXEC);
    drv_autoclose int lock = keep_writers_away(path, error);
    drv_autoclose int fd = lock < 0 ? -1 : connect_to_itself(socket_path, &listener, error);

    if (fd < 0)
        return -1;
    if (!start_server(path, format, listener, lock, out, error))
        return -1;
    close(drv_steal_fd(&listener));
    return has_opened(fd, out, path, error) ? drv_steal_fd(&fd) : -1;
}
