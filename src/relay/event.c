/* SPDX-License-Identifier: Apache-2.0 */
/* Events between threads: see event.h. */
#include "relay/event.h"

#include <stdint.h>
#include <unistd.h>

void drv_event_raise(int event)
{
    uint64_t one = 1;

    if (write(event, &one, sizeof one) < 0)
        return; /* it is raised already */
}

void drv_event_clear(int event)
{
    uint64_t count;

    if (read(event, &count, sizeof count) < 0)
        return; /* it was not raised */
}
