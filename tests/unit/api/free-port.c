/* SPDX-License-Identifier: Apache-2.0 */
/* A port for a test's node: see free-port.h. */
#include "free-port.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

guint16 test_free_port(void)
{
    for (;;) {
        guint16 port = (guint16)g_random_int_range(20000, 32000);
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        gboolean free = bind(fd, (struct sockaddr *)&address, sizeof address) == 0;

        close(fd);
        if (free)
            return port;
    }
}
