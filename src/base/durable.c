/* SPDX-License-Identifier: Apache-2.0 */
/* What must survive a power loss: see durable.h. */
#include "base/durable.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fd.h"

static int failed(struct drv_error *err, const char *what, const char *path)
{
    int code = errno;

    return drv_error_set(err, code, "cannot %s %s: %s", what, path, strerror(code));
}

/* The directory of @path, as text. */
static int directory_of(const char *path, char text[PATH_MAX], struct drv_error *err)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;

    if (length >= PATH_MAX)
        return drv_error_set(err, ENAMETOOLONG, "the path is too long: %.64s…", path);
    if (!length)
        (void)strcpy(text, slash ? "/" : ".");
    else
        *(char *)mempcpy(text, path, length) = '\0';
    return 0;
}

static int flush_directory(int fd, const char *path, struct drv_error *err)
{
    /* Some file systems have nothing to flush there, and say so in several ways. */
    if (!fsync(fd) || errno == EINVAL || errno == EROFS || errno == EOPNOTSUPP)
        return 0;
    return failed(err, "flush the directory", path);
}

int drv_durable_directory(const char *path, struct drv_error *err)
{
    drv_autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? failed(err, "open the directory", path) : flush_directory(fd, path, err);
}

int drv_durable_entry(const char *path, struct drv_error *err)
{
    char directory[PATH_MAX];
    int rc = directory_of(path, directory, err);

    return rc ? rc : drv_durable_directory(directory, err);
}

int drv_durable_open_file(int fd, const char *path, struct drv_error *err)
{
    drv_autofree char *real = NULL;
    int rc;

    if (fsync(fd))
        return failed(err, "flush", path);
    rc = drv_durable_entry(path, err);
    real = rc ? NULL : realpath(path, NULL);
    if (real && strcmp(real, path))
        rc = drv_durable_entry(real, err);
    return rc;
}

int drv_durable_file(const char *path, struct drv_error *err)
{
    drv_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    return fd < 0 ? failed(err, "open", path) : drv_durable_open_file(fd, path, err);
}

/* Takes @fd. */
static int flush_tree(int fd, const char *path, struct drv_error *err)
{
    DIR *directory = fdopendir(fd);
    const struct dirent *entry;
    int rc = 0;

    if (!directory) {
        rc = failed(err, "read the directory", path);
        close(fd);
        return rc;
    }
    while (!rc && (entry = readdir(directory))) {
        drv_autoclose int inner = -1;
        struct stat info;

        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
            fstatat(fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) ||
            (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)))
            continue;
        inner = openat(fd, entry->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        if (inner < 0) /* gone meanwhile: nothing to flush */
            rc = errno == ENOENT ? 0 : failed(err, "open what is in", path);
        else if (S_ISDIR(info.st_mode))
            rc = flush_tree(drv_steal_fd(&inner), path, err);
        else if (fsync(inner))
            rc = failed(err, "flush what is in", path);
    }
    if (!rc)
        rc = flush_directory(fd, path, err);
    closedir(directory);
    return rc;
}

int drv_durable_tree(const char *path, struct drv_error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int rc = fd < 0 ? failed(err, "open the directory", path) : flush_tree(fd, path, err);

    return rc ? rc : drv_durable_entry(path, err);
}

int drv_durable_write(const char *path, const void *bytes, size_t size, mode_t mode, struct drv_error *err)
{
    char temporary[PATH_MAX];
    drv_autoclose int fd = -1;
    int rc;

    if (snprintf(temporary, sizeof temporary, "%s.%d.new", path, (int)getpid()) >= PATH_MAX)
        return drv_error_set(err, ENAMETOOLONG, "the path is too long: %.64s…", path);
    (void)unlink(temporary);
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return failed(err, "write", temporary);
    rc = fchmod(fd, mode) ? failed(err, "protect", temporary) : drv_fd_write_all(fd, bytes, size, err);
    if (!rc && fsync(fd))
        rc = failed(err, "flush", temporary);
    if (!rc && rename(temporary, path))
        rc = failed(err, "write", path);
    if (rc) {
        (void)unlink(temporary);
        return rc;
    }
    return drv_durable_entry(path, err);
}

int drv_durable_rename(const char *from, const char *to, struct drv_error *err)
{
    int rc = rename(from, to) ? failed(err, "rename", from) : 0;

    /* First where it is now: what a power loss between the two leaves is two names, not none. */
    if (!rc)
        rc = drv_durable_entry(to, err);
    return rc ? rc : drv_durable_entry(from, err);
}

int drv_durable_unlink(const char *path, struct drv_error *err)
{
    int rc;

    if (unlink(path) && errno != ENOENT && errno != ENOTDIR)
        return failed(err, "remove", path);
    rc = drv_durable_entry(path, err);
    return rc == -ENOENT || rc == -ENOTDIR ? 0 : rc;
}

int drv_durable_make_directory(const char *path, mode_t mode, struct drv_error *err)
{
    char above[PATH_MAX];
    struct stat info;
    int rc;

    if (!stat(path, &info) && S_ISDIR(info.st_mode))
        return 0;
    rc = directory_of(path, above, err);
    if (!rc && strcmp(above, path))
        rc = drv_durable_make_directory(above, mode, err);
    if (rc)
        return rc;
    if (mkdir(path, mode) && errno != EEXIST)
        return failed(err, "make the directory", path);
    return drv_durable_entry(path, err);
}
