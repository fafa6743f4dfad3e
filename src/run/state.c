/* SPDX-License-Identifier: Apache-2.0 */
/* The table of states: see state.h, and docs/migration.rst, which explains it at length. */
#include "run/state.h"

#define TO(state) (1u << DRV_STATE_##state)

static const drv_state_info table[] = {
    [DRV_STATE_PLANNED] =
        {
            .name = "planned",
            .phase = "planned",
            .next = TO(PREPARING) | TO(FAILED) | TO(ROLLED_BACK),
            .cancellable = TRUE,
            .invariant = "nothing exists at the target; the VM is as it was",
            .recovery = "ended as rolled back: nothing was begun",
        },
    [DRV_STATE_PREPARING] =
        {
            .name = "preparing",
            .phase = "preparing",
            .next = TO(COPYING_DISKS) | TO(COPYING_MEMORY) | TO(FINISHING) | TO(ROLLED_BACK) |
                    TO(FAILED) | TO(NEEDS_ATTENTION),
            .cancellable = TRUE,
            .invariant = "the VM runs at the source; the target holds a session, a relay and empty "
                         "images, all in its store",
            .recovery = "no libvirt job at the source: the session is abandoned at both ends",
        },
    [DRV_STATE_COPYING_DISKS] =
        {
            .name = "copying-disks",
            .phase = "copying disks",
            .next = TO(COPYING_MEMORY) | TO(SWITCHING) | TO(FINISHING) | TO(ROLLED_BACK) |
                    TO(FAILED) | TO(NEEDS_ATTENTION),
            .cancellable = TRUE,
            .invariant = "the VM runs at the source; libvirt's job runs there; the target's copy has "
                         "never run",
            .recovery = "a dead relay or link fails libvirt's job: roll back. A dead droverd: the next "
                        "one finds the job in libvirt and watches it",
        },
    [DRV_STATE_COPYING_MEMORY] =
        {
            .name = "copying-memory",
            .phase = "copying memory",
            .next = TO(SWITCHING) | TO(FINISHING) | TO(ROLLED_BACK) | TO(FAILED) |
                    TO(NEEDS_ATTENTION),
            .cancellable = TRUE,
            .invariant = "as while copying disks",
            .recovery = "as while copying disks",
        },
    [DRV_STATE_SWITCHING] =
        {
            .name = "switching",
            .phase = "switching",
            .next = TO(COPYING_MEMORY) | TO(FINISHING) | TO(ROLLED_BACK) | TO(FAILED) |
                    TO(NEEDS_ATTENTION),
            .cancellable = TRUE,
            .invariant = "the guest is stopped at the source and not yet resumed at the target",
            .recovery = "both ends are asked; the target resumes only when the Finish reply has been "
                        "delivered to the source's libvirtd, else its copy is destroyed and the "
                        "source goes on",
        },
    [DRV_STATE_FINISHING] =
        {
            .name = "finishing",
            .phase = "finishing",
            .next = TO(DONE) | TO(ROLLED_BACK) | TO(FAILED) | TO(NEEDS_ATTENTION),
            .invariant = "libvirt's job is over; what exists at both ends decides",
            .recovery = "both ends are asked again until they answer; then done or rolled back",
        },
    [DRV_STATE_DONE] =
        {
            .name = "done",
            .phase = "done",
            .ended = TRUE,
            .invariant = "the VM runs at the target and is nowhere else",
            .recovery = "nothing to do",
        },
    [DRV_STATE_ROLLED_BACK] =
        {
            .name = "rolled-back",
            .phase = "rolled back",
            .ended = TRUE,
            .invariant = "the VM is at the source as before, nothing of it is at the target",
            .recovery = "nothing to do",
        },
    [DRV_STATE_FAILED] =
        {
            .name = "failed",
            .phase = "failed",
            .ended = TRUE,
            .invariant = "the move was never begun",
            .recovery = "nothing to do",
        },
    [DRV_STATE_NEEDS_ATTENTION] =
        {
            .name = "needs-attention",
            .phase = "needs attention",
            .ended = TRUE,
            .invariant = "what is true at both ends fits no state; nothing was touched",
            .recovery = "the operator decides with the facts and commands in the job's error",
        },
};
G_STATIC_ASSERT(G_N_ELEMENTS(table) == DRV_STATES);

const drv_state_info *drv_state_get(drv_state state)
{
    g_assert(state < DRV_STATES);
    return &table[state];
}

gboolean drv_state_allows(drv_state from, drv_state to)
{
    return to < DRV_STATES && (table[from].next & (1u << to)) != 0;
}

drv_state drv_state_from_name(const char *name)
{
    for (guint state = 0; name && state < DRV_STATES; state++)
        if (g_str_equal(table[state].name, name))
            return (drv_state)state;
    return DRV_STATES;
}
