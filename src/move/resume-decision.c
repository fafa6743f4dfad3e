/* SPDX-License-Identifier: Apache-2.0 */
/* The fate of a copy in one word that two programs share: see resume-decision.h. */
#include "move/resume-decision.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "hyper/gerror.h"

#define END_MS 1000

/* The file's content. */
struct page {
    _Atomic guint32 word;
};

struct drv_decision {
    int fd;
    struct page *page;
};

char *drv_decision_path(const char *dir)
{
    return g_strconcat(dir, DRV_DECISION_SUFFIX, NULL);
}

/* @fd is taken. */
static drv_decision *map(int fd)
{
    struct page *page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    drv_decision *decision;

    if (page == MAP_FAILED) {
        close(fd);
        return NULL;
    }
    decision = g_new0(drv_decision, 1);
    decision->fd = fd;
    decision->page = page;
    return decision;
}

drv_decision *drv_decision_make(const char *path, GError **error)
{
    drv_autoclose int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int problem = fd < 0 ? errno : posix_fallocate(fd, 0, sizeof(struct page));
    drv_decision *decision = problem ? NULL : map(drv_steal_fd(&fd));

    if (decision)
        return decision;
    g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot make %s: %s", path, g_strerror(problem ? problem : errno));
    return NULL;
}

drv_decision *drv_decision_open(const char *path)
{
    drv_autoclose int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0 || (gsize)status.st_size < sizeof(struct page))
        return NULL;
    return map(drv_steal_fd(&fd));
}

void drv_decision_free(drv_decision *decision)
{
    if (!decision)
        return;
    munmap(decision->page, sizeof *decision->page);
    close(decision->fd);
    g_free(decision);
}

drv_decision_word drv_decision_get(const drv_decision *decision)
{
    return decision ? (drv_decision_word)atomic_load(&decision->page->word) : DRV_DECISION_NONE;
}

gboolean drv_decision_take(drv_decision *decision, drv_decision_word word)
{
    guint32 was = DRV_DECISION_NONE;

    return !decision || atomic_compare_exchange_strong(&decision->page->word, &was, (guint32)word) ||
           was == (guint32)word || (word == DRV_DECISION_RESUME && was == DRV_DECISION_RESUMED);
}

void drv_decision_note_resumed(drv_decision *decision)
{
    guint32 was = DRV_DECISION_RESUME;

    if (decision)
        (void)atomic_compare_exchange_strong(&decision->page->word, &was, DRV_DECISION_RESUMED);
}

gboolean drv_decision_is_over(const drv_decision *decision)
{
    struct stat status;

    return fstat(decision->fd, &status) < 0 || status.st_nlink == 0;
}

gboolean drv_decision_hold(drv_decision *decision)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(decision->fd, F_SETLK, &lock) == 0;
}

/* Who holds it, or 0. */
static pid_t holder(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? lock.l_pid : 0;
}

void drv_decision_end(const char *path)
{
    drv_autoclose int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    pid_t pid = fd < 0 ? 0 : holder(fd);
    drv_autoclose int process = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    struct pollfd ended = {.fd = process, .events = POLLIN};

    /* First the file: a stand-in that starts now finds none, or sees that it has no name any more. */
    if (unlink(path) < 0 && errno != ENOENT)
        drv_log_warning("cannot remove %s: %s", path, g_strerror(errno));
    /* Its number may be another's by now; the descriptor is of who holds the lock still. */
    if (process < 0 || holder(fd) != pid)
        return;
    if (syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0) == 0 && poll(&ended, 1, END_MS) == 0)
        drv_log_warning("process %d, which stands in for droverd, does not end", (int)pid);
}
