/* SPDX-License-Identifier: Apache-2.0 */
/* Which program listens on a port, from /proc: for a message that helps. */
#include "api/port-owner.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define LISTEN_STATE 0x0a

/* The inode of a listening socket on @port, out of one of the kernel's tables; 0: none. */
static unsigned long listening_inode(const char *table, guint16 port)
{
    FILE *file = fopen(table, "re");
    char line[512];
    unsigned long inode = 0;

    while (file && !inode && fgets(line, sizeof line, file)) {
        unsigned local_port, state;
        unsigned long found;

        if (sscanf(line, " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%*x %*x:%*x %*x %*u %*u %lu", &local_port,
                   &state, &found) == 3 &&
            local_port == port && state == LISTEN_STATE)
            inode = found;
    }
    if (file)
        fclose(file);
    return inode;
}

static gboolean process_has(const char *pid, const char *socket_name)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/fd", pid);
    DIR *dir = opendir(path);
    struct dirent *entry;
    gboolean found = FALSE;

    while (dir && !found && (entry = readdir(dir))) {
        g_autofree char *link = g_build_filename(path, entry->d_name, NULL);
        char target[64];
        ssize_t size = readlink(link, target, sizeof target - 1);

        if (size > 0) {
            target[size] = '\0';
            found = g_str_equal(target, socket_name);
        }
    }
    if (dir)
        closedir(dir);
    return found;
}

char *drv_port_owner(guint16 port)
{
    unsigned long inode = listening_inode("/proc/net/tcp6", port) ?: listening_inode("/proc/net/tcp", port);
    g_autofree char *name = g_strdup_printf("socket:[%lu]", inode);
    DIR *dir = inode ? opendir("/proc") : NULL;
    struct dirent *entry;
    char *owner = NULL;

    while (dir && !owner && (entry = readdir(dir))) {
        g_autofree char *comm_path = NULL;
        g_autofree char *comm = NULL;

        if (!g_ascii_isdigit(entry->d_name[0]) || !process_has(entry->d_name, name))
            continue;
        comm_path = g_strdup_printf("/proc/%s/comm", entry->d_name);
        if (g_file_get_contents(comm_path, &comm, NULL, NULL))
            owner = g_strdup_printf("%s (pid %s)", g_strchomp(comm), entry->d_name);
    }
    if (dir)
        closedir(dir);
    return owner;
}
