/* SPDX-License-Identifier: Apache-2.0 */
/* doctor: the programs and files that Drover keeps on this host. */
#include "cli/doctor-files.h"

#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/paths.h"
#include "cli/doctor.h"
#include "cli/units.h"
#include "cluster/pki.h"
#include "drv-config.h"
#include "hyper/admission.h"

#define EXPIRY_SOON_S (30 * 86400)

#ifndef CIFS_SUPER_MAGIC
#define CIFS_SUPER_MAGIC 0xFF534D42
#endif
#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif

/* The relay in its place, or, when this drover runs from a build tree, the one built with it. */
static char *find_relay(void)
{
    static const char *const beside[] = {"drover-relay", "../relay/drover-relay"};
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *folder = g_path_get_dirname(self ? self : "/");

    if (access(DRV_RELAY_PROGRAM, F_OK) == 0)
        return g_strdup(DRV_RELAY_PROGRAM);
    for (gsize i = 0; i < G_N_ELEMENTS(beside); i++) {
        g_autofree char *path = g_canonicalize_filename(beside[i], folder);

        if (access(path, F_OK) == 0)
            return g_steal_pointer(&path);
    }
    return NULL;
}

void drv_check_relay_program(drv_doctor *doctor, const char *name)
{
    g_autofree char *path = find_relay();

    if (!path)
        drv_doctor_found(doctor, DRV_CHECK_PROBLEM, name,
                         g_strdup("install Drover whole (meson install, or the package)"),
                         "there is no " DRV_RELAY_PROGRAM ", without which nothing moves");
    else if (access(path, X_OK) < 0)
        drv_doctor_found(doctor, DRV_CHECK_PROBLEM, name, g_strdup_printf("chmod 755 %s", path), "%s cannot be run: %s",
                         path, g_strerror(errno));
    else
        drv_doctor_ok(doctor, name, "%s", path);
}

void drv_check_admission(drv_doctor *doctor, const char *name)
{
    g_autofree char *path = drv_doctor_path(doctor, DRV_ADMISSION_FILE);
    g_autoptr(drv_admission) admission = drv_admission_new();
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;

    if (!g_file_get_contents(path, &text, NULL, &error)) {
        if (g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
            drv_doctor_ok(doctor, name, "no " DRV_ADMISSION_FILE ": VMs come in by the usual rules");
        else
            drv_doctor_found(doctor, DRV_CHECK_PROBLEM, name, g_strdup_printf("chmod 644 %s", path),
                             "droverd goes by the usual rules alone: %s", error->message);
    } else if (drv_admission_parse(admission, text, &error)) {
        drv_doctor_ok(doctor, name, "%s is understood", path);
    } else {
        drv_doctor_found(doctor, DRV_CHECK_PROBLEM, name, g_strdup("correct the line: droverd reads it for each VM"),
                         "%s: %s", path, error->message);
    }
}

/* @path, or the nearest folder above it that exists. */
static char *existing(const char *path)
{
    char *at = g_strdup(path);

    while (access(at, F_OK) < 0 && strlen(at) > 1) {
        char *up = g_path_get_dirname(at);

        g_free(at);
        at = up;
    }
    return at;
}

/* The name of a network file system on which sockets between processes do not work. */
static const char *remote_kind(const char *path)
{
    struct statfs fs;

    if (statfs(path, &fs) < 0)
        return NULL;
    switch ((guint32)fs.f_type) {
    case NFS_SUPER_MAGIC:
        return "NFS";
    case CIFS_SUPER_MAGIC:
    case SMB2_SUPER_MAGIC:
        return "SMB";
    case V9FS_MAGIC:
        return "9p";
    case FUSE_SUPER_MAGIC:
        return "FUSE";
    case CEPH_SUPER_MAGIC:
        return "CephFS";
    default:
        return NULL;
    }
}

void drv_check_sessions(drv_doctor *doctor, const char *name)
{
    g_autofree char *wanted = drv_doctor_path(doctor, DRV_SESSIONS_DIR);
    g_autofree char *path = existing(wanted);

    if (remote_kind(path))
        drv_doctor_found(doctor, DRV_CHECK_PROBLEM, name, g_strdup_printf("mount a tmpfs at %s", DRV_RUN_DIR),
                         "%s is on %s, where unix sockets do not work", path, remote_kind(path));
    else if (access(path, W_OK | X_OK) < 0)
        drv_doctor_found(doctor, geteuid() ? DRV_CHECK_WARNING : DRV_CHECK_PROBLEM, name,
                         g_strdup("droverd makes its sockets there; mount it writable"), "%s cannot be written: %s",
                         path, g_strerror(errno));
    else if (g_str_equal(path, wanted))
        drv_doctor_ok(doctor, name, "%s is writable", path);
    else
        drv_doctor_ok(doctor, name, "droverd will make it in %s, which is writable", path);
}

static gboolean is_sqlite(const char *path)
{
    char head[16] = {0};
    FILE *file = fopen(path, "re");
    gsize got = file ? fread(head, 1, sizeof(head), file) : 0;

    if (file)
        fclose(file);
    /* One that was made and not yet written to is empty. */
    return file && (got == 0 || memcmp(head, "SQLite format 3", sizeof(head)) == 0);
}

void drv_check_store(drv_doctor *doctor, const char *name)
{
    g_autofree char *folder = drv_doctor_path(doctor, DRV_STATE_DIR);
    g_autofree char *file = g_build_filename(folder, "drover.db", NULL);
    g_autofree char *path = existing(folder);
    g_autofree char *room = NULL;
    struct statvfs fs;
    guint64 free_bytes;

    if (access(file, F_OK) == 0 && !is_sqlite(file)) {
        drv_doctor_found(doctor, DRV_CHECK_PROBLEM, name,
                         g_strdup_printf("stop droverd, move %s away or restore it from a backup", file),
                         "%s cannot be read, or is not what droverd wrote", file);
        return;
    }
    if (statvfs(path, &fs) < 0 || access(path, W_OK) < 0) {
        drv_doctor_found(doctor, geteuid() ? DRV_CHECK_WARNING : DRV_CHECK_PROBLEM, name,
                         g_strdup_printf("make %s a writable directory", folder), "%s cannot be written: %s", path,
                         g_strerror(errno));
        return;
    }
    free_bytes = (guint64)fs.f_bavail * fs.f_frsize;
    room = drv_units_bytes(free_bytes);
    if (free_bytes < DRV_STORE_LOW_BYTES)
        drv_doctor_found(doctor, free_bytes < DRV_STORE_LEAST_BYTES ? DRV_CHECK_PROBLEM : DRV_CHECK_WARNING, name,
                         g_strdup_printf("make room on the file system of %s", path), "only %s free in %s", room, path);
    else
        drv_doctor_ok(doctor, name, "%s free in %s", room, path);
}

/* Keys that somebody else than root can read are not secret. */
static gboolean keys_are_secret(drv_doctor *doctor, const char *name)
{
    static const char *const keys[] = {"node.key", "ca.key", "operator.key"};

    for (gsize i = 0; i < G_N_ELEMENTS(keys); i++) {
        g_autofree char *file = g_build_filename(DRV_ETC_DIR, keys[i], NULL);
        g_autofree char *path = drv_doctor_path(doctor, file);
        struct stat st;

        /* The last bits: of the operator's key a group may be let read, of others nobody. */
        if (stat(path, &st) == 0 && (st.st_mode & (i == 2 ? 0037 : 0077))) {
            drv_doctor_found(doctor, DRV_CHECK_PROBLEM, name, g_strdup_printf("chmod 600 %s", path),
                             "%s may be read by others than its owner (mode %04o)", path,
                             (unsigned)(st.st_mode & 07777));
            return FALSE;
        }
    }
    return TRUE;
}

void drv_check_identity(drv_doctor *doctor, const char *name)
{
    g_autofree char *etc = drv_doctor_path(doctor, DRV_ETC_DIR);
    g_autoptr(GError) error = NULL;
    gnutls_x509_crt_t leaf;
    gint64 left_s;

    doctor->identity = drv_identity_load(etc, &error);
    if (!doctor->identity) {
        drv_doctor_found(doctor, DRV_CHECK_PROBLEM, name,
                         g_strdup(g_error_matches(error, DRV_ERROR, DRV_ERROR_NOT_FOUND)
                                      ? "drover init (the first host) or drover join (each other one)"
                                      : "as root, restore " DRV_ETC_DIR " from a backup; or empty it and join again"),
                         "%s", error->message);
        return;
    }
    if (!keys_are_secret(doctor, name))
        return;
    leaf = drv_pki_load(doctor->identity->node_pem, &error);
    if (!leaf) {
        drv_doctor_found(doctor, DRV_CHECK_PROBLEM, name, g_strdup("join again"), "%s", error->message);
        return;
    }
    left_s = (gint64)gnutls_x509_crt_get_expiration_time(leaf) - drv_clock_real_ms() / 1000;
    gnutls_x509_crt_deinit(leaf);
    if (left_s < EXPIRY_SOON_S) {
        g_autofree char *left = drv_units_duration((guint64)MAX(left_s, 0) * 1000);

        drv_doctor_found(doctor, DRV_CHECK_WARNING, name,
                         g_strdup("revoke this node, empty " DRV_ETC_DIR " and join again"),
                         "the certificate of node %s expires in %s", doctor->identity->node, left);
    } else {
        drv_doctor_ok(doctor, name, "node %s of cluster %s, its certificate good for %" G_GINT64_FORMAT " days",
                      doctor->identity->node, doctor->identity->cluster, left_s / 86400);
    }
}
