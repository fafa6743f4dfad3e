/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel's setting says about post-copy. */
#include "hyper/hyper.h"

#include <glib/gstdio.h>

#include "hyper/userfault.h"

static void check(const char *contents, gboolean can)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp(NULL, &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    g_close(fd, NULL);
    g_assert_true(g_file_set_contents(path, contents, -1, NULL));
    g_assert_true(drv_hyper_can_post_copy(path, &error) == can);
    g_assert_true(can ? !error : g_error_matches(error, DRV_ERROR, DRV_ERROR_REFUSED));
    g_unlink(path);
}

static void test_setting(void)
{
    check("0\n", FALSE);
    check("1\n", TRUE);
    g_assert_true(drv_hyper_can_post_copy("/nonexistent/setting", NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/userfault/setting", test_setting);
    return g_test_run();
}
