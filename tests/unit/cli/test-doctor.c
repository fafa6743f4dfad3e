/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of doctor that look at files, over directories of the test's own. */
#include "cli/doctor.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "script.h"

typedef struct {
    char *root;
    drv_doctor doctor;
} host;

static void host_open(host *h)
{
    *h = (host){.root = g_dir_make_tmp("drover-doctor-XXXXXX", NULL)};
    g_assert_nonnull(h->root);
    h->doctor.root = h->root;
    h->doctor.findings = g_ptr_array_new_with_free_func((GDestroyNotify)drv_finding_free);
}

static void remove_all(const char *path)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *inner = g_build_filename(path, name, NULL);

        remove_all(inner);
    }
    if (dir)
        g_dir_close(dir);
    g_remove(path);
}

static void host_close(host *h)
{
    remove_all(h->root);
    g_ptr_array_unref(h->doctor.findings);
    drv_identity_free(h->doctor.identity);
    g_free(h->root);
}

static void put(host *h, const char *path, const char *text)
{
    g_autofree char *full = g_strconcat(h->root, path, NULL);
    g_autofree char *folder = g_path_get_dirname(full);

    g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
    g_assert_true(g_file_set_contents(full, text, -1, NULL));
}

/* Runs one check, which must find one thing. */
static const drv_finding *check(host *h, drv_check func)
{
    g_ptr_array_set_size(h->doctor.findings, 0);
    func(&h->doctor, "the check");
    g_assert_cmpuint(h->doctor.findings->len, ==, 1);
    /* What is not well comes with what to do about it. */
    g_assert_true((((drv_finding *)h->doctor.findings->pdata[0])->state == DRV_CHECK_OK) ==
                  !((drv_finding *)h->doctor.findings->pdata[0])->remedy);
    return h->doctor.findings->pdata[0];
}

static void test_confinement(void)
{
    host h;

    host_open(&h);
    g_assert_cmpint(check(&h, drv_check_confinement)->state, ==, DRV_CHECK_OK);
    put(&h, "/sys/module/apparmor/parameters/enabled", "Y\n");
    g_assert_cmpint(check(&h, drv_check_confinement)->state, ==, DRV_CHECK_PROBLEM);
    g_assert_nonnull(strstr(check(&h, drv_check_confinement)->remedy,
                            "/{,var/}run/drover/sessions/*/*.sock rw,"));
    put(&h, "/etc/apparmor.d/local/abstractions/libvirt-qemu", "# /run/drover/sessions/** rw,\n");
    g_assert_cmpint(check(&h, drv_check_confinement)->state, ==, DRV_CHECK_PROBLEM);
    put(&h, "/etc/apparmor.d/abstractions/libvirt-qemu.d/drover",
        "  /{,var/}run/drover/sessions/*/*.sock rw,\n");
    g_assert_cmpint(check(&h, drv_check_confinement)->state, ==, DRV_CHECK_OK);
    put(&h, "/etc/apparmor.d/abstractions/libvirt-qemu.d/drover", "");
    put(&h, "/etc/libvirt/qemu.conf", "# security_driver = \"none\"\n");
    g_assert_cmpint(check(&h, drv_check_confinement)->state, ==, DRV_CHECK_PROBLEM);
    put(&h, "/etc/libvirt/qemu.conf", "user = \"x\"\nsecurity_driver = [ \"none\" ]\n");
    g_assert_cmpint(check(&h, drv_check_confinement)->state, ==, DRV_CHECK_OK);
    put(&h, "/etc/libvirt/qemu.conf", "");
    put(&h, "/sys/module/apparmor/parameters/enabled", "N\n");
    put(&h, "/sys/fs/selinux/enforce", "1");
    g_assert_cmpint(check(&h, drv_check_confinement)->state, ==, DRV_CHECK_WARNING);
    host_close(&h);
}

static void test_store(void)
{
    host h;

    host_open(&h);
    g_assert_cmpint(check(&h, drv_check_store)->state, !=, DRV_CHECK_PROBLEM);
    put(&h, "/var/lib/drover/drover.db", "not a database, by far");
    g_assert_cmpint(check(&h, drv_check_store)->state, ==, DRV_CHECK_PROBLEM);
    put(&h, "/var/lib/drover/drover.db", "");
    g_assert_cmpint(check(&h, drv_check_store)->state, !=, DRV_CHECK_PROBLEM);
    host_close(&h);
}

static void test_sessions(void)
{
    host h;

    host_open(&h);
    g_assert_cmpint(check(&h, drv_check_sessions)->state, ==, DRV_CHECK_OK);
    host_close(&h);
}

static void test_identity(void)
{
    g_autofree char *etc = NULL;
    g_autofree char *key = NULL;
    g_autoptr(drv_identity) made = NULL;
    g_autoptr(GError) error = NULL;
    host h;

    host_open(&h);
    etc = g_strconcat(h.root, "/etc/drover", NULL);
    key = g_strconcat(etc, "/node.key", NULL);
    g_assert_cmpint(check(&h, drv_check_identity)->state, ==, DRV_CHECK_PROBLEM);
    g_assert_nonnull(strstr(check(&h, drv_check_identity)->remedy, "drover init"));
    made = drv_identity_init(etc, "7b0c3b0e-6c3f-4a52-9d0a-0a6a2f3f4c11", "n1", "10.0.0.1", 7443,
                             &error);
    g_assert_no_error(error);
    g_assert_cmpint(check(&h, drv_check_identity)->state, ==, DRV_CHECK_OK);
    g_clear_pointer(&h.doctor.identity, drv_identity_free);
    g_assert_cmpint(chmod(key, 0640), ==, 0);
    g_assert_cmpint(check(&h, drv_check_identity)->state, ==, DRV_CHECK_PROBLEM);
    g_assert_nonnull(strstr(((drv_finding *)h.doctor.findings->pdata[0])->remedy, "chmod 600"));
    g_clear_pointer(&h.doctor.identity, drv_identity_free);
    /* Half an identity is none. */
    g_assert_cmpint(g_remove(key), ==, 0);
    g_assert_cmpint(check(&h, drv_check_identity)->state, ==, DRV_CHECK_PROBLEM);
    host_close(&h);
}

static void test_libvirt_version(void)
{
    g_assert_true(drv_libvirt_suffices("9.0.0"));
    g_assert_true(drv_libvirt_suffices("6.8.0"));
    g_assert_true(drv_libvirt_suffices("10.1.0"));
    g_assert_false(drv_libvirt_suffices("6.7.9"));
    g_assert_false(drv_libvirt_suffices("5.10.0"));
    g_assert_false(drv_libvirt_suffices(""));
    g_assert_false(drv_libvirt_suffices(NULL));
}

static void test_acceleration(void)
{
    host h;

    host_open(&h);
    /* No /dev/kvm under this root: a warning, since emulation works. */
    g_assert_cmpint(check(&h, drv_check_acceleration)->state, ==, DRV_CHECK_WARNING);
    host_close(&h);
}

static json_object *nodes(script *s, guint nth, const char *method, const char *path,
                          json_object *body, GError **error)
{
    g_autofree char *text = g_strdup_printf(
        "{'nodes':[{'name':'n1','state':'up','clock_ms':%" G_GINT64_FORMAT "},"
        "{'name':'n2','state':'up','clock_ms':%" G_GINT64_FORMAT "},"
        "{'name':'n3','state':'lost','address':'10.0.0.3','error':'no route to host'},null,7,{}]}",
        drv_clock_real_ms(), drv_clock_real_ms() - 3600000);

    g_assert_cmpstr(path, ==, "/v1/nodes");
    return script_json(text);
}

static void test_nodes(void)
{
    static const drv_check_state wanted[] = {DRV_CHECK_WARNING, DRV_CHECK_WARNING,
                                             DRV_CHECK_WARNING, DRV_CHECK_OK,
                                             DRV_CHECK_WARNING, DRV_CHECK_WARNING};
    script *s = script_new(nodes, NULL);
    drv_cli cli = {.api = &s->base};
    host h;

    host_open(&h);
    h.doctor.cli = &cli;
    drv_check_nodes(&h.doctor, "nodes");
    g_assert_cmpuint(h.doctor.findings->len, ==, 0); /* droverd does not answer: said before */
    h.doctor.answers = TRUE;
    drv_check_nodes(&h.doctor, "nodes");
    g_assert_cmpuint(h.doctor.findings->len, ==, G_N_ELEMENTS(wanted));
    for (gsize i = 0; i < G_N_ELEMENTS(wanted); i++)
        g_assert_cmpint(((drv_finding *)h.doctor.findings->pdata[i])->state, ==, wanted[i]);
    g_assert_nonnull(
        strstr(((drv_finding *)h.doctor.findings->pdata[4])->message, "1 h 0 min behind"));
    g_assert_nonnull(
        strstr(((drv_finding *)h.doctor.findings->pdata[5])->message, "no route to host"));
    host_close(&h);
    drv_cli_api_unref(&s->base);
    script_done(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/doctor/confinement", test_confinement);
    g_test_add_func("/cli/doctor/store", test_store);
    g_test_add_func("/cli/doctor/sessions", test_sessions);
    g_test_add_func("/cli/doctor/identity", test_identity);
    g_test_add_func("/cli/doctor/libvirt-version", test_libvirt_version);
    g_test_add_func("/cli/doctor/acceleration", test_acceleration);
    g_test_add_func("/cli/doctor/nodes", test_nodes);
    return g_test_run();
}
