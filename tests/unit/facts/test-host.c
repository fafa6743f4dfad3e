/* SPDX-License-Identifier: Apache-2.0 */
/* What this host has: only what is true of every host that runs the test. */
#include <arpa/inet.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "plan/ranges.h"
#include "facts/host.h"

static void test_bind(void)
{
    g_autofree char *reason = NULL;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof here;
    drv_autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(drv_host_can_bind("0.0.0.0", SOCK_STREAM, 0, &reason), ==, DRV_BIND_OK);
    g_assert_cmpint(drv_host_can_bind("127.0.0.1", SOCK_STREAM, 0, &reason), ==, DRV_BIND_OK);
    g_assert_null(reason);
    g_assert_cmpint(drv_host_can_bind("vnc.example", SOCK_STREAM, 0, &reason), ==, DRV_BIND_UNKNOWN);
    g_assert_cmpint(drv_host_can_bind("", SOCK_STREAM, 0, &reason), ==, DRV_BIND_UNKNOWN);
    /* An address for documents: nobody's. */
    g_assert_cmpint(drv_host_can_bind("203.0.113.9", SOCK_STREAM, 0, &reason), ==, DRV_BIND_FAILED);
    g_assert_nonnull(reason);
    g_clear_pointer(&reason, g_free);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&here, sizeof here), ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&here, &length), ==, 0);
    g_assert_cmpint(drv_host_can_bind("127.0.0.1", SOCK_STREAM, ntohs(here.sin_port), &reason), ==, DRV_BIND_IN_USE);
}

static void test_numbers(void)
{
    g_autofree char *cpus = drv_host_online("cpu");
    drv_host_pages none = drv_host_hugepages(3, NULL); /* a size that no processor has */
    drv_host_pages nowhere = drv_host_hugepages(2048, "8000");

    g_assert_nonnull(cpus);
    g_assert_true(drv_ranges_has(cpus, 0) || strchr(cpus, '-'));
    g_assert_cmpuint(none.total_bytes, ==, 0);
    g_assert_cmpuint(nowhere.total_bytes, ==, 0);
    g_assert_null(drv_host_online("nonsense"));
    g_assert_cmpint(drv_host_nodes_free("8000"), ==, -1);
}

static void test_directories(void)
{
    g_autofree char *open = g_dir_make_tmp("drover-test-XXXXXX", NULL);
    g_autofree char *below = g_build_filename(open, "not", "yet", NULL);
    g_autofree char *error = drv_host_can_write(below);

    g_assert_null(error);
    g_clear_pointer(&error, g_free);
    error = drv_host_can_write("/proc/1");
    g_assert_nonnull(error);
    g_assert_true(drv_host_can_pass(open, "root"));
    g_assert_true(drv_host_can_pass(open, "no-such-user"));
    if (geteuid() == 0) {
        g_assert_cmpint(g_chmod(open, 0700), ==, 0);
        g_assert_false(drv_host_can_pass(open, "nobody"));
        g_assert_cmpint(g_chmod(open, 0711), ==, 0);
        g_assert_true(drv_host_can_pass(open, "nobody"));
        /* And root may pass again. */
        g_assert_cmpint(g_chmod(open, 0700), ==, 0);
        g_assert_cmpint(g_access(open, R_OK | X_OK), ==, 0);
    } else {
        g_test_message("not root: whether another user can pass is not tried");
    }
    g_rmdir(open);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/host-facts/bind", test_bind);
    g_test_add_func("/host-facts/numbers", test_numbers);
    g_test_add_func("/host-facts/directories", test_directories);
    return g_test_run();
}
