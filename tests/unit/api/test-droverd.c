/* SPDX-License-Identifier: Apache-2.0 */
/* The program droverd: its exit codes, a second one, a killed one, and how it ends. */
#include <errno.h>
#include <gio/gio.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cluster/client.h"
#include "cluster/join.h"
#include "free-port.h"

typedef struct {
    char *root;
    char *etc;
    char *state;
    char *run;
} place;

static place place_new(void)
{
    place made = {.root = g_dir_make_tmp("drover-droverd-XXXXXX", NULL)};

    made.etc = g_build_filename(made.root, "etc", NULL);
    made.state = g_build_filename(made.root, "state", NULL);
    made.run = g_build_filename(made.root, "run", NULL);
    return made;
}

static void place_clear(place *all)
{
    g_autofree char *command = g_strdup_printf("rm -r %s", all->root);

    g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL));
    g_free(all->root);
    g_free(all->etc);
    g_free(all->state);
    g_free(all->run);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(place, place_clear)

static void found(const place *at, guint16 port)
{
    drv_init_options options = {
        .etc_dir = at->etc, .state_dir = at->state, .node = "h1", .address = "127.0.0.1", .port = port};
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_identity) identity = drv_init(&options, &error);

    g_assert_no_error(error);
    g_assert_nonnull(identity);
}

static GSubprocess *start(const place *at, const char *more)
{
    g_autoptr(GError) error = NULL;
    GSubprocess *process = g_subprocess_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE, &error,
                                            DROVERD, "--etc-dir", at->etc, "--state-dir", at->state, "--run-dir",
                                            at->run, "--connect", "test:///default", more, NULL);

    g_assert_no_error(error);
    return process;
}

/* Ended by itself; what it said on both outputs. */
static char *end_of(GSubprocess *process, int code)
{
    char *out = NULL;
    g_autofree char *err = NULL;
    char *all;

    g_assert_true(g_subprocess_communicate_utf8(process, NULL, NULL, &out, &err, NULL));
    all = g_strconcat(out, err, NULL);
    g_free(out);
    if (!g_subprocess_get_if_exited(process) || g_subprocess_get_exit_status(process) != code)
        g_error("exit code %d was expected: %s", code, all);
    return all;
}

/* Reads its log until it says that it is up. */
static GSubprocess *start_up(const place *at)
{
    GSubprocess *process = start(at, NULL);
    g_autoptr(GDataInputStream) log = g_data_input_stream_new(g_subprocess_get_stderr_pipe(process));
    g_autofree char *line = NULL;

    g_filter_input_stream_set_close_base_stream(G_FILTER_INPUT_STREAM(log), FALSE);
    do {
        g_free(line);
        line = g_data_input_stream_read_line_utf8(log, NULL, NULL, NULL);
        if (!line)
            g_error("droverd did not come up");
    } while (!strstr(line, "droverd is up"));
    return process;
}

static void expect_served(const place *at)
{
    drv_client_options options = {.etc_dir = at->etc};
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_client) client = drv_client_new(&options, &error);
    json_object *answer;

    g_assert_no_error(error);
    answer = drv_client_call(client, "GET", "/v1/version", NULL, 0, &error);
    g_assert_no_error(error);
    json_object_put(answer);
}

static void test_simple_ends(void)
{
    g_auto(place) at = place_new();
    g_autoptr(GSubprocess) help = start(&at, "--help");
    g_autoptr(GSubprocess) version = start(&at, "--version");
    g_autoptr(GSubprocess) wrong = start(&at, "--no-such-option");
    g_autoptr(GSubprocess) argument = start(&at, "argument");
    g_autoptr(GSubprocess) nobody = start(&at, NULL);
    g_autofree char *helped = end_of(help, 0);
    g_autofree char *told = end_of(version, 0);
    g_autofree char *refused = end_of(wrong, 2);
    g_autofree char *unwanted = end_of(argument, 2);
    g_autofree char *homeless = end_of(nobody, 3);

    g_assert_nonnull(strstr(helped, "--run-dir"));
    g_assert_true(g_str_has_prefix(told, "droverd "));
    g_assert_nonnull(strstr(refused, "--no-such-option"));
    g_assert_nonnull(strstr(unwanted, "takes no arguments"));
    g_assert_nonnull(strstr(homeless, "drover init"));
}

static void test_second(void)
{
    g_auto(place) at = place_new();
    g_auto(place) other = place_new();
    guint16 port = test_free_port();
    g_autoptr(GSubprocess) first = NULL;
    g_autoptr(GSubprocess) same = NULL;
    g_autoptr(GSubprocess) same_port = NULL;
    g_autofree char *same_said = NULL;
    g_autofree char *port_said = NULL;
    g_autofree char *rest = NULL;
    g_autofree char *running = NULL;
    g_autofree char *owner = NULL;

    found(&at, port);
    found(&other, port);
    first = start_up(&at);
    same = start(&at, NULL);
    same_said = end_of(same, 4);
    running = g_strdup_printf("already running (pid %s)", g_subprocess_get_identifier(first));
    g_assert_nonnull(strstr(same_said, running));
    same_port = start(&other, NULL);
    port_said = end_of(same_port, 4);
    owner = g_strdup_printf("port %u: droverd (pid %s) has it", port, g_subprocess_get_identifier(first));
    g_assert_nonnull(strstr(port_said, owner));
    expect_served(&at); /* neither has disturbed it */
    g_subprocess_send_signal(first, SIGTERM);
    rest = end_of(first, 0);
}

static void test_killed(void)
{
    g_auto(place) at = place_new();
    g_autofree char *rest = NULL;
    g_autoptr(GSubprocess) last = NULL;

    found(&at, test_free_port());
    for (int i = 0; i < 3; i++) {
        g_autoptr(GSubprocess) one = start_up(&at);

        expect_served(&at);
        g_subprocess_force_exit(one);
        g_assert_true(g_subprocess_wait(one, NULL, NULL));
    }
    last = start_up(&at);
    expect_served(&at);
    g_subprocess_send_signal(last, SIGINT);
    rest = end_of(last, 0);
}

/* The service manager is told when this host is ready to migrate. */
static void test_ready(void)
{
    g_auto(place) at = place_new();
    g_autofree char *path = g_build_filename(at.root, "notify", NULL);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    g_autoptr(GSubprocess) one = NULL;
    g_autofree char *rest = NULL;
    char state[512] = "";
    gboolean looking = FALSE;

    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    found(&at, test_free_port());
    g_setenv("NOTIFY_SOCKET", path, TRUE);
    one = start_up(&at);
    g_unsetenv("NOTIFY_SOCKET");
    while (!strstr(state, "READY=1")) {
        ssize_t got = recv(fd, state, sizeof state - 1, 0);

        g_assert_cmpint(got, >, 0);
        state[got] = '\0';
        looking |= strstr(state, "STATUS=libvirt looks") != NULL;
    }
    g_assert_true(looking);
    close(fd);
    g_subprocess_send_signal(one, SIGTERM);
    rest = end_of(one, 0);
}

/* What it tells the service manager; of which it is the process that is watched. */
static void test_watchdog(void)
{
    g_auto(place) at = place_new();
    g_autofree char *path = g_build_filename(at.root, "notify", NULL);
    g_autofree char *limits_path = NULL, *limits = NULL, *rest = NULL, *unit = NULL;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    g_autoptr(GSubprocess) one = NULL;
    guint alive = 0;

    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    found(&at, test_free_port());
    g_setenv("NOTIFY_SOCKET", path, TRUE);
    g_setenv("WATCHDOG_USEC", "100000", TRUE);
    one = start_up(&at);
    g_unsetenv("NOTIFY_SOCKET");
    g_unsetenv("WATCHDOG_USEC");
    while (alive < 3) {
        char text[512] = {0};

        g_assert_cmpint(recv(fd, text, sizeof text - 1, 0), >, 0);
        alive += g_str_equal(text, "WATCHDOG=1");
    }
    limits_path = g_strdup_printf("/proc/%s/limits", g_subprocess_get_identifier(one));
    g_assert_true(g_file_get_contents(limits_path, &limits, NULL, NULL));
    g_assert_true(g_regex_match_simple("\nMax core file size +0 +0 ", limits, 0, 0));
    g_subprocess_send_signal(one, SIGTERM);
    rest = end_of(one, 0);
    close(fd);
    /* And it is asked for that. */
    g_assert_true(g_file_get_contents(DROVERD_UNIT, &unit, NULL, NULL));
    g_assert_nonnull(strstr(unit, "\nWatchdogSec="));
    g_assert_nonnull(strstr(unit, "\nWatchdogSignal=SIGKILL\n"));
    g_assert_nonnull(strstr(unit, "\nOOMScoreAdjust=-900\n"));
}

/* A store that takes a person: an exit code with which systemd does not try again, and what to do. */
static void test_no_store(void)
{
    g_auto(place) at = place_new();
    g_autofree char *store = g_build_filename(at.state, "drover.db", NULL);
    g_autofree char *log = g_strconcat(store, "-wal", NULL);
    g_autofree char *noise = g_strnfill(8192, 'n');
    g_autofree char *unit = NULL;
    g_autoptr(GSubprocess) one = NULL;
    g_autoptr(GSubprocess) damaged = NULL;
    g_autoptr(GSubprocess) foreign = NULL;
    g_autofree char *lost = NULL;
    g_autofree char *said = NULL;

    found(&at, test_free_port());
    one = start_up(&at);
    g_subprocess_force_exit(one);
    g_assert_true(g_subprocess_wait(one, NULL, NULL));
    /* Its last changes were in the log alone. */
    g_assert_true(g_file_set_contents(log, noise, 8192, NULL));
    damaged = start(&at, NULL);
    lost = end_of(damaged, 5);
    g_assert_nonnull(strstr(lost, "lost its last changes"));
    g_assert_nonnull(strstr(lost, "drover restore"));
    g_assert_true(g_file_set_contents(store, noise, 8192, NULL));
    foreign = start(&at, NULL);
    said = end_of(foreign, 5);
    g_assert_nonnull(strstr(said, "damaged"));
    g_assert_true(g_file_get_contents(DROVERD_UNIT, &unit, NULL, NULL));
    g_assert_nonnull(strstr(unit, "\nRestartPreventExitStatus=2 3 4 5\n"));
}

static void test_no_identity(void)
{
    g_auto(place) at = place_new();
    g_autofree char *node = g_build_filename(at.etc, "node.json", NULL);
    g_autoptr(GSubprocess) one = NULL;
    g_autofree char *said = NULL;

    found(&at, test_free_port());
    g_assert_true(g_file_set_contents(node, "{", 1, NULL));
    one = start(&at, NULL);
    said = end_of(one, 3);
    g_assert_nonnull(strstr(said, node));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN); /* as the programs do */
    g_test_add_func("/droverd/simple-ends", test_simple_ends);
    g_test_add_func("/droverd/second", test_second);
    g_test_add_func("/droverd/killed", test_killed);
    g_test_add_func("/droverd/ready", test_ready);
    g_test_add_func("/droverd/watchdog", test_watchdog);
    g_test_add_func("/droverd/no-store", test_no_store);
    g_test_add_func("/droverd/no-identity", test_no_identity);
    return g_test_run();
}
