/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images at the target. QEMU mirrors a disk into a file that must be there, as large
 * as its original; libvirt itself would make it only where a storage pool has that
 * very directory. The file is made root's, mode 0600; libvirt gives it to QEMU's user
 * when it starts the incoming guest.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <gio/gio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "hyper/connection.h"
#include "hyper/domain-xml.h"

void drv_hyper_refresh_pool(virConnectPtr connection, const char *directory)
{
    g_autoptr(virStoragePool) pool = virStoragePoolLookupByTargetPath(connection, directory);

    /* No pool, or one that is not active: nothing holds a list that could go stale. */
    if (!pool || virStoragePoolRefresh(pool, 0) < 0)
        virResetLastError();
}

static gboolean check_path(const char *path, GError **error)
{
    g_autofree char *plain = g_canonicalize_filename(path, "/");

    if (!g_path_is_absolute(path) || !g_str_equal(plain, path)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "%s is no plain absolute path for a disk", path);
        return FALSE;
    }
    return TRUE;
}

static gboolean check_room(const char *directory, const char *path, guint64 needed_bytes,
                           GError **error)
{
    struct statvfs fs;
    guint64 free_bytes;

    if (statvfs(directory, &fs) < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED,
                        "there is no directory %s for the disk %s on this host: make it (mkdir -p), "
                        "or mount what belongs there", directory, path);
        else
            g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot look at %s: %s", directory,
                        g_strerror(errno));
        return FALSE;
    }
    free_bytes = (guint64)fs.f_bavail * fs.f_frsize;
    if (free_bytes < needed_bytes) {
        g_autofree char *needed = g_format_size_full(needed_bytes, G_FORMAT_SIZE_IEC_UNITS);
        g_autofree char *there = g_format_size_full(free_bytes, G_FORMAT_SIZE_IEC_UNITS);

        g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED,
                    "no room for the disk %s on this host: it needs %s, %s are free in %s; free some "
                    "space there or choose another host", path, needed, there, directory);
        return FALSE;
    }
    return TRUE;
}

static gboolean make_qcow2(const char *path, guint64 capacity_bytes, GError **error)
{
    g_autofree char *size = g_strdup_printf("%" G_GUINT64_FORMAT, capacity_bytes);
    g_autoptr(GError) failure = NULL;
    g_autofree char *output = NULL;
    g_autoptr(GSubprocess) child =
        g_subprocess_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_MERGE, &failure,
                         "qemu-img", "create", "-q", "-f", "qcow2", "--", path, size, NULL);

    if (!child || !g_subprocess_communicate_utf8(child, NULL, NULL, &output, NULL, &failure)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED,
                    "cannot run qemu-img for the disk %s: %s (Debian: apt install qemu-utils)", path,
                    failure->message);
        return FALSE;
    }
    if (!g_subprocess_get_successful(child)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "qemu-img cannot make the disk %s: %s", path,
                    g_strstrip(output));
        return FALSE;
    }
    return TRUE;
}

gboolean drv_hyper_disk_create(drv_hyper *hyper, const char *path, const char *format,
                               guint64 capacity_bytes, guint64 needed_bytes, GError **error)
{
    gboolean raw = g_strcmp0(format, "raw") == 0;
    g_autofree char *directory = NULL;
    g_autoptr(drv_lease) lease = NULL;
    gboolean good;
    int fd;

    if (!check_path(path, error))
        return FALSE;
    if (!raw && g_strcmp0(format, "qcow2") != 0) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED,
                    "disk %s has the format %s: Drover can copy raw and qcow2 disks; convert it "
                    "(qemu-img convert) or put it on shared storage", path, format ? format : "?");
        return FALSE;
    }
    if (capacity_bytes == 0 || capacity_bytes > G_MAXINT64) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "disk %s cannot have a size of %"
                    G_GUINT64_FORMAT " bytes", path, capacity_bytes);
        return FALSE;
    }
    directory = g_path_get_dirname(path);
    if (!check_room(directory, path, needed_bytes, error))
        return FALSE;
    lease = drv_hyper_lease(hyper, error);
    if (!lease)
        return FALSE;

    fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        if (errno == EEXIST)
            g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                        "%s exists on this host already: Drover does not overwrite it; move it away "
                        "if nothing needs it", path);
        else
            g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot make the disk %s: %s", path,
                        g_strerror(errno));
        return FALSE;
    }
    /* qemu-img writes into the file that is there now: nobody else's can be hit. */
    good = fchmod(fd, 0600) == 0 && (!raw || ftruncate(fd, (off_t)capacity_bytes) == 0);
    if (!good)
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot make the disk %s: %s", path,
                    g_strerror(errno));
    close(fd);
    if (good && !raw)
        good = make_qcow2(path, capacity_bytes, error);
    if (!good)
        unlink(path);
    drv_hyper_refresh_pool(lease->connection, directory);
    return good;
}

/* How a disk may be known to a domain: by its file, or as a volume of a pool. */
typedef struct {
    struct stat file;
    char *volume; /* "pool/volume", or NULL */
} disk_identity;

static char *volume_of(virConnectPtr connection, const char *path)
{
    g_autoptr(virStorageVol) volume = virStorageVolLookupByPath(connection, path);
    g_autoptr(virStoragePool) pool = volume ? virStoragePoolLookupByVolume(volume) : NULL;

    if (pool)
        return g_strdup_printf("%s/%s", virStoragePoolGetName(pool), virStorageVolGetName(volume));
    virResetLastError();
    return NULL;
}

static gboolean is_same(const disk_identity *identity, const char *source)
{
    struct stat file;

    if (identity->volume && g_str_equal(identity->volume, source))
        return TRUE;
    return stat(source, &file) == 0 && file.st_dev == identity->file.st_dev &&
           file.st_ino == identity->file.st_ino;
}

/* 1: uses it; 0: does not, or is gone; -1 and @error: cannot be told. */
static int uses(virDomainPtr domain, unsigned flags, const disk_identity *identity, GError **error)
{
    char *xml = virDomainGetXMLDesc(domain, flags);
    g_autoptr(GPtrArray) files = xml ? drv_domain_xml_files(xml) : NULL;

    free(xml);
    if (!files) {
        if (virGetLastErrorCode() == VIR_ERR_NO_DOMAIN)
            return 0;
        drv_hyper_take_error(error, "cannot read which disks VM %s uses", virDomainGetName(domain));
        return -1;
    }
    for (guint i = 0; i < files->len; i++)
        if (is_same(identity, g_ptr_array_index(files, i)))
            return 1;
    return 0;
}

/* FALSE, and @error, also when that cannot be found out. */
static gboolean check_unused(virConnectPtr connection, const char *path,
                             const disk_identity *identity, GError **error)
{
    virDomainPtr *domains = NULL;
    int count = virConnectListAllDomains(connection, &domains, 0);
    gboolean unused = TRUE;

    if (count < 0) {
        drv_hyper_take_error(error, "cannot find out whether a VM uses the disk %s", path);
        return FALSE;
    }
    for (int i = 0; i < count; i++) {
        /* As it runs, and as it will start the next time. */
        int used = unused ? uses(domains[i], 0, identity, error) : 0;

        if (unused && used == 0)
            used = uses(domains[i], VIR_DOMAIN_XML_INACTIVE, identity, error);
        if (used > 0)
            g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "VM %s uses the disk %s: it is kept",
                        virDomainGetName(domains[i]), path);
        if (used != 0)
            unused = FALSE;
        virDomainFree(domains[i]);
    }
    free(domains);
    virResetLastError();
    return unused;
}

/* Away with it: removed, or, with @to, renamed. 1: done; 0: there is none; -1 and @error. */
static int put_away(drv_hyper *hyper, const char *path, const char *to, GError **error)
{
    g_autoptr(drv_lease) lease = NULL;
    g_autofree char *directory = NULL;
    disk_identity identity = {0};
    gboolean unused;

    if (!check_path(path, error))
        return -1;
    if (lstat(path, &identity.file) < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return 0;
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot look at the disk %s: %s", path,
                    g_strerror(errno));
        return -1;
    }
    if (!S_ISREG(identity.file.st_mode)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED,
                    "%s is not a plain file: Drover removes only image files", path);
        return -1;
    }
    lease = drv_hyper_lease(hyper, error);
    if (!lease)
        return -1;
    identity.volume = volume_of(lease->connection, path);
    unused = check_unused(lease->connection, path, &identity, error);
    g_free(identity.volume);
    if (!unused)
        return -1;
    if (to ? chown(path, 0, 0) < 0 || chmod(path, 0600) < 0 || rename(path, to) < 0
           : unlink(path) < 0 && errno != ENOENT) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot %s the disk %s: %s",
                    to ? "set aside" : "remove", path, g_strerror(errno));
        return -1;
    }
    directory = g_path_get_dirname(path);
    drv_hyper_refresh_pool(lease->connection, directory);
    return 1;
}

gboolean drv_hyper_disk_remove(drv_hyper *hyper, const char *path, GError **error)
{
    return put_away(hyper, path, NULL, error) >= 0;
}

gboolean drv_hyper_disk_set_aside(drv_hyper *hyper, const char *path, const char *to, GError **error)
{
    int done = put_away(hyper, path, to, error);

    if (done == 0)
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "there is no disk %s", path);
    return done > 0;
}
