/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory: a copy at the target begins paused and is resumed only by Drover, once the
 * Finish reply is known to be in the hands of the source's libvirtd. So a paused copy
 * that Drover has not resumed has never run: destroying it loses nothing as long as the
 * source still holds the VM. And once it was resumed, the source's must never run again.
 *
 *   source    target    resumed
 *   absent    running   -        done
 *   absent    paused    -        done (resumed by the finish call, or its user had paused it)
 *   absent    absent/off -       attention: it runs nowhere and its definition is gone
 *   off       absent/off -       rolled back: it ended by itself during the move
 *   off       paused    no       finish delivered: done, only the source's undefine failed;
 *                                else rolled back
 *   off       paused    yes      done
 *   off       running   -        done
 *   running   absent/off -       rolled back
 *   running   paused    no       rolled back: the copy has never run
 *   running   running   -        attention: two copies
 *   running   paused    yes      attention if the VM ran before; if its user had paused it, a
 *                                running source was never switched: rolled back
 *   paused    *         yes      wait: libvirtd is about to end the source
 *   paused    *         no       finish delivered: wait likewise; target runs: wait, the resume
 *                                is being recorded; else rolled back
 *   unknown at either end        wait; the caller gives up waiting after a while
 */
#include "run/settle.h"

drv_verdict drv_settle_decide(const drv_settle_facts *facts)
{
    gboolean at_target =
        facts->target == DRV_PRESENCE_PAUSED || facts->target == DRV_PRESENCE_RUNNING;

    if (facts->source == DRV_PRESENCE_UNKNOWN || facts->target == DRV_PRESENCE_UNKNOWN)
        return DRV_VERDICT_WAIT;
    switch (facts->source) {
    case DRV_PRESENCE_ABSENT:
        return at_target ? DRV_VERDICT_DONE : DRV_VERDICT_ATTENTION;
    case DRV_PRESENCE_OFF:
        if (facts->target == DRV_PRESENCE_RUNNING)
            return DRV_VERDICT_DONE;
        return at_target && (facts->resumed || facts->finish_ok) ? DRV_VERDICT_DONE
                                                                 : DRV_VERDICT_ROLL_BACK;
    case DRV_PRESENCE_RUNNING:
        if (facts->target == DRV_PRESENCE_RUNNING)
            return DRV_VERDICT_ATTENTION;
        return at_target && facts->resumed && facts->was_running ? DRV_VERDICT_ATTENTION
                                                                 : DRV_VERDICT_ROLL_BACK;
    case DRV_PRESENCE_PAUSED:
    default:
        if (facts->resumed || facts->finish_ok || facts->target == DRV_PRESENCE_RUNNING)
            return DRV_VERDICT_WAIT;
        return DRV_VERDICT_ROLL_BACK;
    }
}

static const char *const names[] = {
    [DRV_PRESENCE_ABSENT] = "absent",
    [DRV_PRESENCE_OFF] = "shut off",
    [DRV_PRESENCE_PAUSED] = "paused",
    [DRV_PRESENCE_RUNNING] = "running",
    [DRV_PRESENCE_UNKNOWN] = "unknown",
};

const char *drv_presence_name(drv_presence presence)
{
    return names[presence];
}

drv_presence drv_presence_from_state(const char *state)
{
    if (!state || g_str_equal(state, "absent"))
        return DRV_PRESENCE_ABSENT;
    if (g_str_equal(state, "shut off") || g_str_equal(state, "crashed"))
        return DRV_PRESENCE_OFF;
    if (g_str_equal(state, "running"))
        return DRV_PRESENCE_RUNNING;
    if (g_str_equal(state, "paused"))
        return DRV_PRESENCE_PAUSED;
    return DRV_PRESENCE_UNKNOWN;
}
