/* SPDX-License-Identifier: Apache-2.0 */
/* A libvirtd that accepts and says nothing, or is not there: every caller gets an answer. */
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "base/fd.h"
#include "hyper/connection.h"
#include "hyper/domain.h"
#include "hyper/hyper.h"

typedef struct {
    char *directory, *path;
    int listener;
    drv_hyper *hyper;
} mute;

static void set_up(mute *m, gconstpointer data)
{
    g_autofree char *uri = NULL;

    m->directory = g_dir_make_tmp("drv-hyper-XXXXXX", NULL);
    m->path = g_build_filename(m->directory, "sock", NULL);
    m->listener = drv_fd_unix_listen(m->path, SOCK_STREAM, NULL);
    g_assert_cmpint(m->listener, >=, 0);
    uri = g_strdup_printf("qemu+unix:///system?socket=%s", m->path);
    m->hyper = drv_hyper_new(uri);
}

static void tear_down(mute *m, gconstpointer data)
{
    drv_hyper_free(m->hyper);
    if (m->listener >= 0)
        close(m->listener);
    g_unlink(m->path);
    g_rmdir(m->directory);
    g_free(m->path);
    g_free(m->directory);
}

static gpointer ask(gpointer data)
{
    GError *error = NULL;

    g_assert_null(drv_hyper_domains(data, &error));
    return error;
}

/* Several at once wait for the same opening, and each is told the same. */
static void test_mute(mute *m, gconstpointer data)
{
    GThread *threads[3];

    for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("ask", ask, m->hyper);
    for (gsize i = 0; i < G_N_ELEMENTS(threads); i++) {
        g_autoptr(GError) error = g_thread_join(threads[i]);

        g_assert_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE);
        g_assert_nonnull(strstr(error->message, "does not answer"));
    }
}

static void test_gone(mute *m, gconstpointer data)
{
    close(m->listener);
    m->listener = -1;
    g_unlink(m->path);
    for (int i = 0; i < 3; i++) {
        g_autoptr(GError) error = ask(m->hyper);

        g_assert_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE);
        g_assert_nonnull(strstr(error->message, m->path));
    }
}

/* It hangs up on whoever comes: refused at once, not after the deadline's time. */
static gpointer hang_up(gpointer data)
{
    int listener = GPOINTER_TO_INT(data), fd;

    while ((fd = accept(listener, NULL, NULL)) >= 0)
        close(fd);
    return NULL;
}

static void test_hangs_up(mute *m, gconstpointer data)
{
    GThread *server = g_thread_new("server", hang_up, GINT_TO_POINTER(m->listener));
    g_autoptr(GError) error = ask(m->hyper);

    g_assert_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE);
    g_assert_nonnull(strstr(error->message, "cannot reach libvirt"));
    shutdown(m->listener, SHUT_RDWR);
    g_thread_join(server);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN); /* as the programs do */
#define ADD(name, func) g_test_add("/hyper/hang/" name, mute, NULL, set_up, func, tear_down)
    ADD("mute", test_mute);
    ADD("gone", test_gone);
    ADD("hangs-up", test_hangs_up);
    return g_test_run();
}
