/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images at the target. QEMU mirrors a disk into a file that must be there, as large
 * as its original; libvirt itself would make it only where a storage pool has that
 * very directory. The file is made root's, mode 0600; libvirt gives it to QEMU's user
 * when it starts the incoming guest.
 */
#include "hyper/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <gio/gio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/durable.h"
#include "hyper/connection.h"
#include "hyper/image-uses.h"

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
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "%s is no plain absolute path for a disk", path);
        return FALSE;
    }
    return TRUE;
}

static gboolean check_room(const char *directory, const char *path, guint64 needed_bytes, GError **error)
{
    struct statvfs fs;
    guint64 free_bytes;

    if (statvfs(directory, &fs) < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED,
                        "there is no directory %s for the disk %s on this host: make it (mkdir -p), "
                        "or mount what belongs there",
                        directory, path);
        else
            g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot look at %s: %s", directory, g_strerror(errno));
        return FALSE;
    }
    free_bytes = (guint64)fs.f_bavail * fs.f_frsize;
    if (free_bytes < needed_bytes) {
        g_autofree char *needed = g_format_size_full(needed_bytes, G_FORMAT_SIZE_IEC_UNITS);
        g_autofree char *there = g_format_size_full(free_bytes, G_FORMAT_SIZE_IEC_UNITS);

        g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED,
                    "no room for the disk %s on this host: it needs %s, %s are free in %s; free some "
                    "space there or choose another host",
                    path, needed, there, directory);
        return FALSE;
    }
    return TRUE;
}

/*
 * QEMU finds out how direct I/O must be aligned by reading the beginning of the file, and of a hole every
 * read is good: it then takes the largest alignment for needed, and a size that is no multiple of it for
 * unwritable. So the first block is written, as qemu-img create does (allocate_first_block()).
 */
#define FIRST_BLOCK_BYTES 4096

static gboolean make_raw(int fd, guint64 capacity_bytes)
{
    static const char zeros[FIRST_BLOCK_BYTES];
    gsize bytes = capacity_bytes < FIRST_BLOCK_BYTES ? (gsize)MIN(capacity_bytes, 512) : FIRST_BLOCK_BYTES;

    return ftruncate(fd, (off_t)capacity_bytes) == 0 && pwrite(fd, zeros, bytes, 0) == (gssize)bytes;
}

static gboolean make_qcow2(const char *path, guint64 capacity_bytes, GError **error)
{
    g_autofree char *size = g_strdup_printf("%" G_GUINT64_FORMAT, capacity_bytes);
    g_autoptr(GError) failure = NULL;
    g_autofree char *output = NULL;
    g_autoptr(GSubprocess) child =
        g_subprocess_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_MERGE, &failure, "qemu-img",
                         "create", "-q", "-f", "qcow2", "--", path, size, NULL);

    if (!child || !g_subprocess_communicate_utf8(child, NULL, NULL, &output, NULL, &failure)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED,
                    "cannot run qemu-img for the disk %s: %s (Debian: apt install qemu-utils)", path, failure->message);
        return FALSE;
    }
    if (!g_subprocess_get_successful(child)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "qemu-img cannot make the disk %s: %s", path,
                    g_strstrip(output));
        return FALSE;
    }
    return TRUE;
}

gboolean drv_hyper_disk_create(drv_hyper *hyper, const char *path, const char *format, guint64 capacity_bytes,
                               guint64 needed_bytes, GError **error)
{
    gboolean raw = g_strcmp0(format, "raw") == 0;
    g_autofree char *directory = NULL;
    g_autoptr(drv_lease) lease = NULL;
    struct drv_error problem = {0};
    gboolean good;
    int fd;

    if (!check_path(path, error))
        return FALSE;
    if (!raw && g_strcmp0(format, "qcow2") != 0) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED,
                    "disk %s has the format %s: Drover can copy raw and qcow2 disks; convert it "
                    "(qemu-img convert) or put it on shared storage",
                    path, format ? format : "?");
        return FALSE;
    }
    if (capacity_bytes == 0 || capacity_bytes > G_MAXINT64) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "disk %s cannot have a size of %" G_GUINT64_FORMAT " bytes",
                    path, capacity_bytes);
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
                        "if nothing needs it",
                        path);
        else
            g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot make the disk %s: %s", path, g_strerror(errno));
        return FALSE;
    }
    /* qemu-img writes into the file that is there now: nobody else's can be hit. */
    good = fchmod(fd, 0600) == 0 && (!raw || make_raw(fd, capacity_bytes));
    if (!good)
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot make the disk %s: %s", path, g_strerror(errno));
    close(fd);
    if (good && !raw)
        good = make_qcow2(path, capacity_bytes, error);
    /* Its entry as well: what a guest flushes into it later must be found. */
    if (good && drv_durable_file(path, &problem)) {
        drv_gerror_from(error, DRV_ERROR_FAILED, &problem);
        good = FALSE;
    }
    if (!good)
        unlink(path);
    drv_hyper_refresh_pool(lease->connection, directory);
    return good;
}

/* FALSE, and @error, also when that cannot be found out. */
static gboolean check_unused(drv_hyper *hyper, const char *path, GError **error)
{
    g_autoptr(drv_image_uses) uses = drv_hyper_image_uses(hyper, NULL, error);
    g_autofree char *who = uses ? drv_image_uses_of(uses, path) : NULL;

    if (who)
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "the disk %s is kept: %s", path, who);
    return uses && !who;
}

/* Away with it: removed, or, with @to, renamed. 1: done; 0: there is none; -1 and @error. */
static int put_away(drv_hyper *hyper, const char *path, const char *to, GError **error)
{
    g_autoptr(drv_lease) lease = NULL;
    g_autofree char *directory = NULL;
    struct drv_error problem = {0};
    struct stat file;
    int rc;

    if (!check_path(path, error))
        return -1;
    if (lstat(path, &file) < 0) {
        /* Whoever has removed it may have been killed before that was on the disk. */
        if ((errno == ENOENT || errno == ENOTDIR) && !drv_durable_unlink(path, &problem))
            return 0;
        if (problem.code)
            errno = problem.code;
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot look at the disk %s: %s", path, g_strerror(errno));
        return -1;
    }
    if (!S_ISREG(file.st_mode)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED, "%s is not a plain file: Drover removes only image files",
                    path);
        return -1;
    }
    if (!check_unused(hyper, path, error))
        return -1;
    lease = drv_hyper_lease(hyper, error);
    if (!lease)
        return -1;
    if (to && (chown(path, 0, 0) < 0 || chmod(path, 0600) < 0))
        rc = drv_error_set(&problem, errno, "cannot take %s: %s", path, g_strerror(errno));
    else
        rc = to ? drv_durable_rename(path, to, &problem) : drv_durable_unlink(path, &problem);
    if (rc < 0) {
        drv_error_prefix(&problem, "cannot %s the disk %s", to ? "set aside" : "remove", path);
        drv_gerror_from(error, DRV_ERROR_FAILED, &problem);
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
