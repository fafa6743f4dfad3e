/* SPDX-License-Identifier: Apache-2.0 */
/* Starting relays: what goes wrong and is said, who is kept out, what the process may not do. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sanitized.h"
#include "checks.h"
#include "relay/control/control.h"
#include "relay/control/spawn.h"

static struct pair *prepare(unsigned links)
{
    struct pair *pair = g_new0(struct pair, 1);
    struct drv_error err;

    check_ok(pair_prepare(pair, links, &err), err);
    return pair;
}

/* Nothing is left over but the directory (and what the test itself put there). */
static void assert_empty(const char *path)
{
    g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
    const char *name;

    g_assert_nonnull(directory);
    while ((name = g_dir_read_name(directory)))
        g_error("%s/%s was left over", path, name);
}

static void assert_fails(struct pair *pair, enum pair_end end, const char *why)
{
    struct drv_error err = {0};

    g_assert_cmpint(drv_relay_spawn(&pair->config[end], &err), <, 0);
    if (!strstr(err.message, why))
        g_error("\"%s\" does not say \"%s\"", err.message, why);
}

static void bad_settings_are_said(void)
{
    struct pair *pair = prepare(2);
    struct drv_relay_config good = pair->config[PAIR_SOURCE];
    struct drv_relay_config *config = &pair->config[PAIR_SOURCE];

    config->links = 17;
    assert_fails(pair, PAIR_SOURCE, "links");
    *config = good;
    config->user = "no-such-user-here";
    assert_fails(pair, PAIR_SOURCE, "no user \"no-such-user-here\"");
    *config = good;
    config->group = "no-such-group-here";
    assert_fails(pair, PAIR_SOURCE, "no group \"no-such-group-here\"");
    *config = good;
    config->user = "root";
    assert_fails(pair, PAIR_SOURCE, "root");
    *config = good;
    config->program = "/nowhere/drover-relay";
    assert_fails(pair, PAIR_SOURCE, "/nowhere/drover-relay");
    *config = good;
    config->program = "/bin/true";
    assert_fails(pair, PAIR_SOURCE, "without saying why");
    *config = good;
    config->peer_host = "not-an-address";
    assert_fails(pair, PAIR_SOURCE, "not-an-address");
    assert_empty(pair->directory[PAIR_SOURCE]);
    check_stop(pair);
}

static void directory_must_be_there_and_roots(void)
{
    struct pair *pair = prepare(1);
    struct drv_relay_config *config = &pair->config[PAIR_TARGET];
    g_autofree char *missing = g_strdup_printf("%s/missing", pair->directory[PAIR_TARGET]);
    int ends[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
    config->libvirt_fd = ends[0];
    config->directory = missing;
    assert_fails(pair, PAIR_TARGET, missing);
    config->directory = pair->directory[PAIR_TARGET];
    g_assert_cmpint(chown(config->directory, getpwnam("nobody")->pw_uid, (gid_t)-1), ==, 0);
    assert_fails(pair, PAIR_TARGET, "of root");
    config->libvirt_fd = -1;
    assert_fails(pair, PAIR_TARGET, "libvirtd");
    close(ends[0]);
    close(ends[1]);
    check_stop(pair);
}

static void peer_refuses(void)
{
    struct pair *pair = prepare(2);

    /* Nothing listens there any more. */
    close(pair->tcp);
    pair->tcp = -1;
    assert_fails(pair, PAIR_SOURCE, "refused");
    assert_fails(pair, PAIR_SOURCE, "127.0.0.1");
    assert_empty(pair->directory[PAIR_SOURCE]);
    check_stop(pair);
}

static void peer_is_silent(void)
{
    struct pair *pair = prepare(2);

    /* It is accepted by the kernel, and then nothing happens. */
    assert_fails(pair, PAIR_SOURCE, "no answer");
    assert_empty(pair->directory[PAIR_SOURCE]);
    check_stop(pair);
}

static void wrong_secret_is_refused(void)
{
    struct pair *pair = prepare(2);
    uint8_t *secret = pair->config[PAIR_SOURCE].secret;
    struct drv_error err;

    check_ok(pair_start_target(pair, &err), err);
    secret[31] ^= 1;
    assert_fails(pair, PAIR_SOURCE, "cannot reach the relay");
    g_assert_cmpint(check_status(pair, PAIR_TARGET).state, ==, DRV_RELAY_STARTING);
    g_assert_cmpuint(check_status(pair, PAIR_TARGET).links_up, ==, 0);
    /* Who knows it comes in as if nothing had been. */
    secret[31] ^= 1;
    check_ok(pair_start_source(pair, &err), err);
    (void)check_until(pair, PAIR_TARGET, check_is_up);
    check_stop(pair);
}

static void wrong_session_is_refused(void)
{
    struct pair *pair = prepare(1);
    struct drv_error err;
    char *session = pair->config[PAIR_SOURCE].session;

    check_ok(pair_start_target(pair, &err), err);
    session[0] = session[0] == '0' ? '1' : '0';
    assert_fails(pair, PAIR_SOURCE, "cannot reach the relay");
    g_assert_cmpint(check_status(pair, PAIR_TARGET).state, ==, DRV_RELAY_STARTING);
    check_stop(pair);
}

static int connect_tcp(const struct pair *pair)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(pair->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    return fd;
}

static void strangers_do_not_disturb(void)
{
    enum { STRANGERS = 20 };
    struct pair *pair = prepare(4);
    int fds[STRANGERS];
    static const char *const garbage[] = {
        "GET / HTTP/1.1\r\nHost: relay\r\n\r\n", /* no TLS at all */
        "\x16\x03\x01\x7f\xff and so on",        /* a record longer than any */
        "\x16\x03\x01\x00\x04\x01\x00\x00\x00",  /* an empty ClientHello */
    };
    struct drv_error err;
    int ram[PAIR_ENDS], late;
    char bytes[5];

    check_ok(pair_start_target(pair, &err), err);
    /* Some talk nonsense, some nothing at all, more than there are places. */
    for (size_t i = 0; i < STRANGERS; i++) {
        fds[i] = connect_tcp(pair);
        if (i % 2)
            continue;
        check_write(fds[i], garbage[i / 2 % 3], i / 2 % 3 == 2 ? 9 : strlen(garbage[i / 2 % 3]));
        pair_release(pair);
        check_gone(fds[i]);
    }
    check_ok(pair_start_source(pair, &err), err);
    (void)check_until(pair, PAIR_TARGET, check_is_up);
    /* When the session is complete, those that wait are sent away, and so is who comes late. */
    late = connect_tcp(pair);
    pair_release(pair);
    for (size_t i = 1; i < STRANGERS; i += 2)
        check_gone(fds[i]);
    check_gone(late);
    check_ok(pair_stream(pair, DRV_CHANNEL_RAM, ram, &err), err);
    check_write(ram[PAIR_SOURCE], "alive", 5);
    check_read(ram[PAIR_TARGET], bytes, 5);
    g_assert_cmpmem(bytes, 5, "alive", 5);
    for (size_t i = 0; i < STRANGERS; i++)
        close(fds[i]);
    close(late);
    close(ram[0]);
    close(ram[1]);
    check_stop(pair);
}

static char *process_file(pid_t pid, const char *name)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/%s", (int)pid, name);
    char *text = NULL;
    gsize size;

    g_assert_true(g_file_get_contents(path, &text, &size, NULL));
    for (gsize i = 0; i + 1 < size; i++)
        if (!text[i])
            text[i] = ' ';
    return text;
}

static void process_has_nothing(void)
{
    struct pair *pair = check_start(2);
    uid_t nobody = getpwnam("nobody")->pw_uid;

    for (size_t end = 0; end < PAIR_ENDS; end++) {
        pid_t pid = pair_pid(pair, end);
        g_autofree char *status = process_file(pid, "status");
        g_autofree char *environment = process_file(pid, "environ");
        g_autofree char *arguments = process_file(pid, "cmdline");
        g_autofree char *limits = process_file(pid, "limits");
        g_autofree char *score = process_file(pid, "oom_score_adj");
        g_autofree char *uids = g_strdup_printf("Uid:\t%u\t%u\t%u\t%u\n", nobody, nobody, nobody, nobody);
        g_autofree char *parent = g_strdup_printf("PPid:\t%d\n", (int)getpid());
        g_autofree char *root = g_strdup_printf("/proc/%d/root", (int)pid);
        g_autofree char *root_path = g_file_read_link(root, NULL);

        g_assert_nonnull(strstr(status, uids));
        g_assert_nonnull(strstr(status, "CapEff:\t0000000000000000\n"));
        g_assert_nonnull(strstr(status, "CapPrm:\t0000000000000000\n"));
        g_assert_nonnull(strstr(status, "NoNewPrivs:\t1\n"));
        if (!DRV_SANITIZED)
            g_assert_nonnull(strstr(status, "Seccomp:\t2\n"));
        g_assert_cmpstr(root_path, ==, pair->directory[end]);
        g_assert_cmpstr(arguments, ==, "drover-relay");
        g_assert_null(strstr(environment, "DRV_"));
        /* It has a session's keys, and goes before a guest when memory runs out. */
        g_assert_true(g_regex_match_simple("\nMax core file size +0 +0 ", limits, 0, 0));
        g_assert_cmpstr(g_strstrip(score), ==, DRV_RELAY_OOM_SCORE);
        /* It is nobody's child but init's, or a reaper's. */
        g_assert_null(strstr(status, parent));
    }
    check_stop(pair);
}

/* A relay that may not make a network namespace does not run with the host's. */
/* With all its threads it is one session, which on a busy host would have no more than one process of others. */
static void has_its_share(void)
{
    struct pair *pair = check_start(2);

    for (enum pair_end end = 0; end < PAIR_ENDS; end++) {
        g_autofree char *path = g_strdup_printf("/proc/%d/autogroup", pair_pid(pair, end));
        g_autofree char *text = NULL;

        /* A kernel without it shares processors out otherwise. */
        if (g_file_get_contents(path, &text, NULL, NULL) && *text)
            g_assert_nonnull(strstr(text, "nice -5"));
    }
    check_stop(pair);
}

static void no_network_namespace(void)
{
    struct pair *pair = prepare(1);
    int ends[2], how;
    pid_t child;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
    pair->config[PAIR_TARGET].libvirt_fd = ends[0];
    child = fork();
    if (child == 0) {
        /* What is not in this set root does not get by execve() either. */
        if (prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0))
            _exit(2);
        assert_fails(pair, PAIR_TARGET, "no network namespace of its own");
        _exit(0);
    }
    g_assert_cmpint(waitpid(child, &how, 0), ==, child);
    g_assert_cmpint(how, ==, 0);
    close(ends[0]);
    close(ends[1]);
    check_stop(pair);
}

static void nothing_is_left_over(void)
{
    struct pair *pair = check_start(2);
    char path[128];
    struct drv_error err;

    for (size_t end = 0; end < PAIR_ENDS; end++) {
        check_ok(drv_relay_end(pair->relay[end], &err), err);
        drv_relay_close(pair->relay[end]);
        pair->relay[end] = NULL;
    }
    assert_empty(pair->directory[PAIR_SOURCE]);
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", pair->directory[PAIR_TARGET], i ? DRV_SOCKET_RAM : DRV_SOCKET_DISK);
        g_assert_cmpint(unlink(path), ==, 0);
    }
    assert_empty(pair->directory[PAIR_TARGET]);
    g_assert_cmpint(drv_relay_open(pair->directory[PAIR_SOURCE], &pair->relay[0], &err), <, 0);
    check_stop(pair);
}

static void only_root_may_ask(void)
{
    struct pair *pair = check_start(1);
    pid_t child = fork();
    int how;

    if (child == 0) {
        drv_relay *relay;

        if (setresuid(65534, 65534, 65534))
            _exit(2);
        _exit(drv_relay_open(pair->directory[PAIR_SOURCE], &relay, NULL) < 0 ? 0 : 1);
    }
    g_assert_cmpint(waitpid(child, &how, 0), ==, child);
    g_assert_cmpint(how, ==, 0);
    check_stop(pair);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN); /* as the programs do */
    check_add("/start/bad-settings", bad_settings_are_said);
    check_add("/start/directory", directory_must_be_there_and_roots);
    check_add("/start/peer-refuses", peer_refuses);
    check_add("/start/peer-silent", peer_is_silent);
    check_add("/start/wrong-secret", wrong_secret_is_refused);
    check_add("/start/wrong-session", wrong_session_is_refused);
    check_add("/start/strangers", strangers_do_not_disturb);
    check_add("/process/has-nothing", process_has_nothing);
    check_add("/process/has-its-share", has_its_share);
    check_add("/process/no-network-namespace", no_network_namespace);
    check_add("/process/leaves-nothing", nothing_is_left_over);
    check_add("/process/only-root-asks", only_root_may_ask);
    return g_test_run();
}
