/* SPDX-License-Identifier: Apache-2.0 */
/* Contents of images that no running QEMU mirrors: see content.h. */
#include "hyper/content.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/durable.h"

#define TICK_MS 200
#define EXPORT_TIMEOUT_MS 10000
#define END_TIMEOUT_MS 20000
#define INFO_MOST_BYTES (1 << 20)

/* The sockets must be writable by the relay's group; what is between fork and exec is safe there. */
static void child_setup(gpointer data)
{
    (void)data;
    umask(0007);
}

typedef struct {
    GPid pid;
    int pidfd;
    int out; /* both of its outputs, a file without a name */
} child;

static gboolean child_start(child *c, const char *const *argv, const char *const *env, GError **error)
{
    g_autoptr(GError) failure = NULL;
    drv_autoclose int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    c->out = memfd_create("output", MFD_CLOEXEC);
    if (c->out < 0 || null < 0 ||
        !g_spawn_async_with_fds("/", (char **)argv, (char **)env, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_SEARCH_PATH,
                                child_setup, NULL, &c->pid, null, c->out, c->out, &failure)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot run %s: %s%s", argv[0],
                    failure ? failure->message : g_strerror(errno),
                    g_str_has_prefix(argv[0], "qemu-") ? " (Debian: apt install qemu-utils)" : "");
        if (c->out >= 0)
            close(c->out);
        return FALSE;
    }
    c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
    return TRUE;
}

/* Return: whether it has ended. */
static gboolean child_wait(child *c, int timeout_ms)
{
    struct pollfd wait = {.fd = c->pidfd, .events = POLLIN};

    return c->pidfd < 0 || poll(&wait, 1, timeout_ms) > 0;
}

static char *child_output(child *c)
{
    off_t length = lseek(c->out, 0, SEEK_END);
    gsize size = (gsize)CLAMP(length, 0, INFO_MOST_BYTES);
    char *text = g_malloc0(size + 1);
    ssize_t got = pread(c->out, text, size, 0);

    text[MAX(got, 0)] = '\0';
    return text;
}

/* The last line that says something. */
static char *last_line(const char *output)
{
    g_autofree char *copy = g_strstrip(g_strdup(output));
    const char *line = strrchr(copy, '\n');

    return g_strdup(line ? line + 1 : copy);
}

static gboolean child_end(child *c, const char *program, char **output, GError **error)
{
    g_autofree char *text = NULL;
    int status = 0;

    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
        ;
    text = child_output(c);
    close(c->out);
    if (c->pidfd >= 0)
        close(c->pidfd);
    g_spawn_close_pid(c->pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        g_autofree char *why = last_line(text);

        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "%s: %s", program, *why ? why : "it ended without a reason");
        return FALSE;
    }
    if (output)
        *output = g_steal_pointer(&text);
    return TRUE;
}

static gboolean run(const char *const *argv, const char *const *env, guint timeout_ms, char **output, GError **error)
{
    child c;
    gboolean timely;

    if (!child_start(&c, argv, env, error))
        return FALSE;
    timely = child_wait(&c, (int)timeout_ms);
    if (!timely)
        kill(c.pid, SIGKILL);
    if (!child_end(&c, argv[0], output, timely ? error : NULL)) {
        if (!timely)
            g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "%s did not end within %u s", argv[0], timeout_ms / 1000);
        return FALSE;
    }
    return TRUE;
}

gboolean drv_content_run(const char *const *argv, const char *const *env, guint timeout_ms, GError **error)
{
    return run(argv, env, timeout_ms, NULL, error);
}

char *drv_content_info(const char *path, const char *format, GError **error)
{
    const char *argv[] = {"qemu-img", "info", "-U", "--backing-chain", "--output=json", "-f", format, path, NULL};
    g_autoptr(GError) failure = NULL;
    char *output = NULL;

    if (!run(argv, NULL, EXPORT_TIMEOUT_MS, &output, &failure)) {
        g_set_error(error, DRV_ERROR, failure->code, "cannot read the image %s: %s", path, failure->message);
        return NULL;
    }
    return output;
}

gboolean drv_content_export(const char *path, const char *format, const char *socket, const char *pid_file,
                            GError **error)
{
    g_autofree char *pid_option = g_strdup_printf("--pid-file=%s", pid_file);
    g_autofree char *socket_option = g_strdup_printf("--socket=%s", socket);
    const char *argv[] = {"qemu-nbd", "--fork", "--persistent", "--discard=unmap", "--detect-zeroes=unmap",
                          "-f",       format,   pid_option,     socket_option,     path,
                          NULL};
    g_autoptr(GError) failure = NULL;

    g_unlink(socket);
    if (!run(argv, NULL, EXPORT_TIMEOUT_MS, NULL, &failure)) {
        g_set_error(error, DRV_ERROR, failure->code, "cannot take what is to be written to %s: %s", path,
                    failure->message);
        return FALSE;
    }
    return TRUE;
}

gboolean drv_content_unexport(const char *socket, const char *pid_file, GError **error)
{
    gboolean ended = TRUE;
    g_autofree char *text = NULL;
    drv_autoclose int pidfd = -1;
    g_autofree char *comm_path = NULL;
    g_autofree char *comm = NULL;
    pid_t pid = 0;

    if (g_file_get_contents(pid_file, &text, NULL, NULL))
        pid = (pid_t)g_ascii_strtoll(text, NULL, 10);
    if (pid > 1) {
        pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        comm_path = g_strdup_printf("/proc/%d/comm", pid);
    }
    /* A number out of a file may by now be another's. */
    if (pidfd >= 0 && g_file_get_contents(comm_path, &comm, NULL, NULL) && g_str_equal(g_strstrip(comm), "qemu-nbd")) {
        struct pollfd wait = {.fd = pidfd, .events = POLLIN};

        /* Again and again: one that has just told its parent that it serves forgets the first. */
        for (int waited_ms = 0; (ended = poll(&wait, 1, 0) != 0) == FALSE && waited_ms < END_TIMEOUT_MS;
             waited_ms += TICK_MS) {
            syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0);
            ended = poll(&wait, 1, TICK_MS) != 0;
        }
        if (!ended)
            syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    }
    g_unlink(pid_file);
    g_unlink(socket);
    if (!ended)
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED,
                    "qemu-nbd did not close the image within %d s: is its disk that slow?", END_TIMEOUT_MS / 1000);
    return ended;
}

gboolean drv_content_copy(const char *from, const char *from_format, const char *to, const char *to_format,
                          gboolean zero, guint64 rate_bps, drv_content_tick tick, gpointer data, GError **error)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autofree char *rate = g_strdup_printf("%" G_GUINT64_FORMAT, rate_bps);
    g_autoptr(GError) failure = NULL;
    gboolean stopped = FALSE;
    struct drv_error problem = {0};
    /* It ignores that its last flush failed: this descriptor is told. */
    drv_autoclose int flushed = *to == '/' ? open(to, O_RDONLY | O_CLOEXEC | O_NOCTTY) : -1;
    child c;

    if (*to == '/' && flushed < 0) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot open %s: %s", to, g_strerror(errno));
        return FALSE;
    }
    g_ptr_array_add(argv, (char *)"qemu-img");
    g_ptr_array_add(argv, (char *)"convert");
    g_ptr_array_add(argv, (char *)"-n");
    /* Its default never flushes. So it waits for the disk, where it can be stopped, and not whoever asks next. */
    g_ptr_array_add(argv, (char *)"-t");
    g_ptr_array_add(argv, (char *)"writeback");
    /* Without -U: as long as it is read nothing may write to it, neither a VM that is started. */
    if (zero)
        g_ptr_array_add(argv, (char *)"--target-is-zero");
    if (rate_bps > 0) {
        g_ptr_array_add(argv, (char *)"-r");
        g_ptr_array_add(argv, rate);
    }
    g_ptr_array_add(argv, (char *)"-f");
    g_ptr_array_add(argv, (char *)from_format);
    g_ptr_array_add(argv, (char *)"-O");
    g_ptr_array_add(argv, (char *)to_format);
    g_ptr_array_add(argv, (char *)from);
    g_ptr_array_add(argv, (char *)to);
    g_ptr_array_add(argv, NULL);
    if (!child_start(&c, (const char *const *)argv->pdata, NULL, error))
        return FALSE;
    while (!child_wait(&c, TICK_MS))
        if (!stopped && tick && !tick(data)) {
            stopped = TRUE;
            kill(c.pid, SIGKILL);
        }
    if (child_end(&c, "qemu-img", NULL, &failure)) {
        if (flushed < 0 || !drv_durable_open_file(flushed, to, &problem))
            return TRUE;
        drv_gerror_from(error, DRV_ERROR_FAILED, &problem);
        return FALSE;
    }
    if (stopped)
        g_set_error(error, DRV_ERROR, DRV_ERROR_CANCELLED, "the copy of %s was stopped", from);
    else
        g_set_error(error, DRV_ERROR, failure->code, "cannot copy %s: %s", from, failure->message);
    return FALSE;
}
