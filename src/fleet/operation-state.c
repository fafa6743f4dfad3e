/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of operation-state.h. */
#include "fleet/operation-state.h"

#define TO(state) (1u << DRV_OP_##state)
#define STEP(state) (1u << DRV_STEP_##state)

static const drv_op_state_info operations[] = {
    [DRV_OP_PLANNED] =
        {
            .name = "planned",
            .next = TO(RUNNING),
            .invariant = "it is recorded, and nothing of it has begun",
            .recovery = "the next leader begins it",
        },
    [DRV_OP_RUNNING] =
        {
            .name = "running",
            .next = TO(PAUSED) | TO(DONE) | TO(PARTLY) | TO(CANCELLED) | TO(FAILED),
            .invariant = "each of its steps is at most one job at its source, recorded there under the "
                         "operation, the step and the attempt",
            .recovery = "jobs go on without a leader; the next one asks for them again by operation, step "
                        "and attempt, and begins what waits",
        },
    [DRV_OP_PAUSED] =
        {
            .name = "paused",
            .next = TO(RUNNING) | TO(DONE) | TO(PARTLY) | TO(CANCELLED) | TO(FAILED),
            .invariant = "no step begins; what runs goes on to its end",
            .recovery = "it stays paused; what runs is followed",
        },
    [DRV_OP_DONE] = {.name = "done", .ended = TRUE, .invariant = "all of it is done", .recovery = "nothing to do"},
    [DRV_OP_PARTLY] =
        {
            .name = "partly",
            .ended = TRUE,
            .invariant = "what could not be done is listed with the reason; the rest is done",
            .recovery = "nothing to do",
        },
    [DRV_OP_CANCELLED] =
        {
            .name = "cancelled",
            .ended = TRUE,
            .invariant = "nothing of it runs; what was done before stays done",
            .recovery = "nothing to do",
        },
    [DRV_OP_FAILED] =
        {
            .name = "failed",
            .ended = TRUE,
            .invariant = "nothing of it was done; each step says why",
            .recovery = "nothing to do",
        },
};
G_STATIC_ASSERT(G_N_ELEMENTS(operations) == DRV_OP_STATES);

static const drv_op_state_info steps[] = {
    [DRV_STEP_WAITING] =
        {
            .name = "waiting",
            .next = STEP(RUNNING) | STEP(SKIPPED) | STEP(FAILED),
            .invariant = "no job of this attempt exists",
            .recovery = "it is begun when what it waits for has ended well and the limits allow it",
        },
    [DRV_STEP_RUNNING] =
        {
            .name = "running",
            .next = STEP(WAITING) | STEP(DONE) | STEP(FAILED) | STEP(SKIPPED),
            .invariant = "its source may have a job for this attempt, and no more than one",
            .recovery = "its source is asked for the job of this attempt, which it begins if there is none",
        },
    [DRV_STEP_DONE] = {.name = "done",
                       .ended = TRUE,
                       .invariant = "the VM is at the target",
                       .recovery = "nothing to do"},
    [DRV_STEP_FAILED] =
        {
            .name = "failed",
            .ended = TRUE,
            .invariant = "the VM is where it was, or its job says what it needs",
            .recovery = "nothing to do",
        },
    [DRV_STEP_SKIPPED] =
        {
            .name = "skipped",
            .ended = TRUE,
            .invariant = "nothing was done to the VM, and it says why",
            .recovery = "nothing to do",
        },
};
G_STATIC_ASSERT(G_N_ELEMENTS(steps) == DRV_STEP_STATES);

const drv_op_state_info *drv_op_state_get(drv_op_state state)
{
    g_assert(state < DRV_OP_STATES);
    return &operations[state];
}

const drv_op_state_info *drv_step_state_get(drv_step_state state)
{
    g_assert(state < DRV_STEP_STATES);
    return &steps[state];
}

gboolean drv_op_state_allows(drv_op_state from, drv_op_state to)
{
    return from < DRV_OP_STATES && to < DRV_OP_STATES && (operations[from].next & (1u << to)) != 0;
}

gboolean drv_step_state_allows(drv_step_state from, drv_step_state to)
{
    return from < DRV_STEP_STATES && to < DRV_STEP_STATES && (steps[from].next & (1u << to)) != 0;
}

static guint from_name(const drv_op_state_info *table, guint count, const char *name)
{
    guint state = 0;

    while (state < count && g_strcmp0(table[state].name, name) != 0)
        state++;
    return state;
}

drv_op_state drv_op_state_from_name(const char *name)
{
    return (drv_op_state)from_name(operations, DRV_OP_STATES, name);
}

drv_step_state drv_step_state_from_name(const char *name)
{
    return (drv_step_state)from_name(steps, DRV_STEP_STATES, name);
}
