/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock of the running droverd: see pid-lock.h. A POSIX record lock, since that one is
 * not inherited by the relays that droverd starts and that outlive it.
 */
#include "daemon/pid-lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"

int drv_daemon_lock(const char *dir, GError **error)
{
    g_autofree char *path = g_build_filename(dir, "droverd.pid", NULL);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    drv_autoclose int fd = -1;

    if (g_mkdir_with_parents(dir, 0755) < 0 || (fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644)) < 0) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot write %s: %s", path, g_strerror(errno));
        return -1;
    }
    if (fcntl(fd, F_SETLK, &lock) < 0) {
        int why = errno;

        if ((why == EAGAIN || why == EACCES) && !fcntl(fd, F_GETLK, &lock) && lock.l_type != F_UNLCK)
            g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "droverd is already running (pid %d)", (int)lock.l_pid);
        else
            g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot lock %s: %s", path, g_strerror(why));
        return -1;
    }
    if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot write %s: %s", path, g_strerror(errno));
        return -1;
    }
    return drv_steal_fd(&fd);
}
