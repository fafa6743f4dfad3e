/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off: the table is for people. */
/*
 * Theory: a copy at the target begins paused and is resumed only by Drover, once the
 * Finish reply is known to be in the hands of the source's libvirtd. So a paused copy
 * that Drover has not resumed has never run: destroying it loses nothing as long as the
 * source still holds the VM. And once it was resumed, the source's must never run again.
 *
 *   source    target    resumed
 *   absent    running   -        done
 *   absent    paused    -        done (resumed by the finish call, or its user had paused it)
 *   absent    off       yes      done: it has run there and ended since
 *   absent    absent/off -       attention: it runs nowhere
 *   off       running   -        done; the source's definition is removed
 *   off       paused    yes      done, likewise
 *   off       paused    no       finish delivered: done, only the source's undefine failed;
 *                                else attention: the copy is whole, and whether the source's
 *                                guest went on before it ended nobody knows
 *   off       off       yes      done: it has run there and ended since
 *   off       absent    yes      attention
 *   off       absent/off no      rolled back: it ended by itself, or its host did
 *   running   absent    -        rolled back
 *   running   off       yes      attention if the VM ran before: it has run at both;
 *                                else rolled back
 *   running   paused    yes      the same
 *   running   off/paused no      rolled back: the copy has never run
 *   running   running   -        attention: two copies
 *   paused    running   -        complete: libvirtd died before it could end the source's copy
 *   paused    paused    yes      complete, likewise
 *   paused    paused    no       finish delivered: complete, for the copy there is whole;
 *                                else rolled back
 *   paused    absent/off yes     attention: it has run there
 *   paused    absent/off no      finish delivered: attention, for it may have run there;
 *                                else rolled back
 *   unknown at either end        wait; the caller gives up waiting after a while
 *
 * Complete and attention wait until nothing has changed for a while: both ends are not
 * asked at the same instant, and a libvirtd that lives ends the source's copy by itself.
 *
 * Post-copy: from the hand-over on the target runs and lacks memory that only the source, stopped
 * for good, has. Neither is ever touched then; the end is done, or attention.
 *
 *   source    target
 *   split     split              recover if the source's way is broken; else wait, it goes on
 *   split     running            complete: the target has all of it, libvirtd died too early
 *   split     paused             as split: its user has paused it there, which hides what it lacks
 *   split     absent/off         attention: the target died with what only it had
 *   split     unknown            wait, for as long as it takes
 *   running   split              attention: two copies
 *   other     split              attention: the source died with what only it had
 */
/* clang-format on */
#include "move/outcome.h"

static drv_verdict once_steady(const drv_settle_facts *facts, drv_verdict verdict)
{
    return facts->steady ? verdict : DRV_VERDICT_WAIT;
}

static drv_verdict source_is_absent(const drv_settle_facts *facts)
{
    if (facts->target == DRV_PRESENCE_RUNNING || facts->target == DRV_PRESENCE_PAUSED ||
        (facts->target == DRV_PRESENCE_OFF && facts->resumed))
        return DRV_VERDICT_DONE;
    return once_steady(facts, DRV_VERDICT_ATTENTION);
}

static drv_verdict source_is_off(const drv_settle_facts *facts)
{
    switch (facts->target) {
    case DRV_PRESENCE_RUNNING:
        return DRV_VERDICT_DONE;
    case DRV_PRESENCE_PAUSED:
        return facts->resumed || facts->finish_ok ? DRV_VERDICT_DONE : once_steady(facts, DRV_VERDICT_ATTENTION);
    case DRV_PRESENCE_OFF:
        return facts->resumed ? DRV_VERDICT_DONE : DRV_VERDICT_ROLL_BACK;
    default:
        return facts->resumed ? once_steady(facts, DRV_VERDICT_ATTENTION) : DRV_VERDICT_ROLL_BACK;
    }
}

static drv_verdict source_runs(const drv_settle_facts *facts)
{
    if (facts->target == DRV_PRESENCE_RUNNING ||
        (facts->target != DRV_PRESENCE_ABSENT && facts->resumed && facts->was_running))
        return once_steady(facts, DRV_VERDICT_ATTENTION);
    return DRV_VERDICT_ROLL_BACK;
}

static drv_verdict source_is_paused(const drv_settle_facts *facts)
{
    if (facts->target == DRV_PRESENCE_RUNNING)
        return once_steady(facts, DRV_VERDICT_COMPLETE);
    if (!facts->resumed && !facts->finish_ok)
        return DRV_VERDICT_ROLL_BACK;
    return once_steady(facts, facts->target == DRV_PRESENCE_PAUSED ? DRV_VERDICT_COMPLETE : DRV_VERDICT_ATTENTION);
}

static drv_verdict source_is_split(const drv_settle_facts *facts)
{
    if (facts->target != DRV_PRESENCE_RUNNING && facts->target != DRV_PRESENCE_PAUSED)
        return once_steady(facts, DRV_VERDICT_ATTENTION);
    if (facts->target == DRV_PRESENCE_RUNNING && !facts->target_split)
        return once_steady(facts, DRV_VERDICT_COMPLETE);
    return facts->source_broken ? DRV_VERDICT_RECOVER : DRV_VERDICT_WAIT;
}

drv_verdict drv_settle_decide(const drv_settle_facts *facts)
{
    if (facts->source == DRV_PRESENCE_UNKNOWN || facts->target == DRV_PRESENCE_UNKNOWN)
        return DRV_VERDICT_WAIT;
    if (facts->source_split)
        return source_is_split(facts);
    if (facts->target_split)
        return once_steady(facts, DRV_VERDICT_ATTENTION);
    switch (facts->source) {
    case DRV_PRESENCE_ABSENT:
        return source_is_absent(facts);
    case DRV_PRESENCE_OFF:
        return source_is_off(facts);
    case DRV_PRESENCE_RUNNING:
        return source_runs(facts);
    case DRV_PRESENCE_PAUSED:
    default:
        return source_is_paused(facts);
    }
}

static const char *const names[] = {
    [DRV_PRESENCE_ABSENT] = "absent",   [DRV_PRESENCE_OFF] = "shut off",    [DRV_PRESENCE_PAUSED] = "paused",
    [DRV_PRESENCE_RUNNING] = "running", [DRV_PRESENCE_UNKNOWN] = "unknown",
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
