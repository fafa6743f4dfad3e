/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting a relay: a process of its own session, no child of the caller, with nothing
 * of the caller's but standard error, its settings on a pipe, libvirtd's socket, and what is known
 * of earlier sessions.
 */
#include "relay/control/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/shares.h"
#include "pack/format.h"
#include "relay/control/control.h"
#include "relay/control/settings.h"

/* The relay's own deadline for its links is 10 s. */
#define READY_MS 15000
#define ENVIRONMENT_MAX 8

extern char **environ;

/* Nothing that could make a library write down keys or load other code; what a log needs. */
static void choose_environment(const char **kept)
{
    static const char *const wanted[] = {
        "JOURNAL_STREAM=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "TSAN_OPTIONS=", "LSAN_OPTIONS=",
#ifdef DRV_FAULT_POINTS
        "DROVER_FAULT=",
#endif
    };
    size_t count = 0;

    for (char **entry = environ; entry && *entry && count < ENVIRONMENT_MAX - 1; entry++)
        for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
            if (!strncmp(*entry, wanted[i], strlen(wanted[i])) && count < ENVIRONMENT_MAX - 1)
                kept[count++] = *entry;
    kept[count] = NULL;
}

#define ABOVE 64 /* numbers that the relay gets are below it */

_Static_assert(DRV_SETTINGS_CONTENT_FD + 2 + DRV_PACKS_MAX <= DRV_SETTINGS_OLDER_FD &&
                   DRV_SETTINGS_OLDER_FD + DRV_OLDER_IMAGES <= DRV_SETTINGS_MEMORY_FD && DRV_SETTINGS_MEMORY_FD < ABOVE,
               "packs and older disks have no numbers of their own");

struct handed {
    int from, to;
};

/* What the relay gets, and as which number. Return: how many. */
static unsigned list_handed(const struct drv_relay_config *config, int settings, int answer,
                            struct handed handed[ABOVE])
{
    unsigned count = 0;

    handed[count++] = (struct handed){settings, STDIN_FILENO};
    handed[count++] = (struct handed){answer, STDOUT_FILENO};
    if (config->libvirt_fd >= 0)
        handed[count++] = (struct handed){config->libvirt_fd, DRV_SETTINGS_LIBVIRT_FD};
    if (config->content_file_count)
        handed[count++] = (struct handed){config->content_fd, DRV_SETTINGS_CONTENT_FD};
    for (unsigned i = 0; i < config->content_file_count; i++)
        handed[count++] = (struct handed){config->content_files[i], DRV_SETTINGS_CONTENT_FD + 1 + (int)i};
    for (unsigned i = 0; config->older_fds && i < config->older_count; i++)
        handed[count++] = (struct handed){config->older_fds[i], DRV_SETTINGS_OLDER_FD + (int)i};
    if (config->memory_fd > 0)
        handed[count++] = (struct handed){config->memory_fd, DRV_SETTINGS_MEMORY_FD};
    return count;
}

/* First all out of the way of the numbers that they shall get; then everything else is closed. */
static bool hand_over(struct handed *handed, unsigned count)
{
    bool wanted[ABOVE] = {[STDERR_FILENO] = true};

    for (unsigned i = 0; i < count; i++) {
        handed[i].from = fcntl(handed[i].from, F_DUPFD, ABOVE);
        if (handed[i].from < 0)
            return false;
    }
    for (unsigned i = 0; i < count; i++) {
        if (dup2(handed[i].from, handed[i].to) < 0)
            return false;
        wanted[handed[i].to] = true;
    }
    for (int fd = 0; fd < ABOVE; fd++)
        if (!wanted[fd])
            (void)close(fd);
    return close_range(ABOVE, ~0u, 0) == 0;
}

/* Between fork and exec: only what is safe there. */
static void become_relay(const struct drv_relay_config *config, int settings, int answer,
                         const char *const *environment)
{
    const char *const arguments[] = {"drover-relay", NULL};
    struct sigaction normal = {.sa_handler = SIG_DFL};
    sigset_t none;
    struct handed handed[ABOVE];
    int score;

    for (int signal = 1; signal < NSIG; signal++)
        (void)sigaction(signal, &normal, NULL);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    /* When memory runs out it goes before a guest: a migration that fails cleanly is the smaller loss. */
    score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (score >= 0) {
        (void)!write(score, DRV_RELAY_OOM_SCORE, sizeof DRV_RELAY_OOM_SCORE - 1);
        (void)close(score);
    }
    if (!hand_over(handed, list_handed(config, settings, answer, handed)) || chdir("/"))
        _exit(126);
    execve(config->program, (char **)(size_t)arguments, (char **)(size_t)environment);
    dprintf(STDOUT_FILENO, "error: cannot run %s: %s\n", config->program, strerror(errno));
    _exit(127);
}

/* One line: "ready" or "error: ...". */
static int read_answer(int fd, const struct drv_relay_config *config, struct drv_error *err)
{
    int64_t until_us = drv_clock_us() + (int64_t)READY_MS * 1000;
    char line[sizeof err->message];
    size_t used = 0;
    char *end;

    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int64_t left_us = until_us - drv_clock_us();
        ssize_t got;

        if (left_us <= 0 || poll(&wait, 1, (int)(left_us / 1000) + 1) == 0)
            return drv_error_set(err, ETIMEDOUT, "%s does not say that it is ready", config->program);
        got = read(fd, line + used, sizeof line - 1 - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        used += (size_t)got;
        if (used == sizeof line - 1)
            break;
    }
    line[used] = '\0';
    end = strchr(line, '\n');
    if (end)
        *end = '\0';
    if (!strcmp(line, "ready"))
        return 0;
    if (!strncmp(line, "error: ", 7))
        return drv_error_set(err, EIO, "%s", line + 7);
    return drv_error_set(err, EIO, "%s ended without saying why: see its log", config->program);
}

int drv_relay_spawn(const struct drv_relay_config *config, struct drv_error *err)
{
    drv_autoclose int settings_read = -1;
    drv_autoclose int settings_write = -1;
    drv_autoclose int answer_read = -1;
    drv_autoclose int answer_write = -1;
    const char *environment[ENVIRONMENT_MAX];
    char text[DRV_SETTINGS_MAX];
    int length = drv_settings_print(config, text, sizeof text, err);
    int ends[2];
    int rc, how;
    pid_t child;

    if (length < 0)
        return length;
    if ((config->role == DRV_RELAY_TARGET) != (config->libvirt_fd >= 0))
        return drv_error_set(err, EINVAL,
                             "a target's relay needs libvirtd's socket, a source's "
                             "must not have one");
    if (config->older_count > DRV_OLDER_IMAGES)
        return drv_error_set(err, EINVAL, "too many older disks for a relay");
    if (config->content_file_count > 1 + DRV_PACKS_MAX)
        return drv_error_set(err, EINVAL, "too many packs of content for a relay");
    choose_environment(environment);
    if (pipe2(ends, O_CLOEXEC))
        return drv_error_set(err, errno, "cannot make a pipe: %s", strerror(errno));
    settings_read = ends[0];
    settings_write = ends[1];
    if (pipe2(ends, O_CLOEXEC))
        return drv_error_set(err, errno, "cannot make a pipe: %s", strerror(errno));
    answer_read = ends[0];
    answer_write = ends[1];
    /* The text fits into the pipe: nobody has to read it before it is written. */
    rc = drv_fd_write_all(settings_write, text, (size_t)length, err);
    explicit_bzero(text, sizeof text);
    if (rc)
        return rc;
    child = fork();
    if (child < 0)
        return drv_error_set(err, errno, "cannot start a process: %s", strerror(errno));
    if (child == 0) {
        pid_t relay;

        (void)setsid();
        drv_shares_raise();
        relay = fork();
        if (relay == 0)
            become_relay(config, settings_read, answer_write, environment);
        _exit(relay < 0 ? 125 : 0);
    }
    close(drv_steal_fd(&settings_write));
    close(drv_steal_fd(&answer_write));
    while (waitpid(child, &how, 0) < 0 && errno == EINTR)
        ;
    return read_answer(answer_read, config, err);
}
