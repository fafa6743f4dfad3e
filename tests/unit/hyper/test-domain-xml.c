/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is read out of domains' XML: each data/NAME.xml gives exactly data/NAME.expected.
 * After a change that is meant, DRV_TEST_UPDATE=1 writes the expected files anew.
 */
#include <string.h>

#include "hyper/domain-xml.h"

static char *describe(const char *xml)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_domain) domain = drv_domain_from_xml(xml, &error);
    g_autoptr(GPtrArray) files = drv_domain_xml_files(xml);
    GString *text = g_string_new(NULL);

    g_assert_no_error(error);
    g_string_append_printf(text, "%s %s vcpus=%u memory=%" G_GUINT64_FORMAT "\n", domain->name, domain->uuid,
                           domain->vcpus, domain->memory_bytes);
    for (guint i = 0; i < domain->disks->len; i++) {
        drv_disk *disk = g_ptr_array_index(domain->disks, i);
        g_string_append_printf(text, "disk %s %s %s %s %s%s%s\n", disk->target, disk->device, disk->type, disk->format,
                               disk->source ? disk->source : "(empty)", disk->readonly ? " readonly" : "",
                               disk->shareable ? " shareable" : "");
    }
    for (guint i = 0; i < domain->networks->len; i++)
        g_string_append_printf(text, "network %s\n", (char *)g_ptr_array_index(domain->networks, i));
    for (guint i = 0; i < domain->obstacles->len; i++)
        g_string_append_printf(text, "obstacle %s\n", (char *)g_ptr_array_index(domain->obstacles, i));
    for (guint i = 0; i < files->len; i++)
        g_string_append_printf(text, "file %s\n", (char *)g_ptr_array_index(files, i));
    return g_string_free(text, FALSE);
}

static void test_golden(gconstpointer data)
{
    g_autofree char *base = g_build_filename(g_getenv("DRV_TEST_DATA"), data, NULL);
    g_autofree char *xml_path = g_strconcat(base, ".xml", NULL);
    g_autofree char *expected_path = g_strconcat(base, ".expected", NULL);
    g_autofree char *xml = NULL, *expected = NULL, *found = NULL;
    g_autoptr(GError) error = NULL;

    g_file_get_contents(xml_path, &xml, NULL, &error);
    g_assert_no_error(error);
    found = describe(xml);
    if (g_getenv("DRV_TEST_UPDATE"))
        g_file_set_contents(expected_path, found, -1, NULL);
    g_file_get_contents(expected_path, &expected, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(found, ==, expected);
}

/* Every prefix of a good one, and other nonsense, is refused or read, and nothing breaks. */
static void test_broken(void)
{
    const char *const bad[] = {
        "",
        "web1",
        "<network/>",
        "<domain/>",
        "<domain><name>a</name></domain>",
        "<!DOCTYPE d [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><domain><name>&a;</name></domain>",
    };
    g_autofree char *path = g_build_filename(g_getenv("DRV_TEST_DATA"), "plain.xml", NULL);
    g_autofree char *xml = NULL;
    g_autoptr(GError) error = NULL;
    gsize length;

    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_null(drv_domain_from_xml(bad[i], &error));
        g_assert_error(error, DRV_ERROR, DRV_ERROR_INVALID);
        g_clear_error(&error);
    }
    g_assert_true(g_file_get_contents(path, &xml, &length, NULL));
    length = strlen(g_strchomp(xml));
    while (length-- > 0) {
        xml[length] = '\0';
        g_assert_null(drv_domain_from_xml(xml, NULL));
        g_assert_null(drv_domain_xml_files(xml));
    }
}

/* A domain may lack nearly everything, and its numbers may be absurd. */
static void test_bare(void)
{
    static const struct {
        const char *memory;
        guint64 bytes;
    } memories[] = {
        {"", 0},
        {"<memory>1024</memory>", 1 << 20},
        {"<memory unit='b'>77</memory>", 77},
        {"<memory unit='MiB'>3</memory>", 3 << 20},
        {"<memory unit='TiB'>2</memory>", (guint64)2 << 40},
        {"<memory unit='TiB'>99999999999999999</memory>", 0},
        {"<memory>many</memory>", 0},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(memories); i++) {
        g_autofree char *xml =
            g_strdup_printf("<domain><name> a </name><uuid>u</uuid>%s<devices><disk/><interface/></devices></domain>",
                            memories[i].memory);
        g_autoptr(drv_domain) domain = drv_domain_from_xml(xml, NULL);
        drv_disk *disk;

        g_assert_nonnull(domain);
        g_assert_cmpstr(domain->name, ==, "a");
        g_assert_cmpuint(domain->vcpus, ==, 1);
        g_assert_cmpuint(domain->memory_bytes, ==, memories[i].bytes);
        g_assert_cmpuint(domain->disks->len, ==, 1);
        disk = g_ptr_array_index(domain->disks, 0);
        g_assert_cmpstr(disk->type, ==, "file");
        g_assert_cmpstr(disk->device, ==, "disk");
        g_assert_cmpstr(disk->target, ==, "");
        g_assert_null(disk->source);
    }
}

static void test_invtsc_with_frequency(void)
{
    g_autoptr(drv_domain) domain =
        drv_domain_from_xml("<domain><name>a</name><uuid>u</uuid><cpu><feature policy='require' name='invtsc'/></cpu>"
                            "<clock><timer name='tsc' frequency='3000000000'/></clock></domain>",
                            NULL);

    g_assert_cmpuint(domain->obstacles->len, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/hyper/xml/plain", "plain", test_golden);
    g_test_add_data_func("/hyper/xml/obstacles", "obstacles", test_golden);
    g_test_add_func("/hyper/xml/broken", test_broken);
    g_test_add_func("/hyper/xml/bare", test_bare);
    g_test_add_func("/hyper/xml/invtsc-with-frequency", test_invtsc_with_frequency);
    return g_test_run();
}
