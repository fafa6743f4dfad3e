/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The states of an operation (a plan of several steps that is carried out) and of its steps, in two
 * tables: what may follow what, and what happens when the leader dies in it. Pure.
 */
#pragma once

#include <glib.h>

typedef enum {
    DRV_OP_PLANNED,
    DRV_OP_RUNNING,
    DRV_OP_PAUSED,
    DRV_OP_DONE,
    DRV_OP_PARTLY,
    DRV_OP_CANCELLED,
    DRV_OP_FAILED,
    DRV_OP_STATES
} drv_op_state;

typedef enum {
    DRV_STEP_WAITING,
    DRV_STEP_RUNNING,
    DRV_STEP_DONE,
    DRV_STEP_FAILED,
    DRV_STEP_SKIPPED,
    DRV_STEP_STATES
} drv_step_state;

typedef struct {
    const char *name; /* in REST and in the store */
    guint next;       /* bits of the states that may follow */
    gboolean ended;
    const char *invariant; /* what is true while it lasts */
    const char *recovery;  /* what the next leader does with it */
} drv_op_state_info;

/** drv_op_state_get(), drv_step_state_get() - the row of a state. Static. */
const drv_op_state_info *drv_op_state_get(drv_op_state state);
const drv_op_state_info *drv_step_state_get(drv_step_state state);

/** drv_op_state_allows(), drv_step_state_allows() - whether @to may follow @from. */
gboolean drv_op_state_allows(drv_op_state from, drv_op_state to);
gboolean drv_step_state_allows(drv_step_state from, drv_step_state to);

/** drv_op_state_from_name(), drv_step_state_from_name() - the number of states for a name that is not known. */
drv_op_state drv_op_state_from_name(const char *name);
drv_step_state drv_step_state_from_name(const char *name);
