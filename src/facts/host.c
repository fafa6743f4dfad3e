/* SPDX-License-Identifier: Apache-2.0 */
/* What a host has: see host.h. */
#include "facts/host.h"

#include <errno.h>
#include <netdb.h>
#include <pwd.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "hyper/machine-xml.h"
#include "hyper/machine.h"
#include "node/relay-session.h"
#include "plan/ranges.h"

#define QEMU_CONF "/etc/libvirt/qemu.conf"
#define MOST_NODES 256

static char *read_file(const char *path)
{
    char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) ? g_strstrip(text) : NULL;
}

char *drv_host_setting(const char *key, const char *otherwise)
{
    g_autofree char *text = read_file(QEMU_CONF);
    char *value = text ? drv_qemu_conf_value(text, key) : NULL;

    return value ? value : g_strdup(otherwise);
}

char *drv_host_qemu_user(void)
{
    const char *group = drv_session_qemu_group();

    /* Distributions name the user like the group, but for Debian's kvm. */
    return drv_host_setting("user", group && g_str_equal(group, "qemu") ? "qemu" : "libvirt-qemu");
}

char *drv_host_online(const char *what)
{
    g_autofree char *path = g_strdup_printf("/sys/devices/system/%s/online", what);

    return read_file(path);
}

/* The number behind @key in a file like /proc/meminfo, in KiB. */
static guint64 meminfo(const char *path, const char *key)
{
    g_autofree char *text = read_file(path);
    const char *at = text ? strstr(text, key) : NULL;

    return at ? g_ascii_strtoull(at + strlen(key), NULL, 10) : 0;
}

static guint64 read_number(const char *directory, const char *name)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    g_autofree char *text = read_file(path);

    return text ? g_ascii_strtoull(text, NULL, 10) : 0;
}

static void add_pages(drv_host_pages *pages, const char *directory)
{
    pages->total_bytes += read_number(directory, "nr_hugepages") * pages->size_kib * 1024;
    pages->free_bytes += read_number(directory, "free_hugepages") * pages->size_kib * 1024;
}

drv_host_pages drv_host_hugepages(guint64 size_kib, const char *nodes)
{
    drv_host_pages pages = {.size_kib = size_kib ? size_kib : meminfo("/proc/meminfo", "Hugepagesize:")};
    g_autofree char *name = g_strdup_printf("hugepages-%" G_GUINT64_FORMAT "kB", pages.size_kib);
    g_autofree char *all = g_build_filename("/sys/kernel/mm/hugepages", name, NULL);

    if (!nodes) {
        add_pages(&pages, all);
        return pages;
    }
    for (guint i = 0; i < MOST_NODES; i++) {
        g_autofree char *of_node = g_strdup_printf("/sys/devices/system/node/node%u/hugepages/%s", i, name);

        if (drv_ranges_has(nodes, i))
            add_pages(&pages, of_node);
    }
    return pages;
}

gint64 drv_host_nodes_free(const char *nodes)
{
    guint64 sum_kib = 0;
    gboolean known = FALSE;

    for (guint i = 0; i < MOST_NODES; i++) {
        g_autofree char *path = g_strdup_printf("/sys/devices/system/node/node%u/meminfo", i);

        if (!drv_ranges_has(nodes, i) || !g_file_test(path, G_FILE_TEST_EXISTS))
            continue;
        known = TRUE;
        sum_kib += meminfo(path, "MemFree:") + meminfo(path, "Active(file):") + meminfo(path, "Inactive(file):");
    }
    return known ? (gint64)(sum_kib * 1024) : -1;
}

drv_bind_result drv_host_can_bind(const char *address, int type, guint port, char **reason)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE, .ai_socktype = type};
    g_autofree char *service = g_strdup_printf("%u", port);
    struct addrinfo *found = NULL;
    drv_autoclose int fd = -1;
    const int on = 1;
    int problem = 0;

    *reason = NULL;
    if (getaddrinfo(address, service, &hints, &found) != 0)
        return DRV_BIND_UNKNOWN;
    fd = socket(found->ai_family, type | SOCK_CLOEXEC, 0);
    /* As QEMU does: what waits to be forgotten is not in the way. (Of datagrams it would share a port.) */
    if (fd < 0 || (type == SOCK_STREAM && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) ||
        bind(fd, found->ai_addr, found->ai_addrlen) < 0 || (port && type == SOCK_STREAM && listen(fd, 1) < 0))
        problem = errno;
    freeaddrinfo(found);
    if (!problem)
        return DRV_BIND_OK;
    *reason = g_strdup(g_strerror(problem));
    return problem == EADDRINUSE ? DRV_BIND_IN_USE : DRV_BIND_FAILED;
}

char *drv_host_can_write(const char *directory)
{
    g_autofree char *path = g_strdup(directory);

    while (access(path, F_OK) != 0 && errno == ENOENT && strlen(path) > 1) {
        char *above = g_path_get_dirname(path);

        g_free(path);
        path = above;
    }
    return access(path, W_OK | X_OK) == 0 ? NULL : g_strdup_printf("%s: %s", path, g_strerror(errno));
}

gboolean drv_host_can_pass(const char *directory, const char *user)
{
    char buffer[4096];
    struct passwd entry, *who = NULL;
    g_autofree char *inside = g_build_filename(directory, ".", NULL);
    struct stat status;
    uid_t uid;
    gid_t gid;
    gboolean can;

    if (!user || getpwnam_r(user, &entry, buffer, sizeof buffer, &who) != 0 || !who || who->pw_uid == 0 ||
        geteuid() != 0)
        return TRUE;
    uid = who->pw_uid;
    gid = who->pw_gid;
    /* Of this thread alone, and the kernel takes the capability to pass everywhere away with it. */
    setfsgid(gid);
    setfsuid(uid);
    can = stat(inside, &status) == 0 || errno != EACCES;
    setfsuid(0);
    setfsgid(0);
    return can;
}
