/* SPDX-License-Identifier: Apache-2.0 */
/* What a path on this host is: see probe.h. */
#include "hyper/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"

#define MARKER_PREFIX ".drover-probe-"
#define BLANK_BYTES (1 << 20)
#define WHOLE_BYTES ((guint64)256 << 20)
#define WHOLE_MOST_BYTES ((guint64)2 << 30)
#define PIECE_BYTES (64 << 10)
#define PIECES 256

static void fail(GError **error, const char *what, const char *path)
{
    int saved = errno;

    g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot %s %s: %s", what, path, g_strerror(saved));
}

/* ---- devices ---- */

static void add_sysfs(GPtrArray *ids, const char *kind, const char *directory, const char *name)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    g_autofree char *text = NULL;

    if (g_file_get_contents(path, &text, NULL, NULL) && *g_strstrip(text))
        g_ptr_array_add(ids, g_strdup_printf("%s:%s", kind, text));
}

/* What is the same on every host that sees this device, and on no other device. */
static GPtrArray *device_ids(dev_t device)
{
    GPtrArray *ids = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *directory = g_strdup_printf("/sys/dev/block/%u:%u", major(device), minor(device));
    g_autofree char *partition_file = g_build_filename(directory, "partition", NULL);
    g_autofree char *partition = NULL;
    g_autofree char *parent = NULL;

    if (g_file_get_contents(partition_file, &partition, NULL, NULL)) {
        parent = g_build_filename(directory, "..", NULL);
        g_strstrip(partition);
    }
    add_sysfs(ids, "dm", directory, "dm/uuid");
    add_sysfs(ids, "wwid", parent ? parent : directory, "wwid");
    add_sysfs(ids, "wwid", parent ? parent : directory, "device/wwid");
    add_sysfs(ids, "serial", parent ? parent : directory, "serial");
    for (guint i = 0; partition && i < ids->len; i++) {
        char *whole = ids->pdata[i];

        ids->pdata[i] = g_strdup_printf("%s part %s", whole, partition);
        g_free(whole);
    }
    return ids;
}

static gboolean known_as_shared(const char *path)
{
    /* As libvirt's virFileIsSharedFS() has it. */
    static const guint32 shared[] = {NFS_SUPER_MAGIC,      0x01161970 /* GFS2 */, OCFS2_SUPER_MAGIC,
                                     0x5346414f /* AFS */, SMB_SUPER_MAGIC,       CIFS_SUPER_MAGIC,
                                     CEPH_SUPER_MAGIC,     0x47504653 /* GPFS */, 0x19750822};
    struct statfs fs;

    if (statfs(path, &fs) < 0)
        return FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(shared); i++)
        if ((guint32)fs.f_type == shared[i])
            return TRUE;
    return FALSE;
}

gboolean drv_probe_file(const char *path, drv_file_facts *facts, GError **error)
{
    drv_autoclose int fd = -1;
    struct stat st;

    memset(facts, 0, sizeof *facts);
    if (!g_path_is_absolute(path)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "%s is no absolute path", path);
        return FALSE;
    }
    if (stat(path, &st) < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return TRUE;
        fail(error, "look at", path);
        return FALSE;
    }
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED, "%s is neither a file nor a block device", path);
        return FALSE;
    }
    facts->exists = TRUE;
    facts->inode = st.st_ino;
    facts->modified_ns = (gint64)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    if (S_ISREG(st.st_mode)) {
        facts->size_bytes = (guint64)st.st_size;
        facts->allocation_bytes = (guint64)st.st_blocks * 512;
        facts->known_shared = known_as_shared(path);
        return TRUE;
    }
    facts->block = TRUE;
    facts->ids = device_ids(st.st_rdev);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || ioctl(fd, BLKGETSIZE64, &facts->size_bytes) < 0) {
        fail(error, "read the size of", path);
        drv_file_facts_clear(facts);
        return FALSE;
    }
    facts->allocation_bytes = facts->size_bytes;
    return TRUE;
}

void drv_file_facts_clear(drv_file_facts *facts)
{
    g_clear_pointer(&facts->ids, g_ptr_array_unref);
}

gboolean drv_probe_room(const char *directory, guint64 *free_bytes, char **name, GError **error)
{
    struct statvfs fs;
    struct stat st;

    if (statvfs(directory, &fs) < 0 || stat(directory, &st) < 0) {
        fail(error, "look at", directory);
        return FALSE;
    }
    *free_bytes = (guint64)fs.f_bavail * fs.f_frsize;
    *name = g_strdup_printf("%u:%u", major(st.st_dev), minor(st.st_dev));
    return TRUE;
}

/* ---- markers ---- */

char *drv_probe_marker(const char *path, const char *token)
{
    g_autofree char *directory = g_path_get_dirname(path);
    g_autofree char *name = g_strconcat(MARKER_PREFIX, token, NULL);

    return g_build_filename(directory, name, NULL);
}

char *drv_probe_mark(const char *path, const char *token, GError **error)
{
    g_autofree char *marker = drv_probe_marker(path, token);
    drv_autoclose int fd = open(marker, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);

    if (fd < 0) {
        fail(error, "write", marker);
        return NULL;
    }
    if (write(fd, token, strlen(token)) != (ssize_t)strlen(token) || fsync(fd) < 0) {
        fail(error, "write", marker);
        g_unlink(marker);
        return NULL;
    }
    return g_steal_pointer(&marker);
}

gboolean drv_probe_sees(const char *marker, const char *token)
{
    g_autofree char *base = g_path_get_basename(marker);
    char text[80] = "";
    drv_autoclose int fd = -1;
    ssize_t length;

    if (!g_path_is_absolute(marker) || !g_str_has_prefix(base, MARKER_PREFIX))
        return FALSE;
    fd = open(marker, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return FALSE;
    length = read(fd, text, sizeof text - 1);
    return length > 0 && g_str_equal(text, token);
}

gboolean drv_probe_unmark(const char *marker, const char *token)
{
    g_autofree char *base = g_path_get_basename(marker);
    g_autofree char *name = g_strconcat(MARKER_PREFIX, token, NULL);

    if (!g_path_is_absolute(marker) || !g_str_equal(base, name)) {
        errno = EINVAL;
        return FALSE;
    }
    return unlink(marker) == 0 || errno == ENOENT || errno == ENOTDIR;
}

/* ---- contents ---- */

static gboolean ends_of(int fd, const char *path, off_t *last, GError **error)
{
    off_t size = lseek(fd, 0, SEEK_END);

    if (size < 0) {
        fail(error, "look at", path);
        return FALSE;
    }
    *last = MAX(size - BLANK_BYTES, 0);
    return TRUE;
}

/* Return: a descriptor, and where the last piece begins; -1. */
static int open_ends(const char *path, int flags, off_t *last, GError **error)
{
    drv_autoclose int fd = open(path, flags | O_CLOEXEC);

    if (fd < 0) {
        fail(error, "open", path);
        return -1;
    }
    return ends_of(fd, path, last, error) ? drv_steal_fd(&fd) : -1;
}

/* A file system, a volume group, a swap or a partition that is in use has its device for itself. */
gboolean drv_probe_is_unused(const char *path, GError **error)
{
    drv_autoclose int fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK);
    struct stat st;

    if (fd < 0) {
        fail(error, "open", path);
        return FALSE;
    }
    if (fstat(fd, &st) == 0 && S_ISBLK(st.st_mode))
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED, "%s is not a block device", path);
    return FALSE;
}

gboolean drv_probe_is_blank(const char *path, GError **error)
{
    off_t at[2] = {0, 0};
    drv_autoclose int fd = open_ends(path, O_RDONLY, &at[1], error);
    g_autofree char *buffer = g_malloc(BLANK_BYTES);

    if (fd < 0)
        return FALSE;
    for (guint i = 0; i < 2; i++) {
        ssize_t length = pread(fd, buffer, BLANK_BYTES, at[i]);

        if (length < 0) {
            fail(error, "read", path);
            return FALSE;
        }
        for (ssize_t j = 0; j < length; j++)
            if (buffer[j]) {
                g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED,
                            "%s is not empty; if nothing needs what is on it, wipe it (blkdiscard "
                            "-z, or dd from /dev/zero)",
                            path);
                return FALSE;
            }
    }
    return TRUE;
}

gboolean drv_probe_blank(const char *path, GError **error)
{
    off_t at[2] = {0, 0};
    drv_autoclose int fd = open_ends(path, O_WRONLY | O_EXCL, &at[1], error);
    g_autofree char *zeros = g_malloc0(BLANK_BYTES);

    if (fd < 0)
        return FALSE;
    for (guint i = 0; i < 2; i++)
        if (pwrite(fd, zeros, BLANK_BYTES, at[i]) < 0) {
            fail(error, "wipe", path);
            return FALSE;
        }
    if (fsync(fd) < 0) {
        fail(error, "wipe", path);
        return FALSE;
    }
    return TRUE;
}

char *drv_probe_digest(const char *path, gboolean whole, GError **error)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    drv_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    g_autofree guchar *buffer = g_malloc(PIECE_BYTES);
    g_autofree char *length_text = NULL;
    guint64 size, pieces;
    off_t end;

    if (fd < 0 || (end = lseek(fd, 0, SEEK_END)) < 0) {
        fail(error, "read", path);
        return NULL;
    }
    size = (guint64)end;
    if (whole && size > WHOLE_MOST_BYTES) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED, "%s is too large to be read as a whole", path);
        return NULL;
    }
    length_text = g_strdup_printf("%" G_GUINT64_FORMAT, size);
    g_checksum_update(sum, (const guchar *)length_text, -1);
    if (whole || size <= WHOLE_BYTES)
        pieces = (size + PIECE_BYTES - 1) / PIECE_BYTES;
    else
        pieces = PIECES;
    for (guint64 i = 0; i < pieces; i++) {
        /* Of a large one the first and the last piece are at its ends. */
        guint64 offset =
            pieces == PIECES && size > WHOLE_BYTES && !whole
                ? (size - PIECE_BYTES) / (PIECES - 1) * i + (i == PIECES - 1 ? (size - PIECE_BYTES) % (PIECES - 1) : 0)
                : i * PIECE_BYTES;
        ssize_t got = pread(fd, buffer, PIECE_BYTES, (off_t)offset);

        if (got <= 0) {
            fail(error, "read", path);
            return NULL;
        }
        g_checksum_update(sum, buffer, got);
    }
    return g_strdup(g_checksum_get_string(sum));
}
