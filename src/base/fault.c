/* SPDX-License-Identifier: Apache-2.0 */
/* Fault points: see fault.h. In an ordinary build this file is empty. */
#include "base/fault.h"

#ifdef DRV_FAULT_POINTS

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

#define REMEMBERED_MAX 8
#define LOOK_NS 5000000L

enum action { NOTHING, KILL, HOLD, SOON };

static struct {
    bool sandboxed;
    struct {
        char name[64];
        enum action action;
    } point[REMEMBERED_MAX];
    size_t points;
} remembered; /* written once, before threads */

static enum action read_action(const char *path)
{
    char text[8] = {0};
    drv_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || read(fd, text, sizeof text - 1) < 4)
        return NOTHING;
    return !strncmp(text, "kill", 4)   ? KILL
           : !strncmp(text, "hold", 4) ? HOLD
           : !strncmp(text, "soon", 4) ? SOON
                                       : NOTHING;
}

void drv_fault_remember(void)
{
    const char *directory = getenv("DROVER_FAULT");
    DIR *files = directory ? opendir(directory) : NULL;
    const struct dirent *file;

    remembered.sandboxed = true;
    while (files && remembered.points < REMEMBERED_MAX && (file = readdir(files))) {
        char path[512];
        enum action action;

        if (strncmp(file->d_name, "relay-", 6) || strlen(file->d_name) >= 64 ||
            snprintf(path, sizeof path, "%s/%s", directory, file->d_name) >= (int)sizeof path)
            continue;
        action = read_action(path);
        if (action != KILL && action != HOLD)
            continue;
        memcpy(remembered.point[remembered.points].name, file->d_name, strlen(file->d_name) + 1);
        remembered.point[remembered.points++].action = action;
    }
    if (files)
        closedir(files);
}

static void reach_sandboxed(const char *name)
{
    for (size_t i = 0; i < remembered.points; i++)
        if (!strcmp(remembered.point[i].name, name)) {
            drv_log_notice("fault point %s", name);
            (void)raise(remembered.point[i].action == KILL ? SIGKILL : SIGSTOP);
        }
}

static void hold(const char *path)
{
    char held[600];
    const struct timespec while_ago = {.tv_nsec = LOOK_NS};
    int fd;

    (void)snprintf(held, sizeof held, "%s.held", path);
    fd = open(held, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    /* Polled: a test's rendezvous, where inotify would be one more thing that can fail. */
    while (!access(path, F_OK))
        (void)nanosleep(&while_ago, NULL);
    (void)unlink(held);
}

void drv_fault_reach(const char *name)
{
    const char *directory = getenv("DROVER_FAULT");
    char path[512];

    if (remembered.sandboxed) {
        reach_sandboxed(name);
        return;
    }
    if (!directory || snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path)
        return;
    switch (read_action(path)) {
    case KILL:
        drv_log_notice("fault point %s: killed", name);
        (void)unlink(path);
        (void)raise(SIGKILL);
        break;
    case HOLD:
        drv_log_notice("fault point %s: held", name);
        hold(path);
        break;
    case SOON:
    case NOTHING:
        break;
    }
}

bool drv_fault_soon(const char *name)
{
    const char *directory = getenv("DROVER_FAULT");
    char path[512];

    return directory && snprintf(path, sizeof path, "%s/%s", directory, name) < (int)sizeof path &&
           read_action(path) == SOON;
}

#endif
