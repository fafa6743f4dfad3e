/* SPDX-License-Identifier: Apache-2.0 */
/* Cleanup attributes for the rooms without GLib; every variable that uses one is initialised. */
#pragma once

#include <stdlib.h>
#include <unistd.h>

static inline void drv_cleanup_free(void *pointer)
{
    free(*(void **)pointer);
}

static inline void drv_cleanup_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

#define drv_autofree __attribute__((cleanup(drv_cleanup_free)))
#define drv_autoclose __attribute__((cleanup(drv_cleanup_close)))

/* Gives the descriptor away: what is left behind is closed by nobody. */
static inline int drv_steal_fd(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}
