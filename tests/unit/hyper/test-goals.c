/* SPDX-License-Identifier: Apache-2.0 */
/* Goals in a VM's metadata: read from XML, written as an element, and both through libvirt's test driver. */
#include <string.h>

#include "hyper/connection.h"
#include "hyper/domain-xml.h"
#include "hyper/domain.h"
#include "hyper/goals.h"

#define TEST_UUID "6695eb01-f6a4-8304-79aa-97f2502e193f"
#define NO_UUID "00000000-0000-4000-8000-000000000000"
#define DOMAIN(metadata) "<domain><name>a</name><uuid>" TEST_UUID "</uuid><metadata>" metadata "</metadata></domain>"

static void test_read(void)
{
    static const struct {
        const char *xml;
        guint count; /* of attributes; G_MAXUINT: no goals */
    } rows[] = {
        {"<domain><name>a</name><uuid>" TEST_UUID "</uuid></domain>", G_MAXUINT},
        {DOMAIN(""), G_MAXUINT},
        {DOMAIN("<goals max_pause_ms='1'/>"), G_MAXUINT},
        {DOMAIN("<x:goals xmlns:x='urn:other' max_pause_ms='1'/>"), G_MAXUINT},
        {DOMAIN("<x:other xmlns:x='" DRV_GOALS_NAMESPACE "' max_pause_ms='1'/>"), G_MAXUINT},
        {DOMAIN("<x:goals xmlns:x='" DRV_GOALS_NAMESPACE "'/>"), 0},
        {DOMAIN("<o:app xmlns:o='urn:other'/><drover:goals xmlns:drover='" DRV_GOALS_NAMESPACE
                "' max_pause_ms='200' later='&lt;&quot;' drover:foreign='1'/>"),
         2},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(drv_domain) domain = drv_domain_from_xml(rows[i].xml, &error);

        g_assert_no_error(error);
        g_test_message("%s", rows[i].xml);
        g_assert_cmpuint(domain->goals ? g_hash_table_size(domain->goals) : G_MAXUINT, ==, rows[i].count);
        if (rows[i].count != 2)
            continue;
        g_assert_cmpstr(g_hash_table_lookup(domain->goals, "max_pause_ms"), ==, "200");
        g_assert_cmpstr(g_hash_table_lookup(domain->goals, "later"), ==, "<\"");
    }
}

static void test_element(void)
{
    g_autoptr(GHashTable) attributes = g_hash_table_new(g_str_hash, g_str_equal);
    g_autofree char *text = NULL;

    g_hash_table_insert(attributes, (gpointer) "policy", (gpointer) "gold");
    g_hash_table_insert(attributes, (gpointer) "later", (gpointer) "<\"&'");
    text = drv_goals_element(attributes);
    g_assert_cmpstr(text, ==, "<goals later=\"&lt;&quot;&amp;&apos;\" policy=\"gold\"/>");
}

static char *policy_of(drv_hyper *hyper)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_domain) domain = drv_hyper_domain(hyper, TEST_UUID, &error);

    g_assert_no_error(error);
    return domain->goals ? g_strdup(g_hash_table_lookup(domain->goals, "policy")) : NULL;
}

/* The VM of the test driver runs and has a definition: both are written, and again when it is shut off. */
static void test_libvirt(void)
{
    drv_hyper *hyper = drv_hyper_new("test:///default");
    g_autoptr(GError) error = NULL;
    drv_lease *keep = drv_hyper_lease(hyper, &error); /* the driver forgets all with its last connection */
    g_autoptr(GHashTable) attributes = g_hash_table_new(g_str_hash, g_str_equal);
    virDomainPtr domain;

    g_assert_no_error(error);
    g_assert_null(policy_of(hyper));
    for (guint i = 0; i < 3; i++) {
        const char *policy = i == 0 ? "gold" : i == 1 ? "silver" : "tin";
        g_autofree char *found = NULL;
        char *kept;

        g_hash_table_replace(attributes, (gpointer) "policy", (gpointer)policy);
        g_assert_true(drv_hyper_set_goals(hyper, TEST_UUID, attributes, &error));
        g_assert_no_error(error);
        found = policy_of(hyper);
        g_assert_cmpstr(found, ==, policy);
        domain = drv_lease_domain(keep, TEST_UUID, &error);
        g_assert_no_error(error);
        kept = virDomainGetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, DRV_GOALS_NAMESPACE, VIR_DOMAIN_AFFECT_CONFIG);
        g_assert_nonnull(kept);
        g_assert_nonnull(strstr(kept, policy));
        free(kept);
        if (i == 1)
            g_assert_cmpint(virDomainDestroy(domain), ==, 0);
        virDomainFree(domain);
    }
    g_assert_true(drv_hyper_set_goals(hyper, TEST_UUID, NULL, &error));
    g_assert_no_error(error);
    g_assert_null(policy_of(hyper));
    g_assert_false(drv_hyper_set_goals(hyper, NO_UUID, attributes, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND);
    drv_lease_free(keep);
    drv_hyper_free(hyper);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hyper/goals/read", test_read);
    g_test_add_func("/hyper/goals/element", test_element);
    g_test_add_func("/hyper/goals/libvirt", test_libvirt);
    return g_test_run();
}
