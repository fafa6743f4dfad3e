/* SPDX-License-Identifier: Apache-2.0 */
/* Waits until little is queued on a link: see drain.h. */
#include "relay/drain.h"

#include <poll.h>
#include <time.h>

#include "base/clock.h"

#define LOOK_US 2000 /* how long to wait for a link before looking at it again */

unsigned drv_drain_senders(const struct drv_session *session)
{
    return session->links > 1 ? session->links - 1 : 1;
}

bool drv_drain(struct drv_session *session, drv_link *link)
{
    uint64_t link_bps = drv_coding_link_bps(&session->coding);
    /* With one link the control channel is this thread's, too. */
    bool alone = session->links == 1;
    struct pollfd other = {.fd = alone ? session->urgent_event : session->stop_event, .events = POLLIN};
    int64_t began_us = drv_clock_us(), wait_us;

    while ((wait_us = drv_pace_queue_us(link_bps, drv_drain_senders(session), drv_link_queued(link),
                                        atomic_load(&link->min_rtt_us), drv_coding_when(&session->coding))) > 0) {
        struct timespec pause = {.tv_nsec = (wait_us < LOOK_US ? wait_us : LOOK_US) * 1000};
        bool called = ppoll(&other, 1, &pause, NULL) > 0;
        int64_t now_us = drv_clock_us();

        link->drained_us += (uint64_t)(now_us - began_us);
        began_us = now_us;
        if (called || alone)
            return false;
    }
    return true;
}
