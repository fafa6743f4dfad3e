/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of one step of an operation, each recorded. */
#pragma once

#include "fleet/operation.h"

typedef struct {
    guint index;
    drv_step_state state;
    const char *why;
    const char *target; /* of the next attempt */
    const char *source; /* the same: the VM is there now */
    const char *avoid;  /* a target that is not to be tried again */
    gboolean failed;    /* a job has */
    gboolean fine;      /* skipped, and in nobody's way */
    gboolean passing;   /* what kept it from going passes by itself: see operation-passing.h */
} drv_outcome;

/** drv_outcome_set() - the running step ends, or waits for its next attempt. */
void drv_outcome_set(drv_operation *operation, const drv_outcome *what);

/** drv_outcome_note_job() - the job of this attempt. Return: FALSE: another node drives it now. */
gboolean drv_outcome_note_job(drv_operation *operation, guint index, const char *job, const char *target);

/** drv_outcome_note_why() - what it waits for; NULL: for nothing any more. */
void drv_outcome_note_why(drv_operation *operation, guint index, const char *why);
