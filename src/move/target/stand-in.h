/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who resumes a guest at the target when droverd there does not.
 *
 * Theory of operation. droverd may hang at the very moment in which the guest stands still (it is
 * frozen, or waits for a lock). So for each arrival of a running VM there is one more process,
 * drover-stand-in, which does nothing but wait for the relay: that says to it what it says to
 * droverd, that the source's libvirtd has read the whole Finish reply, after which the source's copy
 * never runs again. If the guest has not been resumed two seconds later the stand-in takes the
 * decision (move/resume-decision.h) and resumes it by libvirt. That it has is recorded in a file of its own,
 * since the store is droverd's, and locked while that is frozen. What follows, up to the end of the
 * session, is droverd's, whenever it comes back or is started again.
 *
 * It cannot help when libvirtd hangs: QEMU's monitor is libvirtd's alone. Then it says so, in the
 * log, and tries until it has resumed the guest or the session has ended.
 *
 * It is no part of the relay, which is in a sandbox and could not reach libvirtd, and no thread of
 * droverd's, which would hang with it. Like a relay it outlives droverd; the one that closes the
 * session ends it first.
 */
#pragma once

#include "hyper/hyper.h"
#include "move/resume-decision.h"

/* How long droverd may take. */
#define DRV_STAND_IN_MS 2000

/* Strings are borrowed. */
typedef struct {
    const char *dir;     /* of the session */
    const char *session; /* for the log */
    const char *uuid;
    const char *vm;     /* for the log */
    const char *record; /* a file to make, on a disk, once the guest was resumed; NULL: none */
    guint after_ms;     /* DRV_STAND_IN_MS, but in tests */
} drv_stand_in;

/** drv_stand_in_run() - what the process does. Return: whether it has resumed the guest. */
gboolean drv_stand_in_run(const drv_stand_in *it, drv_hyper *hyper, drv_decision *decision);

/**
 * drv_stand_in_start() - start the process; if the session has one already the new one ends by itself.
 * @program: its path; @uri: of libvirt. Failure is only logged: a move without is no worse off than
 * droverd alone. Any thread.
 */
void drv_stand_in_start(const char *program, const char *uri, const drv_stand_in *it);
