/* SPDX-License-Identifier: Apache-2.0 */
/* For these tests: real etcd servers on this host, in a directory that vanishes with them. */
#pragma once

#include <arpa/inet.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hyper/gerror.h"
#include "store/store.h"

#define MEMBERS_MOST 3

typedef struct {
    guint members;
    char *directory;
    char *url; /* "etcd://127.0.0.1:…,…", without a prefix */
    guint16 client[MEMBERS_MOST];
    guint16 peer[MEMBERS_MOST];
    pid_t pid[MEMBERS_MOST]; /* 0: not running */
    const char *more[8];     /* further options of all */
    gboolean tls;
} etcd_server;

/* Two programs could be given the same one in between; etcd then says so and the test fails. */
static inline guint16 etcd_free_port(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof any;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(bind(fd, (struct sockaddr *)&any, size), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&any, &size), ==, 0);
    close(fd);
    return ntohs(any.sin_port);
}

static inline void etcd_child(gpointer data)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that aborts leaves nothing behind */
}

/* Start member @i, anew if it has run before. */
static inline void etcd_start_member(etcd_server *etcd, guint i)
{
    const char *scheme = etcd->tls ? "https" : "http";
    g_autofree char *name = g_strdup_printf("m%u", i);
    g_autofree char *data = g_build_filename(etcd->directory, name, NULL);
    g_autofree char *log = g_strdup_printf("%s.log", data);
    g_autofree char *client = g_strdup_printf("%s://127.0.0.1:%u", scheme, etcd->client[i]);
    g_autofree char *peer = g_strdup_printf("http://127.0.0.1:%u", etcd->peer[i]);
    g_autoptr(GString) all = g_string_new(NULL);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    /* clang-format off */
    const char *const plain[] = {"etcd", "--name", name, "--data-dir", data,
                                 "--listen-client-urls", client, "--advertise-client-urls", client,
                                 "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                                 "--heartbeat-interval", "50",
                                 "--election-timeout", "500", "--logger", "zap", "--log-outputs",
                                 log, "--initial-cluster"};
    /* clang-format on */

    for (guint m = 0; m < etcd->members; m++)
        g_string_append_printf(all, "%sm%u=http://127.0.0.1:%u", m ? "," : "", m, etcd->peer[m]);
    for (gsize a = 0; a < G_N_ELEMENTS(plain); a++)
        g_ptr_array_add(argv, (gpointer)plain[a]);
    g_ptr_array_add(argv, all->str);
    for (gsize a = 0; a < G_N_ELEMENTS(etcd->more) && etcd->more[a]; a++)
        g_ptr_array_add(argv, (gpointer)etcd->more[a]);
    g_ptr_array_add(argv, NULL);
    g_spawn_async(NULL, (char **)argv->pdata, NULL,
                  G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL |
                      G_SPAWN_STDERR_TO_DEV_NULL,
                  etcd_child, NULL, &etcd->pid[i], &error);
    g_assert_no_error(error);
}

static inline void etcd_kill_member(etcd_server *etcd, guint i)
{
    if (!etcd->pid[i])
        return;
    kill(etcd->pid[i], SIGKILL);
    waitpid(etcd->pid[i], NULL, 0);
    etcd->pid[i] = 0;
}

/* Where a test's own documents are. Transfer full. */
static inline char *etcd_place(const etcd_server *etcd, const char *prefix)
{
    return g_strdup_printf("%s/%s", etcd->url, prefix);
}

/* Until @store answers, as it must some time after enough members have been started. */
static inline void etcd_wait_for(drv_store *store)
{
    gint64 until = g_get_monotonic_time() + 40 * G_USEC_PER_SEC;
    g_autoptr(GPtrArray) found = NULL;

    while (!found) {
        g_autoptr(GError) error = NULL;

        found = drv_store_list(store, "nothing", 0, &error);
        if (!found && g_get_monotonic_time() > until)
            g_error("etcd does not begin to answer: %s", error->message);
        if (!found)
            g_usleep(20000);
    }
}

/* FALSE: there is no etcd here, and the tests are to be skipped. */
static inline gboolean etcd_start(etcd_server *etcd, guint members)
{
    g_autofree char *program = g_find_program_in_path("etcd");
    g_autoptr(GString) url = g_string_new(etcd->tls ? "etcds://" : "etcd://");

    if (!program)
        return FALSE;
    etcd->members = members;
    etcd->directory = g_dir_make_tmp("drv-etcd-XXXXXX", NULL);
    for (guint i = 0; i < members; i++) {
        etcd->client[i] = etcd_free_port();
        etcd->peer[i] = etcd_free_port();
        g_string_append_printf(url, "%s127.0.0.1:%u", i ? "," : "", etcd->client[i]);
    }
    for (guint i = 0; i < members; i++)
        etcd_start_member(etcd, i);
    etcd->url = g_string_free(g_steal_pointer(&url), FALSE);
    return TRUE;
}

static inline void etcd_remove(const char *path)
{
    g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
    const char *name;

    while (directory && (name = g_dir_read_name(directory))) {
        g_autofree char *inner = g_build_filename(path, name, NULL);

        etcd_remove(inner);
    }
    g_remove(path);
}

static inline void etcd_end(etcd_server *etcd)
{
    for (guint i = 0; i < etcd->members; i++)
        etcd_kill_member(etcd, i);
    if (etcd->directory)
        etcd_remove(etcd->directory);
    g_free(etcd->directory);
    g_free(etcd->url);
    *etcd = (etcd_server){0};
}
