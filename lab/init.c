/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first process of a lab host: it makes the host (its namespaces and its private
 * directories) and then stands in for systemd: starts the host's services, starts them
 * again when they die, and reaps what is left to it. Whoever kills it kills the host.
 *
 * Usage: lab-init CONFIG. CONFIG has one setting a line, its fields parted by tabs:
 *
 *   hostname  NAME
 *   netns     FILE                       network namespace to be in
 *   bind      SOURCE  TARGET             private directory or file over a public one
 *   env       NAME=VALUE                 for all services
 *   service   NAME  RESTART_MS  on|off  LOG  PROGRAM  [ARGUMENT ...]
 *   control   SOCKET                     where it takes orders (a path inside the host)
 *
 * It prints the host's process id, as seen outside, once the host is there, and goes to
 * the background. Orders are lines "status", "start NAME", "stop NAME", "restart NAME",
 * one a connection; the answer is one line that begins with "ok" or "error". "stop" is
 * answered when the service has ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_BINDS = 32, MAX_ENV = 32, MAX_SERVICES = 8, MAX_ARGS = 32, MAX_CONFIG = 65536 };
enum { STOP_PATIENCE_MS = 10000 };

struct service {
    char *name;
    int restart_ms;
    bool wanted;
    char *log;
    char *argv[MAX_ARGS + 1];
    pid_t pid;        /* 0: not running */
    int64_t start_at; /* clock of now_ms(); when to start it if it is wanted and not running */
    int64_t kill_at;  /* it was told to stop and is killed then; 0: it was not */
    int waiter;       /* connection to be answered when it has ended, or -1 */
};

struct config {
    char *hostname, *netns, *control;
    char *bind_source[MAX_BINDS], *bind_target[MAX_BINDS];
    int binds;
    char *env[MAX_ENV + 1];
    int envs;
    struct service service[MAX_SERVICES];
    int services;
};

static char config_text[MAX_CONFIG];
static int ready_pipe[2];

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
    int saved = errno;
    va_list args;

    va_start(args, format);
    fprintf(stderr, "lab-init: ");
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "%s%s\n", saved ? ": " : "", saved ? strerror(saved) : "");
    exit(1);
}

static int split(char *line, char **field, int max)
{
    int n = 0;

    while (line && n < max)
        field[n++] = strsep(&line, "\t");
    if (line) {
        errno = 0;
        die("too many fields in a line of the configuration (limit %d)", max);
    }
    return n;
}

static void add_service(struct config *c, char **field, int n)
{
    struct service *s = &c->service[c->services];

    errno = 0;
    if (c->services == MAX_SERVICES || n < 6)
        die("service line: too many services, or fields are missing");
    s->name = field[1];
    s->restart_ms = atoi(field[2]);
    s->wanted = !strcmp(field[3], "on");
    s->log = field[4];
    for (int i = 5; i < n; i++)
        s->argv[i - 5] = field[i];
    s->waiter = -1;
    c->services++;
}

static void read_config(const char *path, struct config *c)
{
    FILE *f = fopen(path, "re");
    size_t size;
    char *text = config_text, *line;

    if (!f)
        die("cannot open %s", path);
    size = fread(config_text, 1, sizeof(config_text) - 1, f);
    fclose(f);
    config_text[size] = '\0';
    while ((line = strsep(&text, "\n"))) {
        char *field[MAX_ARGS + 6];
        int n;

        if (!*line)
            continue;
        n = split(line, field, MAX_ARGS + 5);
        errno = 0;
        if (!strcmp(field[0], "hostname") && n == 2)
            c->hostname = field[1];
        else if (!strcmp(field[0], "netns") && n == 2)
            c->netns = field[1];
        else if (!strcmp(field[0], "control") && n == 2)
            c->control = field[1];
        else if (!strcmp(field[0], "env") && n == 2 && c->envs < MAX_ENV)
            c->env[c->envs++] = field[1];
        else if (!strcmp(field[0], "bind") && n == 3 && c->binds < MAX_BINDS) {
            c->bind_source[c->binds] = field[1];
            c->bind_target[c->binds++] = field[2];
        } else if (!strcmp(field[0], "service"))
            add_service(c, field, n);
        else
            die("%s: line \"%s\" is not understood", path, field[0]);
    }
    errno = 0;
    if (!c->hostname || !c->netns || !c->control)
        die("%s: hostname, netns or control is missing", path);
}

static void make_node(const char *path, mode_t mode, unsigned device_major, unsigned device_minor)
{
    if (mknod(path, S_IFCHR | mode, makedev(device_major, device_minor)) < 0 || chmod(path, mode) < 0)
        die("cannot make %s", path);
}

/* Copies a device that the machine may have or not; what is not there is not missed. */
static void copy_node(const char *old_path, const char *path, mode_t mode, const char *group_name)
{
    struct group *group = getgrnam(group_name);
    struct stat st;

    if (stat(old_path, &st) < 0 || !S_ISCHR(st.st_mode))
        return;
    make_node(path, mode, major(st.st_rdev), minor(st.st_rdev));
    if (group && chown(path, 0, group->gr_gid) < 0)
        die("cannot give %s to group %s", path, group_name);
}

/*
 * A /dev as udev makes it, whatever the machine's is like. In particular /dev/kvm belongs to
 * group kvm: where it does not, libvirt finds KVM as root, not as QEMU's user, and probes
 * QEMU anew at each call, for seconds.
 */
static void make_dev(void)
{
    static const char staging[] = "/sys"; /* the machine's is gone by now, the host's not there */

    if (mount("dev", staging, "tmpfs", MS_NOSUID, "mode=755") < 0)
        die("cannot mount the host's /dev");
    if (mkdir("/sys/net", 0755) < 0 || mkdir("/sys/pts", 0755) < 0 || mkdir("/sys/shm", 01777) < 0)
        die("cannot fill the host's /dev");
    chmod("/sys/shm", 01777);
    make_node("/sys/null", 0666, 1, 3);
    make_node("/sys/zero", 0666, 1, 5);
    make_node("/sys/full", 0666, 1, 7);
    make_node("/sys/random", 0666, 1, 8);
    make_node("/sys/urandom", 0666, 1, 9);
    make_node("/sys/tty", 0666, 5, 0);
    copy_node("/dev/net/tun", "/sys/net/tun", 0666, "root");
    copy_node("/dev/kvm", "/sys/kvm", 0660, "kvm");
    copy_node("/dev/vhost-net", "/sys/vhost-net", 0660, "kvm");
    copy_node("/dev/userfaultfd", "/sys/userfaultfd", 0600, "root");
    if (symlink("pts/ptmx", "/sys/ptmx") < 0 || symlink("/proc/self/fd", "/sys/fd") < 0 ||
        symlink("/proc/self/fd/0", "/sys/stdin") < 0 || symlink("/proc/self/fd/1", "/sys/stdout") < 0 ||
        symlink("/proc/self/fd/2", "/sys/stderr") < 0)
        die("cannot fill the host's /dev");
    if (mount("devpts", "/sys/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5") < 0)
        die("cannot mount the host's /dev/pts");
    if (umount2("/dev", MNT_DETACH) < 0 && errno != EINVAL) /* EINVAL: it is no mount */
        die("cannot take the machine's /dev away");
    if (mount(staging, "/dev", NULL, MS_MOVE, NULL) < 0)
        die("cannot put the host's /dev in place");
}

/* Mounts made outside still go away in here (slave), none made in here is seen outside. */
static void make_mounts(const struct config *c)
{
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        die("cannot make the host's mounts its own");
    for (int i = 0; i < c->binds; i++)
        if (mount(c->bind_source[i], c->bind_target[i], NULL, MS_BIND, NULL) < 0)
            die("cannot put %s over %s", c->bind_source[i], c->bind_target[i]);
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        die("cannot mount the host's /proc");
    /*
     * A new sysfs shows this network namespace. The machine's cgroups go away with the old
     * one: two hosts must not use one group for guests of the same name, and libvirt does
     * without any.
     */
    if (umount2("/sys", MNT_DETACH) < 0)
        die("cannot take the machine's /sys away");
    make_dev();
    if (mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        die("cannot mount the host's /sys");
}

static int make_control(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || strlen(path) >= sizeof(addr.sun_path))
        die("cannot make the control socket %s", path);
    strcpy(addr.sun_path, path);
    unlink(path);
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || chmod(path, 0600) < 0 || listen(fd, 16) < 0)
        die("cannot listen on the control socket %s", path);
    return fd;
}

static void start_service(const struct config *c, struct service *s)
{
    sigset_t none;
    pid_t pid = fork();
    int log, null;

    if (pid != 0) {
        s->start_at = now_ms() + s->restart_ms;
        if (pid < 0)
            perror("lab-init: cannot fork");
        else
            s->pid = pid;
        return;
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    log = open(s->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (log < 0 || null < 0)
        die("%s: cannot open its log %s", s->name, s->log);
    dup2(null, 0);
    dup2(log, 1);
    dup2(log, 2);
    clearenv();
    for (int i = 0; i < c->envs; i++)
        putenv(c->env[i]);
    execvp(s->argv[0], s->argv);
    die("%s: cannot start %s", s->name, s->argv[0]);
}

static void answer(int fd, const char *text)
{
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
        fprintf(stderr, "lab-init: cannot answer: %s\n", strerror(errno));
    close(fd);
}

static void service_ended(struct service *s)
{
    s->pid = 0;
    s->kill_at = 0;
    s->start_at = now_ms() + s->restart_ms;
    if (s->waiter >= 0) {
        if (s->wanted) /* "restart": at once */
            s->start_at = now_ms();
        answer(s->waiter, "ok\n");
        s->waiter = -1;
    }
}

static void reap(struct config *c)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (int i = 0; i < c->services; i++) {
            if (c->service[i].pid != pid)
                continue;
            fprintf(stderr, "lab-init: %s ended (%s %d)\n", c->service[i].name,
                    WIFSIGNALED(status) ? "signal" : "exit code",
                    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
            service_ended(&c->service[i]);
        }
    }
}

static void send_status(struct config *c, int fd)
{
    char text[1024] = "ok";
    size_t at = 2;

    for (int i = 0; i < c->services; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, " %.64s=%s:%d", c->service[i].name,
                               c->service[i].pid      ? "running"
                               : c->service[i].wanted ? "starting"
                                                      : "stopped",
                               (int)c->service[i].pid);
    snprintf(text + at, sizeof(text) - at, "\n");
    answer(fd, text);
}

static void stop_service(struct service *s, int fd, bool again)
{
    s->wanted = again;
    if (!s->pid) {
        s->start_at = now_ms();
        answer(fd, "ok\n");
        return;
    }
    if (s->waiter >= 0)
        answer(s->waiter, "error another order came in between\n");
    s->waiter = fd;
    s->kill_at = now_ms() + STOP_PATIENCE_MS;
    kill(s->pid, SIGTERM);
}

/* The lab's own commands are the only callers: a line comes whole and at once. */
static void take_order(struct config *c, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    struct timeval patience = {.tv_sec = 1};
    char line[128], verb[16] = "", name[65] = "";
    ssize_t n;

    if (fd < 0)
        return;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    n = recv(fd, line, sizeof(line) - 1, 0);
    line[n > 0 ? n : 0] = '\0';
    sscanf(line, "%15s %64s", verb, name);
    if (!strcmp(verb, "status")) {
        send_status(c, fd);
        return;
    }
    for (int i = 0; i < c->services; i++) {
        struct service *s = &c->service[i];

        if (strcmp(s->name, name))
            continue;
        if (!strcmp(verb, "start")) {
            s->wanted = true;
            s->start_at = now_ms();
            answer(fd, "ok\n");
            return;
        }
        if (!strcmp(verb, "stop") || !strcmp(verb, "restart")) {
            stop_service(s, fd, !strcmp(verb, "restart"));
            return;
        }
    }
    answer(fd, "error no such order or service\n");
}

/* Starts what is due, kills what does not stop; returns how long nothing will be due, in ms. */
static int run_due(struct config *c)
{
    int64_t now = now_ms(), next = INT64_MAX;

    for (int i = 0; i < c->services; i++) {
        struct service *s = &c->service[i];

        if (!s->pid && s->wanted && s->start_at <= now)
            start_service(c, s);
        if (s->pid && s->kill_at && s->kill_at <= now)
            kill(s->pid, SIGKILL);
        else if (s->pid && s->kill_at && s->kill_at < next)
            next = s->kill_at;
        if (!s->pid && s->wanted && s->start_at < next)
            next = s->start_at;
    }
    if (next == INT64_MAX)
        return -1;
    return next <= now ? 0 : (int)(next - now);
}

static void __attribute__((noreturn)) run_host(struct config *c)
{
    struct pollfd fds[2];
    sigset_t set;

    setsid();
    dup2(2, 1); /* whoever started us reads the pid from stdout until its end */
    if (sethostname(c->hostname, strlen(c->hostname)) < 0)
        die("cannot set the host's name");
    make_mounts(c);
    if (chdir("/") < 0)
        die("cannot go to /");
    umask(022);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    fds[0] = (struct pollfd){signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), POLLIN, 0};
    if (fds[0].fd < 0)
        die("cannot take signals");
    fds[1] = (struct pollfd){make_control(c->control), POLLIN, 0};
    if (write(ready_pipe[1], "", 1) != 1)
        die("nobody waits for the host");
    close(ready_pipe[1]);
    for (;;) {
        struct signalfd_siginfo info;

        if (poll(fds, 2, run_due(c)) < 0 && errno != EINTR)
            perror("lab-init: poll");
        while (read(fds[0].fd, &info, sizeof(info)) > 0)
            ;
        reap(c);
        if (fds[1].revents)
            take_order(c, fds[1].fd);
    }
}

int main(int argc, char **argv)
{
    static struct config c;
    int netns;
    pid_t pid;
    char byte;

    if (argc != 2 || argv[1][0] == '-') {
        fprintf(stderr, "usage: lab-init CONFIG\n"
                        "The first process of a lab host; `lab up` and `lab boot` start it.\n");
        return 2;
    }
    read_config(argv[1], &c);
    netns = open(c.netns, O_RDONLY | O_CLOEXEC);
    if (netns < 0 || setns(netns, CLONE_NEWNET) < 0)
        die("cannot enter the network namespace %s", c.netns);
    if (unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWIPC) < 0)
        die("cannot make namespaces (are you root?)");
    if (pipe2(ready_pipe, O_CLOEXEC) < 0)
        die("pipe");
    pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0) {
        close(ready_pipe[0]);
        run_host(&c);
    }
    close(ready_pipe[1]);
    if (read(ready_pipe[0], &byte, 1) != 1)
        return 1; /* the child has said why */
    printf("%d\n", (int)pid);
    fflush(stdout);
    _exit(0); /* after unshare() no thread can be made here, as the leak checker would at exit */
}
