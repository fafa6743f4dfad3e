/* SPDX-License-Identifier: Apache-2.0 */
/* What a test's program tells the disk: see disk-log.h. */
#include "disk-log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static GMutex lock;
static GString *noted;
static char failing[256];
static int failure;

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash && slash[1] ? slash + 1 : path;
}

static void note(const char *what, const char *path, const char *to)
{
    int saved = errno;

    g_mutex_lock(&lock);
    if (noted)
        g_string_append_printf(noted, "%s%s %s%s%s", noted->len ? ", " : "", what, last_part(path), to ? " " : "",
                               to ? last_part(to) : "");
    g_mutex_unlock(&lock);
    errno = saved;
}

void disk_log_begin(void)
{
    g_mutex_lock(&lock);
    if (!noted)
        noted = g_string_new(NULL);
    g_string_truncate(noted, 0);
    g_mutex_unlock(&lock);
}

char *disk_log_end(void)
{
    char *text;

    g_mutex_lock(&lock);
    text = g_string_free(noted, FALSE);
    noted = NULL;
    g_mutex_unlock(&lock);
    return text;
}

void disk_log_fail(const char *name, int code)
{
    g_strlcpy(failing, name ? name : "", sizeof failing);
    failure = code;
}

static int flush(int fd, long number)
{
    char link[64], path[4096] = "?";
    ssize_t length;

    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    if (length > 0)
        path[length] = '\0';
    note("flush", path, NULL);
    if (*failing && !strcmp(last_part(path), failing)) {
        errno = failure;
        return -1;
    }
    return (int)syscall(number, fd);
}

int fsync(int fd)
{
    return flush(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return flush(fd, SYS_fdatasync);
}

int rename(const char *from, const char *to)
{
    note("rename", from, to);
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlink(const char *path)
{
    note("unlink", path, NULL);
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}
