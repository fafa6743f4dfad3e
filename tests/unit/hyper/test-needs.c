/* SPDX-License-Identifier: Apache-2.0 */
/* What a definition needs of its host: a definition that has one of everything, and its golden file. */
#include <string.h>

#include "hyper/needs.h"

static char *read_data(const char *name)
{
    g_autofree char *path = g_build_filename(g_getenv("DRV_TEST_DATA"), name, NULL);
    char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

/* One line a need: "graphics tcp vnc 10.9.9.9 5901". */
static char *text_of(GPtrArray *needs)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < needs->len; i++) {
        const drv_need *need = needs->pdata[i];

        g_string_append_printf(text, "%s: %s for %s: ", need->about, drv_need_kind_name(need->kind), need->what);
        if (need->value)
            g_string_append_printf(text, "%s\n", need->value);
        else
            g_string_append_printf(text, "%s port %u\n", need->address, need->port);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static void test_golden(void)
{
    g_autofree char *xml = read_data("needs.xml");
    g_autofree char *expected = read_data("needs.expected");
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) needs = drv_needs_from_xml(xml, &error);
    g_autofree char *text = NULL;

    g_assert_no_error(error);
    text = text_of(needs);
    if (strcmp(text, expected) != 0)
        g_error("this was read:\n%s", text);
}

/* Every kind is in the golden file: no row of the table goes untested by its kind. */
static void test_every_kind(void)
{
    g_autofree char *xml = read_data("needs.xml");
    g_autoptr(GPtrArray) needs = drv_needs_from_xml(xml, NULL);
    gboolean seen[DRV_NEED_KINDS] = {FALSE};

    for (guint i = 0; i < needs->len; i++)
        seen[((const drv_need *)needs->pdata[i])->kind] = TRUE;
    for (guint i = 0; i < DRV_NEED_KINDS; i++)
        if (!seen[i])
            g_error("%s is not in needs.xml", drv_need_kind_name((drv_need_kind)i));
}

static void test_nothing(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) none = drv_needs_from_xml(
        "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><devices/><qemu:commandline>"
        "<qemu:arg value='-fw_cfg'/></qemu:commandline></domain>",
        &error);

    g_assert_no_error(error);
    g_assert_cmpuint(none->len, ==, 0);
    g_assert_null(drv_needs_from_xml("<pool/>", &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_INVALID);
    g_clear_error(&error);
    g_assert_null(drv_needs_from_xml("", &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_INVALID);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hyper/needs/golden", test_golden);
    g_test_add_func("/hyper/needs/every-kind", test_every_kind);
    g_test_add_func("/hyper/needs/nothing", test_nothing);
    return g_test_run();
}
