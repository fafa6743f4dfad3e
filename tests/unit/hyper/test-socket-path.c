/* SPDX-License-Identifier: Apache-2.0 */
/* Where the libvirtd of a URI listens, and connecting there. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "base/fd.h"
#include "hyper/connection.h"
#include "hyper/socket-path.h"
#include "hyper/socket.h"

static void test_paths(void)
{
    static const struct {
        const char *uri, *paths; /* NULL: invalid */
    } cases[] = {
        {"qemu:///system", "/run/libvirt/libvirt-sock /run/libvirt/virtqemud-sock"},
        {"qemu+unix:///system", "/run/libvirt/libvirt-sock /run/libvirt/virtqemud-sock"},
        {"qemu+unix:///system?socket=/a/b", "/a/b"},
        {"qemu:///system?mode=auto&socket=/a%20b", "/a b"},
        {"qemu:///session", NULL},
        {"qemu+ssh://host/system", NULL},
        {"test:///default", NULL},
        {"", NULL},
        {"not a uri", NULL},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_auto(GStrv) paths = drv_hyper_socket_paths(cases[i].uri, &error);

        if (cases[i].paths) {
            g_assert_no_error(error);
            g_autofree char *joined = g_strjoinv(" ", paths);
            g_assert_cmpstr(joined, ==, cases[i].paths);
        } else {
            g_assert_null(paths);
            g_assert_error(error, DRV_ERROR, DRV_ERROR_INVALID);
        }
    }
}

static void test_connect(void)
{
    g_autofree char *directory = g_dir_make_tmp("drv-hyper-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(directory, "sock", NULL);
    g_autofree char *uri = g_strdup_printf("qemu+unix:///system?socket=%s", path);
    drv_hyper *hyper = drv_hyper_new(uri);
    g_autoptr(GError) error = NULL;
    int listener, fd, peer;
    char byte = 0;

    g_assert_cmpint(drv_hyper_libvirt_socket(hyper, &error), ==, -1);
    g_assert_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE);
    g_assert_nonnull(strstr(error->message, path));
    g_clear_error(&error);

    listener = drv_fd_unix_listen(path, SOCK_STREAM, NULL);
    g_assert_cmpint(listener, >=, 0);
    fd = drv_hyper_libvirt_socket(hyper, &error);
    g_assert_no_error(error);
    g_assert_cmpint(fd, >=, 0);
    peer = accept(listener, NULL, NULL);
    g_assert_cmpint(write(fd, "x", 1), ==, 1);
    g_assert_cmpint(read(peer, &byte, 1), ==, 1);
    g_assert_cmpint(byte, ==, 'x');
    close(peer);
    close(fd);
    close(listener);
    drv_hyper_free(hyper);
    g_unlink(path);
    g_rmdir(directory);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hyper/socket/paths", test_paths);
    g_test_add_func("/hyper/socket/connect", test_connect);
    return g_test_run();
}
