/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of doctor that look at files, over directories of the test's own. */
#include "cli/doctor.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "cli/cmd-doctor.h"
#include "cli/doctor-cluster.h"
#include "cli/doctor-files.h"
#include "cli/doctor-host.h"
#include "cli/doctor-hyper.h"
#include "cli/doctor-store.h"
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
    g_assert_nonnull(strstr(check(&h, drv_check_confinement)->remedy, "/{,var/}run/drover/sessions/*/*.sock rw,"));
    put(&h, "/etc/apparmor.d/local/abstractions/libvirt-qemu", "# /run/drover/sessions/** rw,\n");
    g_assert_cmpint(check(&h, drv_check_confinement)->state, ==, DRV_CHECK_PROBLEM);
    put(&h, "/etc/apparmor.d/abstractions/libvirt-qemu.d/drover", "  /{,var/}run/drover/sessions/*/*.sock rw,\n");
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

static void test_admission(void)
{
    host h;

    host_open(&h);
    g_assert_cmpint(check(&h, drv_check_admission)->state, ==, DRV_CHECK_OK);
    put(&h, "/etc/drover/admission", "# ours\ndirectory /data/vms\n");
    g_assert_cmpint(check(&h, drv_check_admission)->state, ==, DRV_CHECK_OK);
    put(&h, "/etc/drover/admission", "# ours\ndirectroy /data/vms\n");
    g_assert_cmpint(check(&h, drv_check_admission)->state, ==, DRV_CHECK_PROBLEM);
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
    made = drv_identity_init(etc, "7b0c3b0e-6c3f-4a52-9d0a-0a6a2f3f4c11", "n1", "10.0.0.1", 7443, &error);
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

static json_object *nodes(script *s, guint nth, const char *method, const char *path, json_object *body, GError **error)
{
    g_autofree char *text =
        g_strdup_printf("{'nodes':[{'name':'n1','state':'up','host_uuid':'u','clock_ms':%" G_GINT64_FORMAT "},"
                        "{'name':'n2','state':'up','host_uuid':'u','clock_ms':%" G_GINT64_FORMAT "},"
                        "{'name':'n3','state':'lost','address':'10.0.0.3','error':'no route to host'},null,7,{}]}",
                        drv_clock_real_ms(), drv_clock_real_ms() - 3600000);

    g_assert_cmpstr(path, ==, "/v1/nodes");
    return script_json(text);
}

static void test_nodes(void)
{
    static const drv_check_state wanted[] = {DRV_CHECK_WARNING, DRV_CHECK_WARNING, DRV_CHECK_WARNING, DRV_CHECK_OK,
                                             DRV_CHECK_WARNING, DRV_CHECK_WARNING, DRV_CHECK_PROBLEM};
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
    g_assert_nonnull(strstr(((drv_finding *)h.doctor.findings->pdata[4])->message, "1 h 0 min behind"));
    g_assert_nonnull(strstr(((drv_finding *)h.doctor.findings->pdata[5])->message, "no route to host"));
    g_assert_nonnull(strstr(((drv_finding *)h.doctor.findings->pdata[6])->message, "n1 and n2 have the same (u)"));
    g_assert_nonnull(strstr(((drv_finding *)h.doctor.findings->pdata[6])->remedy, "host_uuid ="));
    host_close(&h);
    drv_cli_api_unref(&s->base);
    script_done(s);
}

static json_object *store_says(script *s, guint nth, const char *method, const char *path, json_object *body,
                               GError **error)
{
    g_assert_cmpstr(path, ==, "/v1/store");
    return s->data ? script_json(s->data) : script_fail(error, DRV_ERROR_UNREACHABLE, "node h1 does not answer");
}

/*
 * What doctor finds about a store that answers with @json (NULL: the founder does not): one line a
 * finding, "STATE NAME: MESSAGE".
 */
static char *findings_of(const char *json)
{
    script *s = script_new(store_says, (gpointer)json);
    drv_cli cli = {.api = &s->base};
    GString *text = g_string_new(NULL);
    host h;

    host_open(&h);
    h.doctor.cli = &cli;
    drv_check_cluster_store(&h.doctor, "store");
    g_assert_cmpuint(h.doctor.findings->len, ==, 0); /* droverd does not answer: said before */
    h.doctor.answers = TRUE;
    drv_check_cluster_store(&h.doctor, "store");
    for (guint i = 0; i < h.doctor.findings->len; i++) {
        const drv_finding *finding = h.doctor.findings->pdata[i];

        g_assert_true((finding->state == DRV_CHECK_OK) == !finding->remedy);
        g_string_append_printf(text, "%d %s: %s\n", finding->state, finding->name, finding->message);
    }
    host_close(&h);
    drv_cli_api_unref(&s->base);
    script_done(s);
    return g_string_free(text, FALSE);
}

#define UP(n) "{'address':'h" #n ":2379','state':'up','version':'3.4.23','bytes':1048576}"
#define LOST(n) "{'address':'h" #n ":2379','state':'lost','error':'connection refused'}"
#define ETCD(members, rest) "{'kind':'etcd','members':[" members "]," rest "}"

static void test_cluster_store(void)
{
    static const struct {
        const char *json;
        const char *found[4]; /* the begins of the lines, in their order */
    } cases[] = {
        {NULL, {"1 store: node h1 does not answer"}},
        {"{'kind':'sqlite','node':'h1','where':'/d','free_bytes':8589934592}", {"0 store: a file of node h1"}},
        {"{'kind':'sqlite','node':'h1','where':'/d'}", {"0 store: a file of node h1"}},
        {"{'kind':'sqlite','node':'h1','where':'/d','free_bytes':134217728}", {"1 store: only 128 MiB free"}},
        {"{'kind':'sqlite','node':'h1','where':'/d','free_bytes':1}", {"2 store: only 1 B free for /d"}},
        {"{'kind':'sqlite','error':'damaged'}", {"2 store: damaged"}},
        {"{}", {"0 store: "}},
        {ETCD(UP(1) "," UP(2), "'leader':'n2','encrypted':true,'alarms':[]"),
         {"0 etcd h1:2379: etcd 3.4.23, 1.0 MiB",
          "0 etcd h2:2379: ", "0 store: etcd, of which 2 of 2 members answer; node n2 leads"}},
        {ETCD(UP(1) "," LOST(2) "," UP(3), "'leader':'n2','encrypted':true"),
         {"0 etcd h1", "1 etcd h2:2379: it does not answer: connection refused", "0 etcd h3",
          "0 store: etcd, of which 2 of 3"}},
        {ETCD(LOST(1) "," UP(2), "'leader':null,'encrypted':true,'error':'no answer'"),
         {"1 etcd h1", "0 etcd h2", "2 store: only 1 of 2 members of etcd answer"}},
        {ETCD(UP(1), "'leader':'n1','encrypted':true,'error':'it has lost its data'"),
         {"0 etcd h1", "2 store: it has lost its data"}},
        {ETCD(UP(1), "'leader':null,'encrypted':true"), {"0 etcd h1", "1 store: etcd can be used, but no"}},
        {ETCD(UP(1), "'leader':'n1','encrypted':false"), {"0 etcd h1", "1 store: etcd is reached without"}},
        {ETCD("{'address':'h1:1','state':'up','error':'memberID:7 alarm:NOSPACE '}",
              "'leader':'n1','encrypted':true,'alarms':['NOSPACE','NOSPACE',null]"),
         {"0 etcd h1", "2 etcd's alarms: NOSPACE: etcd takes no changes", "0 store"}},
        {ETCD("{'address':'h1:1','state':'up','error':'etcdserver: no leader'}", "'leader':'n1','encrypted':true"),
         {"1 etcd h1:1: it answers, but with a trouble: etcdserver: no leader", "0 store"}},
        {ETCD("null,7,{}", "'leader':'n1','encrypted':true,'alarms':7"),
         {"1 etcd -: ", "1 etcd -: ", "1 etcd -: ", "0 store: "}},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = findings_of(cases[i].json);
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        guint n = 0;

        g_test_message("%s -> %s", cases[i].json, text);
        for (; n < G_N_ELEMENTS(cases[i].found) && cases[i].found[n]; n++)
            g_assert_true(lines[n] && g_str_has_prefix(lines[n], cases[i].found[n]));
        g_assert_cmpuint(g_strv_length(lines), ==, n + 1);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/doctor/confinement", test_confinement);
    g_test_add_func("/cli/doctor/store", test_store);
    g_test_add_func("/cli/doctor/admission", test_admission);
    g_test_add_func("/cli/doctor/sessions", test_sessions);
    g_test_add_func("/cli/doctor/identity", test_identity);
    g_test_add_func("/cli/doctor/libvirt-version", test_libvirt_version);
    g_test_add_func("/cli/doctor/acceleration", test_acceleration);
    g_test_add_func("/cli/doctor/nodes", test_nodes);
    g_test_add_func("/cli/doctor/cluster-store", test_cluster_store);
    return g_test_run();
}
