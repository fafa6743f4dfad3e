/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A relay's sandbox: see sandbox.h. Unix sockets with a path go by the file system,
 * which chroot limits; abstract ones and everything else by the network namespace,
 * which is a new and empty one. The TCP connections were made outside and stay usable.
 */
#include "relay/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/sockios.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/sanitized.h"

#if DRV_ASAN
/* The search for leaks reads /proc, which is not there. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}
#endif

int drv_sandbox_identify(const char *user, const char *group, struct drv_sandbox_identity *identity,
                         struct drv_error *err)
{
    const struct passwd *entry = getpwnam(user);
    const struct group *members = getgrnam(group);

    if (!entry)
        return drv_error_set(err, ENOENT, "there is no user \"%s\" for the relay to run as", user);
    if (!members)
        return drv_error_set(err, ENOENT, "there is no group \"%s\" for the relay to run as", group);
    if (entry->pw_uid == 0 || members->gr_gid == 0)
        return drv_error_set(err, EPERM, "a relay must not run as root");
    identity->uid = entry->pw_uid;
    identity->gid = members->gr_gid;
    return 0;
}

static int limit(int what, rlim_t most, struct drv_error *err)
{
    struct rlimit value = {.rlim_cur = most, .rlim_max = most};

    if (setrlimit(what, &value))
        return drv_error_set(err, errno, "cannot limit a resource: %s", strerror(errno));
    return 0;
}

/* No file can be opened; the one that may be written is limited. Standard error may be a larger one. */
static int set_limits(uint64_t cache_bytes, uint64_t file_bytes, struct drv_error *err)
{
    struct stat log;
    int rc = limit(RLIMIT_NOFILE, 512, err);

    if (!rc && file_bytes) {
        if (fstat(STDERR_FILENO, &log) == 0 && S_ISREG(log.st_mode))
            file_bytes += (uint64_t)log.st_size;
        rc = limit(RLIMIT_FSIZE, (rlim_t)file_bytes, err);
    }
    if (!rc)
        rc = limit(RLIMIT_CORE, 0, err);
    if (!rc && !DRV_SANITIZED)
        rc = limit(RLIMIT_DATA, ((rlim_t)256 << 20) + cache_bytes, err);
    return rc;
}

/* What both ends need; the C library's and GnuTLS' calls included, in their older and newer forms. */
/* clang-format off */
static const int common_calls[] = {
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(close),
    SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(sendto), SCMP_SYS(sendmsg),
    SCMP_SYS(shutdown), SCMP_SYS(accept4), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt),
    SCMP_SYS(getsockname), SCMP_SYS(getpeername),
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2), SCMP_SYS(epoll_ctl), SCMP_SYS(fcntl), SCMP_SYS(fstat),
    SCMP_SYS(newfstatat), SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(lseek),
    SCMP_SYS(pread64), SCMP_SYS(preadv), SCMP_SYS(pwrite64), SCMP_SYS(ftruncate),
    SCMP_SYS(setpriority),
    SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mprotect), SCMP_SYS(mremap),
    SCMP_SYS(madvise), SCMP_SYS(futex), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity),
    SCMP_SYS(clone3), SCMP_SYS(clone), SCMP_SYS(set_robust_list), SCMP_SYS(rseq),
    SCMP_SYS(set_tid_address), SCMP_SYS(gettid), SCMP_SYS(getpid), SCMP_SYS(getppid),
    SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid),
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack), SCMP_SYS(tgkill), SCMP_SYS(restart_syscall), SCMP_SYS(exit),
    SCMP_SYS(exit_group), SCMP_SYS(getrandom), SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres),
    SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep),
    SCMP_SYS(getrusage), SCMP_SYS(times), SCMP_SYS(uname), SCMP_SYS(sysinfo),
    SCMP_SYS(prlimit64),
};
/* clang-format on */

/* Asked for by libraries that can do without: they hear no instead of being killed. */
static const int refused_calls[] = {
    SCMP_SYS(open),       SCMP_SYS(openat), SCMP_SYS(openat2), SCMP_SYS(access), SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2), SCMP_SYS(stat),   SCMP_SYS(lstat),   SCMP_SYS(statx),  SCMP_SYS(readlink),
    SCMP_SYS(readlinkat), SCMP_SYS(prctl),  SCMP_SYS(ioctl),
};

static int allow_calls(scmp_filter_ctx filter, enum drv_relay_role role)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < sizeof common_calls / sizeof common_calls[0]; i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, common_calls[i], 0);
    for (size_t i = 0; !rc && i < sizeof refused_calls / sizeof refused_calls[0]; i++)
        if (refused_calls[i] != SCMP_SYS(ioctl))
            rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), refused_calls[i], 0);
    if (!rc)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, SIOCOUTQ));
    if (!rc)
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_NE, SIOCOUTQ));
    if (role != DRV_RELAY_TARGET || rc)
        return rc;
    rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
    return rc ? rc : seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(connect), 0);
}

static int filter_calls(enum drv_relay_role role, struct drv_error *err)
{
    scmp_filter_ctx filter;
    int rc;

    /* A sanitizer looks into /proc and makes calls of its own. */
    if (DRV_SANITIZED)
        return 0;
    filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!filter)
        return drv_error_set(err, ENOMEM, "no memory for the system call filter");
    rc = allow_calls(filter, role);
    if (!rc)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    return rc ? drv_error_set(err, -rc, "cannot filter system calls: %s", strerror(-rc)) : 0;
}

int drv_sandbox_enter(const char *directory, const struct drv_sandbox_identity *identity, enum drv_relay_role role,
                      uint64_t cache_bytes, uint64_t file_bytes, struct drv_error *err)
{
    int rc;

    tzset(); /* later there is no file to read it from */
    if (unshare(CLONE_NEWNET))
        return drv_error_set(err, errno,
                             "the relay gets no network namespace of its own (%s) and does not run "
                             "without one: droverd needs CAP_SYS_ADMIN (CapabilityBoundingSet=, "
                             "RestrictNamespaces= of its unit) and sysctl user.max_net_namespaces "
                             "above 0",
                             strerror(errno));
    if (chdir(directory) || chroot(".") || chdir("/"))
        return drv_error_set(err, errno, "cannot enter %s: %s", directory, strerror(errno));
    rc = set_limits(cache_bytes, file_bytes, err);
    if (rc)
        return rc;
    if (setgroups(1, &identity->gid) || setresgid(identity->gid, identity->gid, identity->gid) ||
        setresuid(identity->uid, identity->uid, identity->uid))
        return drv_error_set(err, errno, "cannot become an ordinary user: %s", strerror(errno));
    if (prctl(PR_SET_DUMPABLE, 0) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return drv_error_set(err, errno, "cannot give up privileges: %s", strerror(errno));
    return filter_calls(role, err);
}
