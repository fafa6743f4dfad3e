/* SPDX-License-Identifier: Apache-2.0 */
/* The table of states: see state.h, and docs/migration.rst, which explains it at length. */
#include "move/state.h"

#define TO(state) (1u << DRV_STATE_##state)

static const drv_state_info table[] = {
    [DRV_STATE_PLANNED] =
        {
            .name = "planned",
            .phase = "planned",
            .next = TO(PREPARING) | TO(FAILED) | TO(ROLLED_BACK),
            .cancellable = TRUE,
            .invariant = "nothing exists at the target; the VM is as it was",
            .recovery = "ended as failed: nothing was begun",
        },
    [DRV_STATE_PREPARING] =
        {
            .name = "preparing",
            .phase = "preparing",
            .next = TO(COPYING_DISKS) | TO(COPYING_MEMORY) | TO(FINISHING) | TO(ROLLED_BACK) | TO(FAILED) |
                    TO(NEEDS_ATTENTION),
            .cancellable = TRUE,
            .invariant = "the VM runs at the source; the target holds a session, a relay and empty "
                         "images, all in its store",
            .recovery = "no libvirt job at the source: the session is abandoned at both ends",
        },
    [DRV_STATE_COPYING_DISKS] =
        {
            .name = "copying-disks",
            .phase = "copying disks",
            .next = TO(PREPARING) | TO(COPYING_MEMORY) | TO(SWITCHING) | TO(POST_COPY) | TO(FINISHING) |
                    TO(ROLLED_BACK) | TO(FAILED) | TO(NEEDS_ATTENTION),
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
            .next = TO(PREPARING) | TO(SWITCHING) | TO(POST_COPY) | TO(FINISHING) | TO(ROLLED_BACK) | TO(FAILED) |
                    TO(NEEDS_ATTENTION),
            .cancellable = TRUE,
            .invariant = "as while copying disks",
            .recovery = "as while copying disks",
        },
    [DRV_STATE_SWITCHING] =
        {
            .name = "switching",
            .phase = "switching",
            .next =
                TO(COPYING_MEMORY) | TO(POST_COPY) | TO(FINISHING) | TO(ROLLED_BACK) | TO(FAILED) | TO(NEEDS_ATTENTION),
            .cancellable = TRUE,
            .invariant = "the guest is stopped at the source and not yet resumed at the target",
            .recovery = "both ends are asked; the target resumes only when the Finish reply has been "
                        "delivered to the source's libvirtd, else its copy is destroyed and the "
                        "source goes on",
        },
    [DRV_STATE_POST_COPY] =
        {
            .name = "post-copy",
            .phase = "running at the target, memory follows",
            .next = TO(RECOVERING) | TO(FINISHING) | TO(NEEDS_ATTENTION),
            .invariant = "the guest runs at the target and nowhere else; the memory that it lacks is at "
                         "the source, stopped for good: neither end has the whole VM",
            .recovery = "a dead relay or link: the guest waits, the move is recovered over a new "
                        "session. A dead droverd: the next one takes it up. A dead QEMU or host: the "
                        "VM's memory is lost, needs attention. Never rolled back",
        },
    [DRV_STATE_RECOVERING] =
        {
            .name = "recovering",
            .phase = "recovering the link",
            .next = TO(POST_COPY) | TO(FINISHING) | TO(NEEDS_ATTENTION),
            .invariant = "as in post-copy; the guest waits for memory",
            .recovery = "as in post-copy: it is tried again and again, by a restarted droverd as well",
        },
    [DRV_STATE_FINISHING] =
        {
            .name = "finishing",
            .phase = "finishing",
            .next = TO(PREPARING) | TO(RECOVERING) | TO(DONE) | TO(ROLLED_BACK) | TO(FAILED) | TO(NEEDS_ATTENTION),
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
            .next = TO(FINISHING),
            .ended = TRUE,
            .invariant = "what is true at both ends fits no state; nothing was touched",
            .recovery = "looked at again at each start, when the other node is back, and by 'drover "
                        "reconcile': what fits a state by then is settled; else the operator "
                        "decides with the facts and commands in the job",
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
