/* SPDX-License-Identifier: Apache-2.0 */
/* Telling the service manager: see notify.h. */
#include "daemon/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

void drv_daemon_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    drv_autoclose int fd = -1;
    size_t length = path ? strlen(path) : 0;

    if (length < 2 || length >= sizeof address.sun_path)
        return;
    memcpy(address.sun_path, path, length);
    if (address.sun_path[0] == '@')
        address.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    /* If nobody listens there is nobody to tell that either. */
    (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
}

unsigned drv_daemon_watchdog_ms(void)
{
    const char *allowed = getenv("WATCHDOG_USEC"), *process = getenv("WATCHDOG_PID");
    unsigned long long allowed_us = allowed ? strtoull(allowed, NULL, 10) : 0;

    if (!getenv("NOTIFY_SOCKET") || (process && strtoull(process, NULL, 10) != (unsigned long long)getpid()))
        return 0;
    /* More than a day is as good as none. */
    return allowed_us < 2000 || allowed_us > 86400000000ULL ? 0 : (unsigned)(allowed_us / 2000);
}
