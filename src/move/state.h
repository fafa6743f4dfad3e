/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The states of a migration, in one table: what may follow what, what must be true
 * while it lasts, and what is done when a program, a host or the link dies in it.
 */
#pragma once

#include <glib.h>

typedef enum {
    DRV_STATE_PLANNED,
    DRV_STATE_PREPARING,
    DRV_STATE_COPYING_DISKS,
    DRV_STATE_COPYING_MEMORY,
    DRV_STATE_SWITCHING,
    DRV_STATE_POST_COPY,
    DRV_STATE_RECOVERING,
    DRV_STATE_FINISHING,
    DRV_STATE_DONE,
    DRV_STATE_ROLLED_BACK,
    DRV_STATE_FAILED,
    DRV_STATE_NEEDS_ATTENTION,
    DRV_STATES
} drv_state;

typedef struct {
    const char *name;      /* in REST and in the store */
    const char *phase;     /* as people read it */
    guint next;            /* bits of the states that may follow */
    gboolean ended;        /* the job is over (needs-attention: until the facts have changed) */
    gboolean cancellable;  /* a cancel takes effect here */
    const char *invariant; /* what is true while it lasts */
    const char *recovery;  /* what happens when something dies here */
} drv_state_info;

/** drv_state_get() - the row of @state. Static. */
const drv_state_info *drv_state_get(drv_state state);

/** drv_state_allows() - whether @to may follow @from. */
gboolean drv_state_allows(drv_state from, drv_state to);

/** drv_state_from_name() - DRV_STATES for a name that is not known. */
drv_state drv_state_from_name(const char *name);
