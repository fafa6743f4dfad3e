/* SPDX-License-Identifier: Apache-2.0 */
/*
 * droverd: puts the rooms together, and waits for a signal.
 *
 * The main thread only starts, waits and ends; everything that can block (libvirt, the
 * store, peers) happens in threads of the API and of the executor. Ending leaves
 * running moves alone: they belong to libvirtd and to the relays, and the next droverd
 * takes them up.
 */
#include <glib-unix.h>
#include <glib.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api/api.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/secrets.h"
#include "cluster/authority.h"
#include "daemon/notify.h"
#include "daemon/pid-lock.h"
#include "drv-config.h"
#include "hyper/connection.h"
#include "hyper/hyper.h"
#include "serve/serve.h"
#include "store/store.h"

/* Also in droverd(8). */
enum {
    EXIT_GOOD = 0,        /* told to end */
    EXIT_BAD = 1,         /* something failed */
    EXIT_USAGE = 2,       /* the command line */
    EXIT_NO_IDENTITY = 3, /* not a node (drover init, drover join), or its identity cannot be read */
    EXIT_TAKEN = 4,       /* another droverd runs, or another program has the port */
    EXIT_NO_STORE = 5,    /* the store cannot be opened: it takes a person */
};

#define END_AT_MOST_S 10
/* Whoever has started the service waits for libvirt's first look (facts/first-look.h), but not for ever. */
#define LOOK_AT_MOST_S 60

typedef struct {
    char *etc_dir;
    char *state_dir;
    char *run_dir;
    char *libvirt_uri;
    char *content_size;
    guint64 content_bytes; /* of content_size; 0: not given */
    int content_days;
    int relay_mib;
    gboolean debug;
    gboolean version;
} settings;

static void settings_clear(settings *wish)
{
    g_free(wish->etc_dir);
    g_free(wish->state_dir);
    g_free(wish->run_dir);
    g_free(wish->libvirt_uri);
    g_free(wish->content_size);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(settings, settings_clear)

typedef struct {
    drv_identity *identity;
    drv_store *store;
    drv_cluster *cluster;
    drv_hyper *hyper;
    drv_context *run;
    drv_api *api;
} parts;

/* "500M", "4G", or bytes. */
static gboolean parse_content(settings *wish, GError **error)
{
    g_autofree char *number = g_strdup(wish->content_size ? wish->content_size : "");
    gsize length = strlen(number);
    guint shift = 0;

    if (wish->content_days < 0 || wish->content_days > 3650) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "--content-days is a number from 1 to 3650");
        return FALSE;
    }
    if (wish->relay_mib < 0) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "--relay-memory is a number of MiB");
        return FALSE;
    }
    if (!wish->content_size)
        return TRUE;
    if (length && (number[length - 1] == 'G' || number[length - 1] == 'M')) {
        shift = number[length - 1] == 'G' ? 30 : 20;
        number[length - 1] = '\0';
    }
    if (g_ascii_string_to_unsigned(number, 10, 1, (guint64)G_MAXINT64 >> shift, &wish->content_bytes, NULL)) {
        wish->content_bytes <<= shift;
        return TRUE;
    }
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                "--content-size is a size such as 500M or 4G, not \"%s\"; 'drover content off' keeps "
                "nothing",
                wish->content_size);
    return FALSE;
}

static gboolean parse(settings *wish, int argc, char **argv, GError **error)
{
    const GOptionEntry entries[] = {
        {"etc-dir", 0, 0, G_OPTION_ARG_FILENAME, &wish->etc_dir, "where the identity is (default " DRV_ETC_DIR ")",
         "DIR"},
        {"state-dir", 0, 0, G_OPTION_ARG_FILENAME, &wish->state_dir, "where the store is (default " DRV_STATE_DIR ")",
         "DIR"},
        {"run-dir", 0, 0, G_OPTION_ARG_FILENAME, &wish->run_dir,
         "where sessions and the pid file are (default " DRV_RUN_DIR ")", "DIR"},
        {"connect", 'c', 0, G_OPTION_ARG_STRING, &wish->libvirt_uri, "the local libvirtd (default qemu:///system)",
         "URI"},
        {"content-size", 0, 0, G_OPTION_ARG_STRING, &wish->content_size,
         "keep at most so much known content (default: 1/16 of the free room, 8G at most)", "N[M|G]"},
        {"content-days", 0, 0, G_OPTION_ARG_INT, &wish->content_days,
         "forget known content that was not used for so long (default: 7)", "N"},
        {"relay-memory", 0, 0, G_OPTION_ARG_INT, &wish->relay_mib,
         "memory that the relays of all migrations together may take, in MiB (default: 1/8 of the host's)", "MIB"},
        {"debug", 0, 0, G_OPTION_ARG_NONE, &wish->debug, "log more", NULL},
        {"version", 'V', 0, G_OPTION_ARG_NONE, &wish->version, "print the version and end", NULL},
        {0},
    };
    g_autoptr(GOptionContext) context = g_option_context_new("- Drover's control plane on a host");

    g_option_context_set_summary(context, "Serves the REST API of this node on the port of its identity "
                                          "(7443), and carries out moves.\nRuns as root, in the foreground.");
    g_option_context_set_description(context,
                                     "Exit codes: 0 told to end, 1 something failed, 2 wrong command line, 3 this host "
                                     "is no node yet\n(drover init, drover join), 4 another droverd or program has the "
                                     "port.\nEnvironment: DROVER_RELAY, the path of drover-relay.\nSee droverd(8).\n");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, error))
        return FALSE;
    if (argc > 1) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_UNKNOWN_OPTION,
                    "droverd takes no arguments (\"%s\"); see droverd --help", argv[1]);
        return FALSE;
    }
    return parse_content(wish, error);
}

/* Every connection has two descriptors, a duplicate being what ends it. */
static void raise_limits(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = MIN(limit.rlim_max, 65536);
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* @otherwise: what it is if nobody else has what this one needs. */
static int exit_code(const GError *error, int otherwise)
{
    return g_error_matches(error, DRV_ERROR, DRV_ERROR_CONFLICT) ? EXIT_TAKEN : otherwise;
}

/* Also where people look first: systemctl status. */
static void say_failure(const GError *error)
{
    g_autofree char *status = g_strdup_printf("STATUS=%s", error->message);

    drv_log_error("%s", error->message);
    drv_daemon_notify(status);
}

/* And what it must have: the membership. */
static gboolean open_store(parts *all, const settings *wish, GError **error)
{
    g_autofree char *path = g_build_filename(wish->state_dir, "drover.db", NULL);

    if (!drv_identity_make_directory(wish->state_dir, error))
        return FALSE;
    all->store = drv_store_open(path, error);
    if (all->store)
        all->cluster = drv_cluster_new(all->identity, all->store, error);
    return all->cluster != NULL;
}

static gboolean say_ready(gpointer data)
{
    drv_daemon_notify("READY=1\nSTATUS=");
    return G_SOURCE_REMOVE;
}

/* From a thread of the executor. */
static void on_looked(gpointer data)
{
    g_idle_add(say_ready, NULL);
}

static gboolean open_run(parts *all, const settings *wish, GError **error)
{
    g_autofree char *sessions = g_build_filename(wish->run_dir, "sessions", NULL);
    g_autofree char *content = g_build_filename(wish->state_dir, "content", NULL);
    g_autofree char *resumed = g_build_filename(wish->state_dir, "resumed", NULL);
    drv_serve_config config = {.node = all->identity->node,
                               .hyper = all->hyper,
                               .store = all->store,
                               .shared = drv_cluster_store(all->cluster),
                               .peers = drv_cluster_peers(all->cluster),
                               .relay_program = g_getenv("DROVER_RELAY") ?: DRV_RELAY_PROGRAM,
                               .relay_memory_bytes = (guint64)wish->relay_mib << 20,
                               .stand_in_program = g_getenv("DROVER_STAND_IN") ?: DRV_STAND_IN_PROGRAM,
                               .resumed_dir = resumed,
                               .sessions_dir = sessions,
                               .content_dir = content,
                               .content_most_bytes = wish->content_bytes,
                               .content_age_s = (guint64)wish->content_days * 24 * 3600,
                               .looked = on_looked};

    all->run = drv_serve_new(&config, error);
    return all->run != NULL;
}

/* The port comes before anything that changes something: a second droverd must do nothing. */
static gboolean build(parts *all, const settings *wish, GError **error)
{
    drv_api_config api = {0};

    api.cluster = all->cluster;
    api.port = all->identity->port;
    if (!(all->api = drv_api_new(&api, error)) || !drv_authority_start(all->cluster, error))
        return FALSE;
    all->hyper = drv_hyper_new(wish->libvirt_uri);
    if (!open_run(all, wish, error))
        return FALSE;
    drv_api_set_run(all->api, all->run);
    /* What goes on already is known before anybody may ask for more. */
    drv_serve_start(all->run);
    if (!drv_api_start(all->api, error))
        return FALSE;
    drv_cluster_start(all->cluster);
    return TRUE;
}

/* From the outside to the inside: nobody asks for what is gone. */
static void take_apart(parts *all)
{
    drv_api_free(all->api);
    if (all->run)
        drv_serve_free(all->run);
    if (all->hyper)
        drv_hyper_free(all->hyper);
    drv_cluster_free(all->cluster);
    if (all->store)
        drv_store_close(all->store);
    drv_identity_free(all->identity);
}

static gboolean on_end(gpointer data)
{
    g_main_loop_quit(data);
    return G_SOURCE_REMOVE;
}

/* droverd may be killed at any instant, so what takes too long is simply left. */
static void on_too_long(int number)
{
    _exit(EXIT_GOOD);
}

/* Whoever holds the executor's lock for ever, the service manager then hears nothing, and starts a new one. */
static gboolean tell_alive(gpointer data)
{
    drv_node_touch(data);
    drv_daemon_notify("WATCHDOG=1");
    return G_SOURCE_CONTINUE;
}

static void wait_for_end(drv_context *run)
{
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    guint every_ms = drv_daemon_watchdog_ms();

    g_unix_signal_add(SIGTERM, on_end, loop);
    g_unix_signal_add(SIGINT, on_end, loop);
    drv_daemon_notify("STATUS=libvirt looks at what this host can run");
    g_timeout_add_seconds(LOOK_AT_MOST_S, say_ready, NULL);
    if (every_ms)
        g_timeout_add(every_ms, tell_alive, run);
    g_main_loop_run(loop);
    drv_daemon_notify("STOPPING=1");
    signal(SIGALRM, on_too_long);
    alarm(END_AT_MOST_S);
}

static int serve(settings *wish)
{
    g_autoptr(GError) error = NULL;
    parts all = {.identity = drv_identity_load(wish->etc_dir, &error)};
    int code = EXIT_GOOD;

    if (!all.identity) {
        say_failure(error);
        return EXIT_NO_IDENTITY;
    }
    if (drv_daemon_lock(wish->run_dir, &error) < 0) {
        code = exit_code(error, EXIT_BAD);
    } else if (!open_store(&all, wish, &error)) {
        code = exit_code(error, EXIT_NO_STORE);
    } else if (!build(&all, wish, &error)) {
        code = exit_code(error, EXIT_BAD);
    } else {
        drv_log_notice("droverd is up node=%s cluster=%s port=%u version=%s", all.identity->node, all.identity->cluster,
                       drv_api_port(all.api), DRV_VERSION);
        wait_for_end(all.run);
        drv_log_notice("droverd ends; running moves go on");
    }
    if (error)
        say_failure(error);
    take_apart(&all);
    return code;
}

int main(int argc, char **argv)
{
    g_auto(settings) wish = {0};
    g_autoptr(GError) error = NULL;

    drv_no_dumps(); /* the node's key, the authority's, operators' tokens */
    setlocale(LC_ALL, "");
    if (!parse(&wish, argc, argv, &error)) {
        fprintf(stderr, "droverd: %s\n", error->message);
        return EXIT_USAGE;
    }
    if (wish.version) {
        printf("droverd %s\n", DRV_VERSION);
        return EXIT_GOOD;
    }
    wish.etc_dir = wish.etc_dir ?: g_strdup(DRV_ETC_DIR);
    wish.state_dir = wish.state_dir ?: g_strdup(DRV_STATE_DIR);
    wish.run_dir = wish.run_dir ?: g_strdup(DRV_RUN_DIR);
    wish.libvirt_uri = wish.libvirt_uri ?: g_strdup("qemu:///system");
    drv_log_init("droverd", wish.debug ? DRV_LOG_DEBUG : DRV_LOG_NOTICE);
    signal(SIGPIPE, SIG_IGN);
    raise_limits();
    return serve(&wish);
}
