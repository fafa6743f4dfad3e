/* SPDX-License-Identifier: Apache-2.0 */
/* Domains, hosts and disks on libvirt's built-in test driver: no libvirtd, no QEMU. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "disk-log.h"
#include "hyper/belongings.h"
#include "hyper/connection.h"
#include "hyper/disk.h"
#include "hyper/domain-xml.h"
#include "hyper/domain.h"
#include "hyper/host.h"
#include "hyper/image-uses.h"
#include "hyper/migrate.h"

#define TEST_UUID "6695eb01-f6a4-8304-79aa-97f2502e193f"
#define NO_UUID "00000000-0000-4000-8000-000000000000"

typedef struct {
    drv_hyper *hyper;
    drv_lease *keep; /* the driver forgets everything with its last connection */
    char *directory;
} fixture;

static gboolean is_fresh(fixture *f)
{
    g_autoptr(virDomain) domain = virDomainLookupByUUIDString(f->keep->connection, TEST_UUID);

    return domain && virConnectNumOfDomains(f->keep->connection) == 1 &&
           virConnectNumOfDefinedDomains(f->keep->connection) == 0;
}

/* The test before has freed its connections, but the last one may still be closing. */
static void set_up(fixture *f, gconstpointer data)
{
    gint64 until_us = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;

    f->hyper = drv_hyper_new("test:///default");
    for (;;) {
        g_autoptr(GError) error = NULL;

        f->keep = drv_hyper_lease(f->hyper, &error);
        g_assert_no_error(error);
        if (is_fresh(f))
            break;
        g_assert_cmpint(g_get_monotonic_time(), <, until_us);
        drv_lease_free(f->keep);
        drv_hyper_free(f->hyper);
        g_usleep(1000);
        f->hyper = drv_hyper_new("test:///default");
    }
    f->directory = g_dir_make_tmp("drv-hyper-XXXXXX", NULL);
}

static void tear_down(fixture *f, gconstpointer data)
{
    drv_lease_free(f->keep);
    drv_hyper_free(f->hyper);
    g_assert_cmpint(g_rmdir(f->directory), ==, 0); /* each test has taken away what it made */
    g_free(f->directory);
}

/* A persistent domain that is shut off, with one disk. */
static void define(fixture *f, const char *name, const char *disk)
{
    g_autofree char *xml =
        g_strdup_printf("<domain type='test'><name>%s</name><memory unit='MiB'>64</memory>"
                        "<os><type>hvm</type></os><devices><disk type='file' device='disk'>"
                        "<driver name='qemu' type='raw'/><source file='%s'/><target dev='vda' bus='virtio'/>"
                        "</disk></devices></domain>",
                        name, disk);
    g_autoptr(virDomain) domain = virDomainDefineXML(f->keep->connection, xml);

    if (!domain)
        g_error("%s", virGetLastErrorMessage());
}

static void test_host(fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    drv_host_facts facts = {0};

    g_assert_true(drv_hyper_host(f->hyper, &facts, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(facts.hostname, !=, NULL);
    g_assert_cmpstr(facts.cpu_model, ==, "i686");
    g_assert_cmpuint(facts.cpus, ==, 16);
    g_assert_cmpuint(facts.memory_bytes, ==, (guint64)3 << 30);
    g_assert_cmpuint(facts.memory_free_bytes, >, 0);
    g_assert_cmpuint(facts.memory_free_bytes, <=, facts.memory_bytes);
    g_assert_true(g_str_has_prefix(facts.libvirt_version, "9.") || strchr(facts.libvirt_version, '.'));
    g_assert_cmpuint(facts.domains_running, ==, 1);
    g_assert_cmpint(facts.clock_real_ms, >, G_GINT64_CONSTANT(1700000000000));
    drv_host_facts_clear(&facts);
    g_assert_null(facts.hostname);
}

static void test_domains(fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) domains = NULL;
    guint running = 0, shut_off = 0;

    define(f, "web1", "/nonexistent/web1.raw");
    domains = drv_hyper_domains(f->hyper, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(domains->len, ==, 2);
    for (guint i = 0; i < domains->len; i++) {
        drv_domain *domain = g_ptr_array_index(domains, i);

        if (g_str_equal(domain->name, "test")) {
            g_assert_cmpstr(domain->uuid, ==, TEST_UUID);
            running += domain->state == DRV_DOMAIN_RUNNING;
        } else {
            g_assert_cmpstr(domain->name, ==, "web1");
            g_assert_cmpuint(domain->memory_bytes, ==, 64 << 20);
            g_assert_true(domain->persistent);
            g_assert_false(domain->busy);
            shut_off += domain->state == DRV_DOMAIN_SHUT_OFF;
        }
    }
    g_assert_cmpuint(running, ==, 1);
    g_assert_cmpuint(shut_off, ==, 1);
}

static void test_domain(fixture *f, gconstpointer data)
{
    const char *const missing[] = {"web9", NO_UUID, ""};
    g_autoptr(GError) error = NULL;

    for (gsize i = 0; i < 2; i++) {
        g_autoptr(drv_domain) domain =
            i ? drv_hyper_domain(f->hyper, TEST_UUID, &error) : drv_hyper_domain_named(f->hyper, "test", &error);

        g_assert_no_error(error);
        g_assert_cmpstr(domain->uuid, ==, TEST_UUID);
        g_assert_cmpint(domain->state, ==, DRV_DOMAIN_RUNNING);
        g_assert_cmpstr(drv_domain_state_name(domain->state), ==, "running");
        g_assert_cmpstr(domain->reason, !=, NULL);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(missing); i++) {
        g_assert_null(drv_hyper_domain_named(f->hyper, missing[i], &error));
        g_assert_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND);
        g_assert_nonnull(strstr(error->message, missing[i]));
        g_clear_error(&error);
        g_assert_null(drv_hyper_domain(f->hyper, missing[i], &error));
        g_assert_cmpint(error->code, ==, g_str_equal(missing[i], NO_UUID) ? DRV_ERROR_NOT_FOUND : DRV_ERROR_INVALID);
        g_clear_error(&error);
    }
}

/* What is kept as a UUID must not find a VM that has it as its name. */
static void test_named_like_a_uuid(fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_domain) web = NULL;
    g_autoptr(drv_domain) decoy = NULL;

    define(f, TEST_UUID, "/nonexistent/decoy.raw");
    web = drv_hyper_domain(f->hyper, TEST_UUID, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(web->name, ==, "test");
    g_assert_cmpstr(web->uuid, ==, TEST_UUID);
    decoy = drv_hyper_domain_named(f->hyper, TEST_UUID, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(decoy->name, ==, TEST_UUID);
    g_assert_cmpstr(decoy->uuid, !=, TEST_UUID);
    /* And none is found where only such a name is. */
    define(f, NO_UUID, "/nonexistent/decoy.raw");
    g_assert_null(drv_hyper_domain(f->hyper, NO_UUID, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND);
}

static void test_snapshot(fixture *f, gconstpointer data)
{
    g_autoptr(virDomain) domain = virDomainLookupByName(f->keep->connection, "test");
    virDomainSnapshotPtr snapshot =
        virDomainSnapshotCreateXML(domain, "<domainsnapshot><name>before</name></domainsnapshot>", 0);
    drv_belongings found;

    g_assert_nonnull(snapshot);
    g_assert_true(drv_hyper_belongings(f->hyper, TEST_UUID, &found, NULL));
    g_assert_cmpuint(found.snapshots->len, ==, 1);
    drv_belongings_clear(&found);
    virDomainSnapshotFree(snapshot);
}

static void test_resume(fixture *f, gconstpointer data)
{
    g_autoptr(virDomain) domain = virDomainLookupByName(f->keep->connection, "test");
    g_autoptr(drv_domain) found = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(virDomainSuspend(domain), ==, 0);
    found = drv_hyper_domain_named(f->hyper, "test", NULL);
    g_assert_cmpint(found->state, ==, DRV_DOMAIN_PAUSED);
    g_assert_cmpstr(found->reason, ==, "user");
    g_assert_true(drv_hyper_resume(f->hyper, TEST_UUID, &error));
    g_assert_true(drv_hyper_resume(f->hyper, TEST_UUID, &error)); /* it runs: fine */
    g_assert_no_error(error);
    g_assert_false(drv_hyper_resume(f->hyper, NO_UUID, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_cmpint(virDomainDestroy(domain), ==, 0);
    g_assert_false(drv_hyper_resume(f->hyper, TEST_UUID, &error)); /* shut off: not fine */
    g_assert_nonnull(error);                                       /* of which kind depends on libvirt's driver */
}

static void test_destroy(fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_domain) found = NULL;

    g_assert_true(drv_hyper_destroy(f->hyper, TEST_UUID, FALSE, &error));
    g_assert_no_error(error);
    found = drv_hyper_domain_named(f->hyper, "test", NULL);
    g_assert_cmpint(found->state, ==, DRV_DOMAIN_SHUT_OFF);
    g_assert_true(drv_hyper_destroy(f->hyper, TEST_UUID, FALSE, &error)); /* is off already */
    g_assert_true(drv_hyper_destroy(f->hyper, TEST_UUID, TRUE, &error));
    g_assert_no_error(error);
    g_assert_null(drv_hyper_domain_named(f->hyper, "test", &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_true(drv_hyper_destroy(f->hyper, TEST_UUID, TRUE, &error)); /* is gone already */
    g_assert_no_error(error);
}

static void test_migrate_refused(fixture *f, gconstpointer data)
{
    drv_migrate_params params = {.uuid = NO_UUID, .session_dir = f->directory};
    g_autoptr(GError) error = NULL;

    g_assert_false(drv_hyper_migrate(f->hyper, &params, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND);
    g_clear_error(&error);
    params.uuid = TEST_UUID;
    g_assert_true(drv_hyper_destroy(f->hyper, TEST_UUID, FALSE, NULL));
    g_assert_false(drv_hyper_migrate(f->hyper, &params, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_CONFLICT);
    g_assert_nonnull(strstr(error->message, "shut off"));
}

/* What the disk was told; "%s" in @expected: the last part of @directory. */
static void logged(const char *expected, const char *directory)
{
    g_autofree char *name = g_path_get_basename(directory);
    g_auto(GStrv) parts = g_strsplit(expected, "%s", 2);
    g_autofree char *all = g_strconcat(parts[0], name, parts[1], NULL);
    g_autofree char *found = disk_log_end();

    g_assert_cmpstr(found, ==, all);
}

static void assert_create_fails(fixture *f, const char *path, const char *format, guint64 capacity, guint64 needed,
                                drv_error_code code, const char *says)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(drv_hyper_disk_create(f->hyper, path, format, capacity, needed, &error));
    g_assert_error(error, DRV_ERROR, (int)code);
    if (!strstr(error->message, says))
        g_error("\"%s\" does not say \"%s\"", error->message, says);
}

static void test_disk(fixture *f, gconstpointer format)
{
    g_autofree char *path = g_build_filename(f->directory, "web1.img", NULL);
    g_autoptr(GError) error = NULL;
    guint64 capacity = (guint64)1 << 30;
    struct stat st;
    gboolean qcow2 = g_str_equal(format, "qcow2");
    g_autofree char *program = g_find_program_in_path("qemu-img");

    if (qcow2 && !program) {
        g_test_skip("qemu-img is not installed");
        return;
    }
    disk_log_begin();
    g_assert_true(drv_hyper_disk_create(f->hyper, path, format, capacity, 1, &error));
    g_assert_no_error(error);
    logged("flush web1.img, flush %s", f->directory);
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0600);
    g_assert_cmpint(st.st_blocks * 512, <, 1 << 20); /* sparse */
    if (qcow2) {
        char magic[4];
        FILE *file = fopen(path, "re");
        g_assert_cmpuint(fread(magic, 1, 4, file), ==, 4);
        g_assert_cmpmem(magic, 4, "QFI\xfb", 4);
        fclose(file);
    } else {
        g_assert_cmpuint((guint64)st.st_size, ==, capacity);
        /* Of a hole QEMU cannot find out how I/O must be aligned. */
        g_assert_cmpint(st.st_blocks * 512, >=, 4096);
    }
    assert_create_fails(f, path, format, capacity, 1, DRV_ERROR_CONFLICT, path);

    define(f, "user", path);
    g_assert_false(drv_hyper_disk_remove(f->hyper, path, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_CONFLICT);
    g_assert_nonnull(strstr(error->message, "user"));
    g_clear_error(&error);
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_autoptr(drv_domain) user = drv_hyper_domain_named(f->hyper, "user", NULL);
    g_assert_true(drv_hyper_destroy(f->hyper, user->uuid, TRUE, NULL));

    disk_log_begin();
    g_assert_true(drv_hyper_disk_remove(f->hyper, path, &error));
    logged("unlink web1.img, flush %s", f->directory);
    disk_log_begin();
    g_assert_true(drv_hyper_disk_remove(f->hyper, path, &error)); /* gone: fine */
    logged("unlink web1.img, flush %s", f->directory);            /* perhaps not yet for good */
    g_assert_no_error(error);
    g_assert_cmpint(stat(path, &st), <, 0);
}

/* What is kept is found after a power loss, and what cannot be flushed is not given up. */
static void test_disk_set_aside(fixture *f, gconstpointer data)
{
    g_autofree char *path = g_build_filename(f->directory, "web1.img", NULL);
    g_autofree char *inner = g_build_filename(f->directory, "kept", NULL);
    g_autofree char *to = g_build_filename(inner, "web1.raw", NULL);
    g_autofree char *name = g_path_get_basename(f->directory);
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(g_mkdir(inner, 0700), ==, 0);
    g_assert_true(drv_hyper_disk_create(f->hyper, path, "raw", 1 << 20, 1, &error));
    disk_log_begin();
    g_assert_true(drv_hyper_disk_set_aside(f->hyper, path, to, &error));
    logged("rename web1.img web1.raw, flush kept, flush %s", f->directory);
    disk_log_fail(name, EIO);
    g_assert_false(drv_hyper_disk_create(f->hyper, path, "raw", 1 << 20, 1, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_FAILED);
    g_clear_error(&error);
    g_assert_false(drv_hyper_disk_remove(f->hyper, path, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_FAILED);
    disk_log_fail(NULL, 0);
    g_assert_cmpint(g_remove(to), ==, 0);
    g_assert_cmpint(g_rmdir(inner), ==, 0);
}

/* libvirt's files are renamed and removed in directories that it does not flush. */
static void test_definition_is_flushed(fixture *f, gconstpointer data)
{
    static const char xml[] = "<domain type='test'><name>%s</name><uuid>" NO_UUID "</uuid>"
                              "<memory unit='MiB'>64</memory><os><type>hvm</type></os></domain>";
    g_autofree char *definition = g_strdup_printf(xml, "web1");
    g_autofree char *found = NULL;
    g_autoptr(GError) error = NULL;

    if (!g_file_test("/etc/libvirt/qemu", G_FILE_TEST_IS_DIR)) {
        g_test_skip("there is no /etc/libvirt/qemu");
        return;
    }
    disk_log_begin();
    g_assert_true(drv_hyper_define(f->hyper, definition, &error));
    found = disk_log_end();
    g_assert_nonnull(strstr(found, "flush qemu"));
    disk_log_begin();
    g_assert_true(drv_hyper_destroy(f->hyper, NO_UUID, TRUE, &error));
    g_free(found);
    found = disk_log_end();
    g_assert_nonnull(strstr(found, "flush qemu"));
    /* Gone already, perhaps not yet for good; and what cannot be flushed has not gone. */
    disk_log_fail("qemu", EIO);
    g_assert_false(drv_hyper_destroy(f->hyper, NO_UUID, TRUE, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_FAILED);
    disk_log_fail(NULL, 0);
}

static void test_disk_refused(fixture *f, gconstpointer data)
{
    g_autofree char *path = g_build_filename(f->directory, "a.raw", NULL);
    g_autofree char *below = g_build_filename(f->directory, "missing", "a.raw", NULL);
    g_autofree char *dots = g_build_filename(f->directory, "..", "a.raw", NULL);
    g_autofree char *link = g_build_filename(f->directory, "link", NULL);
    g_autoptr(GError) error = NULL;

    assert_create_fails(f, path, "raw", 1 << 20, G_MAXUINT64, DRV_ERROR_REFUSED, "no room");
    assert_create_fails(f, path, "vmdk", 1 << 20, 1, DRV_ERROR_REFUSED, "vmdk");
    assert_create_fails(f, path, "raw", 0, 0, DRV_ERROR_INVALID, "size");
    assert_create_fails(f, path, "raw", G_MAXUINT64, 0, DRV_ERROR_INVALID, "size");
    assert_create_fails(f, below, "raw", 1 << 20, 1, DRV_ERROR_REFUSED, "mkdir");
    assert_create_fails(f, dots, "raw", 1 << 20, 1, DRV_ERROR_INVALID, "absolute");
    assert_create_fails(f, "a.raw", "raw", 1 << 20, 1, DRV_ERROR_INVALID, "absolute");
    g_assert_cmpint(symlink("/nonexistent/elsewhere", link), ==, 0);
    assert_create_fails(f, link, "raw", 1 << 20, 1, DRV_ERROR_CONFLICT, link);
    g_assert_false(drv_hyper_disk_remove(f->hyper, link, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_REFUSED);
    g_clear_error(&error);
    g_assert_false(drv_hyper_disk_remove(f->hyper, f->directory, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_REFUSED);
    g_unlink(link);
}

/* The pool of the directory sees what was made and what was removed. */
static void test_pool(fixture *f, gconstpointer data)
{
    g_autofree char *xml =
        g_strdup_printf("<pool type='dir'><name>images</name><target><path>%s</path></target></pool>", f->directory);
    g_autoptr(virStoragePool) pool = virStoragePoolCreateXML(f->keep->connection, xml, 0);
    g_autofree char *path = g_build_filename(f->directory, "p.raw", NULL);
    g_autoptr(GError) error = NULL;

    g_assert_nonnull(pool);
    g_assert_true(drv_hyper_disk_create(f->hyper, path, "raw", 1 << 20, 1, &error));
    g_assert_no_error(error);
    g_assert_true(drv_hyper_disk_remove(f->hyper, path, &error));
    g_assert_no_error(error);
    g_assert_cmpint(virStoragePoolDestroy(pool), ==, 0);
}

/* A qcow2 image of nothing, based on @base or with @data as its data file. */
static void write_qcow2(const char *path, const char *base, const char *data)
{
    guint8 header[1024] = "QFI\xfb\0\0\0\3";
    gsize at = 104;

    header[103] = 104;
    if (data) {
        memcpy(header + at, "DATA\0\0\0", 7);
        header[at + 7] = (guint8)strlen(data);
        memcpy(header + at + 8, data, strlen(data));
    }
    if (base) {
        header[14] = 0x02; /* at 512 */
        header[19] = (guint8)strlen(base);
        memcpy(header + 512, base, strlen(base));
    }
    g_assert_true(g_file_set_contents(path, (const char *)header, sizeof header, NULL));
}

static void define_qcow2(fixture *f, const char *name, const char *path)
{
    g_autofree char *xml = g_strdup_printf(
        "<domain type='test'><name>%s</name><memory unit='MiB'>64</memory><os><type>hvm</type></os><devices>"
        "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='%s'/>"
        "<target dev='vda' bus='virtio'/></disk></devices></domain>",
        name, path);
    g_autoptr(virDomain) domain = virDomainDefineXML(f->keep->connection, xml);

    if (!domain)
        g_error("%s", virGetLastErrorMessage());
}

static void expect_use(drv_image_uses *uses, const char *path, const char *says)
{
    g_autofree char *who = drv_image_uses_of(uses, path);

    g_assert_cmpstr(who, ==, says);
}

/* What needs a file is read from the images: of VMs that are shut off libvirt does not know it. */
static void test_image_uses(fixture *f, gconstpointer data)
{
    const char *const names[] = {"golden.qcow2", "clone.qcow2", "db.qcow2", "db.data", "spare.qcow2", "alone.raw"};
    char *path[G_N_ELEMENTS(names)];
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_image_uses) uses = NULL;
    g_autoptr(drv_image_uses) others = NULL;
    g_autoptr(drv_domain) db = NULL;
    g_autoptr(GPtrArray) missing = NULL;
    g_autoptr(GPtrArray) lacks = NULL;
    g_autofree char *golden_says = NULL;
    g_autofree char *clone_says = NULL;
    g_autofree char *aside = g_build_filename(f->directory, "aside", NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        path[i] = g_build_filename(f->directory, names[i], NULL);
        g_assert_true(g_file_set_contents(path[i], "raw", 3, NULL));
    }
    write_qcow2(path[0], NULL, NULL);
    write_qcow2(path[1], "golden.qcow2", NULL);
    write_qcow2(path[2], NULL, path[3]);
    write_qcow2(path[4], "clone.qcow2", NULL); /* of no VM */
    define_qcow2(f, "clone1", path[1]);
    define_qcow2(f, "db", path[2]);
    db = drv_hyper_domain_named(f->hyper, "db", NULL);
    uses = drv_hyper_image_uses(f->hyper, NULL, &error);
    g_assert_no_error(error);
    golden_says = g_strdup_printf("VM clone1 has it as the base of its disk vda, the image %s is based on it", path[1]);
    clone_says = g_strdup_printf("VM clone1 has it as its disk vda, the image %s is based on it", path[4]);
    expect_use(uses, path[0], golden_says);
    expect_use(uses, path[1], clone_says);
    expect_use(uses, path[4], NULL);
    expect_use(uses, path[5], NULL);
    /* Without the VM that goes, and its images. */
    others = drv_hyper_image_uses(f->hyper, db->uuid, &error);
    expect_use(others, path[2], NULL);
    expect_use(others, path[3], NULL);
    /* An image that is about to be a VM's. */
    drv_image_uses_except(others, path[4]);
    expect_use(others, path[1], "VM clone1 has it as its disk vda");

    /* Asked again right before it would go, whichever way. */
    g_assert_false(drv_hyper_disk_remove(f->hyper, path[0], &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_CONFLICT);
    g_assert_nonnull(strstr(error->message, "VM clone1"));
    g_clear_error(&error);
    g_assert_false(drv_hyper_disk_set_aside(f->hyper, path[3], aside, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_CONFLICT);
    g_assert_nonnull(strstr(error->message, "VM db has it as the data file of its disk vda"));
    g_clear_error(&error);
    g_assert_true(drv_hyper_disk_remove(f->hyper, path[4], &error));
    g_assert_no_error(error);

    /* And the other way round: what a VM would not find. */
    missing = drv_hyper_missing_files(f->hyper, db->uuid, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(missing->len, ==, 0);
    g_unlink(path[3]);
    lacks = drv_hyper_missing_files(f->hyper, db->uuid, &error);
    g_assert_cmpuint(lacks->len, ==, 1);
    g_assert_cmpstr(((drv_missing_file *)lacks->pdata[0])->path, ==, path[3]);
    g_assert_cmpstr(((drv_missing_file *)lacks->pdata[0])->disk, ==, "vda");
    g_assert_null(drv_hyper_missing_files(f->hyper, NO_UUID, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND);
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        g_unlink(path[i]);
        g_free(path[i]);
    }
}

static gpointer ask_often(gpointer data)
{
    fixture *f = data;

    for (int i = 0; i < 100; i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(drv_domain) domain = drv_hyper_domain_named(f->hyper, "test", &error);
        g_assert_no_error(error);
        g_assert_cmpstr(domain->name, ==, "test");
    }
    return NULL;
}

/* More callers than idle connections are kept. */
static void test_threads(fixture *f, gconstpointer data)
{
    GThread *threads[8];

    for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("ask", ask_often, f);
    for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
}

/* libvirt's reason survives what is asked to describe the failure. */
static void test_reason(fixture *f, gconstpointer data)
{
    g_autoptr(virDomain) domain = virDomainLookupByName(f->keep->connection, "test");
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(virDomainResume(domain), <, 0);
    drv_hyper_take_error(&error, "VM %s", virDomainGetName(domain));
    g_assert_true(g_str_has_prefix(error->message, "VM test: "));
    g_assert_null(strstr(error->message, "no reason"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, data, func) g_test_add("/hyper/driver/" name, fixture, data, set_up, func, tear_down)
    ADD("host", NULL, test_host);
    ADD("domains", NULL, test_domains);
    ADD("domain", NULL, test_domain);
    ADD("image-uses", NULL, test_image_uses);
    ADD("named-like-a-uuid", NULL, test_named_like_a_uuid);
    ADD("snapshot", NULL, test_snapshot);
    ADD("resume", NULL, test_resume);
    ADD("destroy", NULL, test_destroy);
    ADD("migrate-refused", NULL, test_migrate_refused);
    ADD("disk-raw", "raw", test_disk);
    ADD("disk-qcow2", "qcow2", test_disk);
    ADD("disk-set-aside", NULL, test_disk_set_aside);
    ADD("definition-is-flushed", NULL, test_definition_is_flushed);
    ADD("disk-refused", NULL, test_disk_refused);
    ADD("pool", NULL, test_pool);
    ADD("threads", NULL, test_threads);
    ADD("reason", NULL, test_reason);
    return g_test_run();
}
