/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Definitions for another place: data/rewrite.xml becomes exactly data/rewrite-live.expected and
 * data/rewrite-next.expected. DRV_TEST_UPDATE=1 writes them anew.
 */
#include "hyper/rewrite.h"

static char *read_data(const char *name)
{
    g_autofree char *path = g_build_filename(g_getenv("DRV_TEST_DATA"), name, NULL);
    g_autoptr(GError) error = NULL;
    char *text = NULL;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    return text;
}

static drv_rewrite *all_changes(void)
{
    drv_rewrite *rewrite = drv_rewrite_new();

    drv_rewrite_add_disk(rewrite, "vda", "/fast/web1.qcow2", FALSE, TRUE, TRUE);
    drv_rewrite_add_disk(rewrite, "vdb", "/fast/<data>.raw", FALSE, FALSE, TRUE);
    drv_rewrite_add_disk(rewrite, "vdc", "/dev/vg/c", TRUE, FALSE, FALSE);
    drv_rewrite_add_disk(rewrite, "sda", "/nowhere.iso", FALSE, FALSE, FALSE);
    drv_rewrite_add_network(rewrite, "network:default", "bridge:lan");
    drv_rewrite_add_network(rewrite, "bridge:br0", "network:prod");
    return rewrite;
}

static void test_golden(gconstpointer data)
{
    gboolean live = GPOINTER_TO_INT(data);
    const char *name = live ? "rewrite-live.expected" : "rewrite-next.expected";
    g_autoptr(drv_rewrite) rewrite = all_changes();
    g_autofree char *xml = read_data("rewrite.xml");
    g_autofree char *path = g_build_filename(g_getenv("DRV_TEST_DATA"), name, NULL);
    g_autofree char *expected = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *changed = drv_rewrite_xml(rewrite, xml, live, &error);

    g_assert_no_error(error);
    if (g_getenv("DRV_TEST_UPDATE"))
        g_file_set_contents(path, changed, -1, NULL);
    expected = read_data(name);
    g_assert_cmpstr(changed, ==, expected);
}

/* What is not named stays as it is, to the letter. */
static void test_nothing_to_change(void)
{
    g_autoptr(drv_rewrite) rewrite = drv_rewrite_new();
    g_autofree char *xml = g_strstrip(read_data("rewrite.xml"));
    g_autoptr(GError) error = NULL;
    g_autofree char *changed = NULL;
    g_autofree char *quoted = NULL;
    g_auto(GStrv) parts = NULL;

    g_assert_true(drv_rewrite_is_empty(rewrite));
    g_assert_true(drv_rewrite_is_empty(NULL));
    drv_rewrite_add_disk(rewrite, "vdz", "/x", FALSE, TRUE, TRUE);
    drv_rewrite_add_network(rewrite, "bridge:other", "bridge:lan");
    g_assert_false(drv_rewrite_is_empty(rewrite));
    changed = drv_rewrite_xml(rewrite, xml, TRUE, &error);
    g_assert_no_error(error);
    parts = g_strsplit(xml, "'", -1);
    quoted = g_strjoinv("\"", parts);
    g_assert_cmpstr(changed, ==, quoted);
}

/* What a crash left half done, and only that. */
static void test_back(void)
{
    static const char xml[] = "<domain><devices><disk type=\"file\"><source file=\"/fast/a.img\"/><target dev=\"vda\"/>"
                              "</disk><disk type=\"file\"><source file=\"/other/b.img\"/><target dev=\"vdb\"/></disk>"
                              "</devices></domain>";
    g_autoptr(drv_rewrite) rewrite = drv_rewrite_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *changed = NULL;

    drv_rewrite_add_disk_back(rewrite, "vda", "/fast/a.img", "/slow/a.img");
    drv_rewrite_add_disk_back(rewrite, "vdb", "/fast/b.img", "/slow/b.img");
    changed = drv_rewrite_xml(rewrite, xml, FALSE, &error);
    g_assert_no_error(error);
    g_assert_nonnull(strstr(changed, "\"/slow/a.img\""));
    g_assert_null(strstr(changed, "/fast/"));
    g_assert_nonnull(strstr(changed, "\"/other/b.img\""));
}

static void test_no_domain(void)
{
    g_autoptr(drv_rewrite) rewrite = all_changes();
    const char *const bad[] = {"", "web1", "<network/>", "<domain><devices>"};

    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(drv_rewrite_xml(rewrite, bad[i], TRUE, &error));
        g_assert_error(error, DRV_ERROR, DRV_ERROR_INVALID);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/rewrite/live", GINT_TO_POINTER(TRUE), test_golden);
    g_test_add_data_func("/rewrite/next-start", GINT_TO_POINTER(FALSE), test_golden);
    g_test_add_func("/rewrite/nothing", test_nothing_to_change);
    g_test_add_func("/rewrite/back", test_back);
    g_test_add_func("/rewrite/no-domain", test_no_domain);
    return g_test_run();
}
