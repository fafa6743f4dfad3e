/* SPDX-License-Identifier: Apache-2.0 */
/* Files below a directory: see beneath.h. */
#include "base/beneath.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

#define DEPTH_MOST 32
#define NAME_SIZE 256

static bool is_plain(const char *path)
{
    const char *at = path;

    if (!*path)
        return true;
    for (;;) {
        size_t length = strcspn(at, "/");

        if (!length || length >= NAME_SIZE || (length == 1 && at[0] == '.') ||
            (length == 2 && at[0] == '.' && at[1] == '.'))
            return false;
        if (!at[length])
            return true;
        at += length + 1;
    }
}

/* O_NOFOLLOW with O_DIRECTORY says of a link only that it is no directory. */
static int open_part(int at, const char *name, int flags, mode_t mode)
{
    int fd = openat(at, name, flags | O_NOFOLLOW | O_CLOEXEC, mode);
    struct stat info;

    if (fd >= 0)
        return fd;
    if (errno == ENOTDIR && fstatat(at, name, &info, AT_SYMLINK_NOFOLLOW) == 0)
        return S_ISLNK(info.st_mode) ? -ELOOP : -ENOTDIR;
    return -errno;
}

/* Part by part: no link is followed, and a part is never "..". */
static int walk(int root, const char *path, int flags, mode_t mode)
{
    drv_autoclose int at = -1;
    const char *slash;

    while ((slash = strchr(path, '/'))) {
        char part[NAME_SIZE];
        int next;

        memcpy(part, path, (size_t)(slash - path));
        part[slash - path] = '\0';
        next = open_part(at < 0 ? root : at, part, O_PATH | O_DIRECTORY, 0);
        if (next < 0)
            return next;
        if (at >= 0)
            close(at);
        at = next;
        path = slash + 1;
    }
    return open_part(at < 0 ? root : at, path, flags, mode);
}

static int open_below(int root, const char *path, int flags, mode_t mode)
{
    struct open_how how = {.flags = (unsigned)flags | O_CLOEXEC,
                           .mode = flags & O_CREAT ? mode : 0,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    long fd = syscall(SYS_openat2, root, path, &how, sizeof how);

    if (fd >= 0)
        return (int)fd;
    /* A filter that does not know the call says one of these, as an older kernel does the first. */
    if (errno == ENOSYS || errno == EPERM)
        return walk(root, path, flags, mode);
    return -errno;
}

int drv_beneath_open(int root, const char *path, int flags, mode_t mode, struct drv_error *err)
{
    int fd;

    if (!is_plain(path))
        return drv_error_set(err, EINVAL, "'%.128s' is not a plain path below a directory", path);
    fd = *path ? open_below(root, path, flags, mode)
               : openat(root, ".", (flags & ~(O_CREAT | O_EXCL)) | O_DIRECTORY | O_CLOEXEC);
    if (fd == -1)
        fd = -errno;
    if (fd < 0)
        return drv_error_set(err, -fd, "cannot open %s: %s", *path ? path : ".",
                             fd == -ELOOP ? "a part of it is a symbolic link" : strerror(-fd));
    return fd;
}

int drv_beneath_root(const char *path, struct drv_error *err)
{
    drv_autoclose int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd;

    if (top < 0)
        return drv_error_set(err, errno, "cannot open /: %s", strerror(errno));
    if (path[0] != '/')
        return drv_error_set(err, EINVAL, "'%.128s' is not an absolute path", path);
    fd = drv_beneath_open(top, path + 1, O_PATH | O_DIRECTORY, 0, err);
    if (fd < 0)
        drv_error_prefix(err, "%.128s", path);
    return fd;
}

int drv_beneath_mkdir(int root, const char *path, mode_t mode, struct drv_error *err)
{
    const char *slash = strrchr(path, '/');
    char parent[4096] = "";
    drv_autoclose int at = -1;

    if (!is_plain(path) || !*path || (slash && (size_t)(slash - path) >= sizeof parent))
        return drv_error_set(err, EINVAL, "'%.128s' is not a plain path below a directory", path);
    if (slash) {
        memcpy(parent, path, (size_t)(slash - path));
        parent[slash - path] = '\0';
    }
    at = drv_beneath_open(root, parent, O_RDONLY | O_DIRECTORY, 0, err);
    if (at < 0)
        return at;
    if (mkdirat(at, slash ? slash + 1 : path, mode) < 0)
        return drv_error_set(err, errno, "cannot make the directory %s: %s", path, strerror(errno));
    return 0;
}

/* Takes over @fd. */
static int empty(int fd, unsigned depth, struct drv_error *err)
{
    DIR *dir = fdopendir(fd);
    struct dirent *entry;
    int rc = 0;

    if (!dir) {
        close(fd);
        return drv_error_set(err, errno, "cannot list a directory: %s", strerror(errno));
    }
    while (!rc && (entry = readdir(dir))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        if (unlinkat(dirfd(dir), entry->d_name, 0) == 0 || errno == ENOENT)
            continue;
        if (errno != EISDIR && errno != EPERM) {
            rc = drv_error_set(err, errno, "cannot remove %s: %s", entry->d_name, strerror(errno));
        } else {
            int inner = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

            if (inner < 0)
                rc = drv_error_set(err, errno, "cannot open %s: %s", entry->d_name, strerror(errno));
            else if (depth == DEPTH_MOST)
                close(inner), rc = drv_error_set(err, ELOOP, "%s lies too deep", entry->d_name);
            else
                rc = empty(inner, depth + 1, err);
            if (!rc && unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR) < 0 && errno != ENOENT)
                rc = drv_error_set(err, errno, "cannot remove %s: %s", entry->d_name, strerror(errno));
        }
    }
    closedir(dir);
    return rc;
}

int drv_beneath_remove_tree(int root, const char *name, struct drv_error *err)
{
    int fd, rc;

    if (!is_plain(name) || !*name || strchr(name, '/'))
        return drv_error_set(err, EINVAL, "'%.128s' is not a name in a directory", name);
    fd = openat(root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : drv_error_set(err, errno, "cannot open %s: %s", name, strerror(errno));
    rc = empty(fd, 0, err);
    if (!rc && unlinkat(root, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        rc = drv_error_set(err, errno, "cannot remove %s: %s", name, strerror(errno));
    return rc;
}
